//! `approval`: a token waits until a person approves or rejects what it asks, or until the time for that is up.

mod file;

use super::{Behaviour, Ways, length::Length};
use crate::action::ContactUse;
use crate::catalogue::{APPROVAL_REMINDER, APPROVAL_REQUESTED, ActionEntry, Effect};
use crate::facts::FieldPath;
use crate::interpreter::{Answer, Asked, Awaited, Heard, Onward, StepError, Verdict, Visit, Walk};
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

pub(super) static KIND: ApprovalKind = ApprovalKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "approval",
    group: "flow",
    description: "Asks people to approve something, and goes the way of what they say.",
    effect: Effect::Flow,
    emits: &[APPROVAL_REQUESTED, APPROVAL_REMINDER],
};

/// The way that is taken when nobody answered in time.
const TIMEOUT: &str = "timeout";

/// The ways out.
const WAYS: [&str; 3] = [Verdict::Approved.as_str(), Verdict::Rejected.as_str(), TIMEOUT];

/// Longest question, in bytes, once its templates are worked out.
const QUESTION_BYTES: usize = 4_096;

/// Most reminders of one visit.
const MOST_REMINDERS: u32 = 10;

#[derive(Debug)]
pub(super) struct ApprovalKind;

/// A node that asks people to approve something.
#[derive(Clone, Debug)]
struct Approval {
    /// Who is asked.
    approvers: Vec<String>,
    /// What: a text, or a template that gives one.
    question: ValueTemplate,
    /// How long there is for an answer.
    timeout: Option<Length>,
    /// When they are reminded.
    reminder: Option<Reminder>,
}

/// When those who are asked are reminded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reminder {
    /// How long after they were asked.
    after: TimeDelta,
    /// How long after that again, and so on; `None`: not again.
    every: Option<TimeDelta>,
}

impl Reminder {
    /// The next one after `now`, for what was asked at `since` and was reminded of so often. Those that nobody sent in time are
    /// passed over.
    fn next(self, since: DateTime<Utc>, sent: u32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let first = since + self.after;
        if sent >= MOST_REMINDERS {
            return None;
        }
        if first > now && sent == 0 {
            return Some(first);
        }
        let every = self.every?;
        let over = (now - first).num_seconds().max(0) / every.num_seconds().max(1);
        let steps = i32::try_from(over + 1).ok()?;
        Some(first + every * steps)
    }
}

impl Behaviour for Approval {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        let question = self.question.references().into_iter().map(|path| (path, "question".to_owned()));
        question.chain(self.timeout.iter().flat_map(Length::references)).collect()
    }

    /// The events that it publishes are about the contact.
    fn contact(&self) -> ContactUse {
        ContactUse::Optional
    }

    fn emits(&self) -> bool {
        true
    }

    fn ways(&self) -> Ways<'_> {
        let count = if self.timeout.is_some() { WAYS.len() } else { WAYS.len() - 1 };
        Ways::Named(WAYS[..count].to_vec())
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        match self.begin(walk, visit) {
            Ok((question, awaited)) => {
                let detail = json!({ "question": question, "approvers": self.approvers });
                walk.ask(visit, awaited, detail)
            }
            Err(error) => walk.fail(visit, error),
        }
    }

    fn hear(
        &self,
        walk: &mut Walk<'_>,
        visit: Visit<'_>,
        awaited: &mut Awaited,
        heard: Heard<'_>,
    ) -> Option<Onward> {
        match heard {
            Heard::Answer(answer) => Some(decide(walk, visit, answer)),
            Heard::TimedOut => Some(walk.finish(visit, TIMEOUT, Value::Null, json!({ "case": TIMEOUT }))),
            Heard::Change => {
                self.remind(walk, visit, awaited);
                None
            }
            // It waits for none.
            Heard::Event(_) | Heard::Before(_) => None,
        }
    }
}

impl Approval {
    /// The question, and what the node waits for.
    fn begin(&self, walk: &Walk<'_>, visit: Visit<'_>) -> Result<(String, Awaited), StepError> {
        let now = walk.now();
        let error = |error: RenderError| StepError { code: error.code, message: error.message };
        let rendered = walk.evaluate(visit, |facts| self.question.render(facts).map_err(error))?;
        let question = read_question(&rendered)?;
        let until = match &self.timeout {
            Some(timeout) => Some(now + timeout.get(walk, visit)?),
            None => None,
        };
        let (approvers, reminders) = (self.approvers.clone(), 0);
        let asked = Asked::Approval { question: question.clone(), approvers, reminders };
        let awaited = Awaited {
            since: now,
            from: now,
            until,
            look_at: self.reminder.and_then(|reminder| reminder.next(now, 0, now)),
            looked_back: true,
            types: Vec::new(),
            filters: Vec::new(),
            asked: Some(Box::new(asked)),
        };
        Ok((question, awaited))
    }

    /// Reminds where that is due, and there is still time for an answer.
    fn remind(&self, walk: &mut Walk<'_>, visit: Visit<'_>, awaited: &mut Awaited) {
        let now = walk.now();
        let is_due = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        if !is_due(awaited.look_at) || is_due(awaited.until) {
            return;
        }
        let Some(Asked::Approval { reminders, .. }) = awaited.asked.as_deref_mut() else { return };
        *reminders += 1;
        let sent = *reminders;
        awaited.look_at = self.reminder.and_then(|reminder| reminder.next(awaited.since, sent, now));
        walk.remind(visit, awaited);
    }
}

/// Somebody said what is to be.
fn decide(walk: &mut Walk<'_>, visit: Visit<'_>, answer: &Answer) -> Onward {
    let (way, output) = (answer.verdict.as_str(), answer.output("decided_at"));
    let mut detail = output.clone();
    detail["case"] = way.into();
    walk.finish(visit, way, output, detail)
}

fn read_question(rendered: &Value) -> Result<String, StepError> {
    let wrong = |message: String| StepError { code: StepCode::InvalidConfig.into(), message };
    let question = match rendered {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(_) | Value::Bool(_) => rendered.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    };
    if question.is_empty() {
        return Err(wrong("question: it came to nothing, and there is something to be asked".to_owned()));
    }
    if question.len() > QUESTION_BYTES {
        let length = question.len();
        return Err(wrong(format!("question: it has {length} bytes; at most {QUESTION_BYTES} are allowed")));
    }
    // What cannot be stored as a text.
    Ok(question.replace('\0', "\u{fffd}"))
}

#[cfg(test)]
#[path = "approval/tests.rs"]
mod tests;
