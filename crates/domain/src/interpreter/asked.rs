//! Tokens that wait for a person: what is asked, and what is answered.
//!
//! A question is one visit's: an answer names node and visit, so that what was said of an earlier one moves nothing. Whoever
//! takes an answer in locks the run first, and refuses one that comes when the time is up; so an answer that was taken is
//! heard, and one that was refused is not.

use super::{Awaited, Heard, Onward, RunState, StepOutcome, Token, Visit, Waits, Walk};
use crate::catalogue::{APPROVAL_REMINDER, APPROVAL_REQUESTED};
use crate::id::{ApprovalId, RunId};
use crate::record::EmittedEvent;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a token asks of a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Asked {
    /// To let it go on.
    GoOn,
    /// Whether something is approved.
    Approval {
        /// What, in the words of the workflow's author.
        question: String,
        /// Who is asked.
        approvers: Vec<String>,
        /// How often they were reminded.
        #[serde(default)]
        reminders: u32,
    },
}

/// What a person says to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It goes on.
    GoOn,
    /// It is approved.
    Approved,
    /// It is not.
    Rejected,
}

impl Verdict {
    /// The word that is stored and shown; of an approval, also the name of its way.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GoOn => "go_on",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    fn answers(self, asked: &Asked) -> bool {
        match asked {
            Asked::GoOn => self == Self::GoOn,
            Asked::Approval { .. } => self != Self::GoOn,
        }
    }
}

/// A person's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What was said.
    pub verdict: Verdict,
    /// By whom.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Answer {
    /// What later steps read of it: `by`, when (`at` is the name of that), and `comment`.
    pub fn output(&self, at: &str) -> Value {
        let mut output = Map::new();
        output.insert("by".to_owned(), self.by.as_str().into());
        output.insert(at.to_owned(), told(self.at).into());
        output.insert("comment".to_owned(), self.comment.as_deref().into());
        Value::Object(output)
    }
}

/// A question that is open.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Open<'s> {
    /// The node.
    pub node: &'s str,
    /// Which visit of it.
    pub visit: u32,
    /// When it was asked.
    pub since: DateTime<Utc>,
    /// When it is too late for an answer; `None`: never.
    pub until: Option<DateTime<Utc>>,
    /// What is asked.
    pub asked: &'s Asked,
}

impl RunState {
    /// What the run asks of people, in the order of its tokens; nothing once it has ended.
    pub fn asks(&self) -> impl Iterator<Item = Open<'_>> {
        self.tokens.values().filter_map(open)
    }
}

fn open(token: &Token) -> Option<Open<'_>> {
    let awaited = token.waits.awaited()?;
    let asked = awaited.asked.as_deref()?;
    Some(Open { node: &token.node, visit: token.visit, since: awaited.since, until: awaited.until, asked })
}

/// For nodes that ask.
impl Walk<'_> {
    /// The step is done and has this output, if the run has room for it; the token goes on by the plain edge.
    pub fn go_on_with(&mut self, visit: Visit<'_>, output: Value, detail: Value) -> Onward {
        if let Err(error) = self.make_room(&visit.node.id, &output, &Map::new()) {
            return self.fail(visit, error);
        }
        let result = self.result(visit);
        result.case = None;
        result.output = output;
        result.error = None;
        self.complete(visit, detail);
        Onward::To(visit.node.next)
    }

    /// The token asks something of a person.
    pub fn ask(&mut self, visit: Visit<'_>, awaited: Awaited, detail: Value) -> Onward {
        self.announce(visit, APPROVAL_REQUESTED, &awaited);
        self.await_others(visit, awaited, detail)
    }

    /// Those who are asked are reminded; whoever counts has counted this one.
    pub fn remind(&mut self, visit: Visit<'_>, awaited: &Awaited) {
        self.announce(visit, APPROVAL_REMINDER, awaited);
        if let Some(Asked::Approval { reminders, .. }) = awaited.asked.as_deref() {
            self.note(visit, StepOutcome::Waiting, json!({ "reminder": reminders }));
        }
    }

    /// Tells the world of an approval that is open.
    fn announce(&mut self, visit: Visit<'_>, event_type: &str, awaited: &Awaited) {
        let Some(Asked::Approval { question, approvers, reminders }) = awaited.asked.as_deref() else {
            return;
        };
        let run_id: RunId = self.run.run_id;
        let data = json!({
            "approval_id": ApprovalId::derive(run_id, &visit.node.id, visit.number),
            "run_id": run_id,
            "workflow": self.workflow_key(),
            "node": visit.node.id,
            "question": question,
            "approvers": approvers,
            "due_at": awaited.until.map(told),
            "reminder": reminders,
        });
        let subject = self.run.contact.as_ref().map(|contact| contact.subject.clone());
        let event = EmittedEvent { event_type: event_type.to_owned(), subject, data };
        self.commands.push(super::Command::Emit(event));
    }
}

impl Walk<'_> {
    /// Tells a token what was answered; one that asks no more, or something else, hears nothing.
    pub(super) fn hear_answer(&mut self, node: &str, visit: u32, answer: &Answer) {
        let asks = |token: &Token| {
            let open = open(token);
            open.is_some_and(|open| {
                (open.node, open.visit) == (node, visit) && answer.verdict.answers(open.asked)
            })
        };
        let found = self.state.tokens.iter().find(|(_, token)| asks(token)).map(|(number, _)| *number);
        if let Some(number) = found {
            self.tell(number, Heard::Answer(answer));
        }
    }
}

impl Waits {
    /// Whether it is a person's answer that is waited for, beside whatever else.
    pub fn asks(&self) -> bool {
        self.awaited().is_some_and(|awaited| awaited.asked.is_some())
    }
}

fn told(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
