//! For tests of kinds: a workflow from its text, walked from its trigger on.

use crate::contact::Contact;
use crate::event::RecordedEvent;
use crate::facts::TenantFacts;
use crate::facts::sample::Sample;
use crate::id::RunId;
use crate::interpreter::{
    Advanced, End, NothingRecorded, NothingStored, RunEvent, RunInput, RunState, Step, StepOutcome,
    Unwatched, Waits, advance,
};
use crate::limits::Limits;
use crate::retry::Ladder;
use crate::workflow::{NodeTypes, Workflow, parse};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Where and when a run is walked, and about whom.
pub(super) struct World {
    pub(super) now: DateTime<Utc>,
    pub(super) contact: Option<Contact>,
    /// Name of the tenant's zone.
    pub(super) zone: &'static str,
    pub(super) event: RecordedEvent,
    pub(super) run_key: &'static str,
    pub(super) limits: Limits,
}

/// A run after its walk.
pub(super) struct Walked {
    pub(super) state: RunState,
    pub(super) steps: Vec<Step>,
}

/// A workflow of these nodes and edges; `t` is its trigger.
pub(super) fn text(nodes: &[&str], edges: &str) -> String {
    let nodes: String = nodes.iter().map(|node| format!("  - {node}\n")).collect();
    format!(
        "apiVersion: automation/v1\nkey: test\ntriggers: [{{ id: t, event: order.created }}]\nnodes:\n{nodes}edges: {edges}\n"
    )
}

/// What is wrong with the first node of a workflow, a line for each problem.
pub(super) fn problems(node: &str) -> String {
    let problems = match parse(&text(&[node], "[[t, a]]"), &NodeTypes::new([]), &Limits::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    problems.join("\n")
}

/// The workflow of a text that is right.
pub(super) fn compile(text: &str) -> Workflow {
    parse(text, &NodeTypes::new([]), &Limits::default()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

impl World {
    /// Somebody in this zone, at this moment.
    pub(super) fn at(now: &str, zone: Option<&str>) -> Self {
        let Sample { event, mut contact, .. } = Sample::default();
        contact.timezone = zone.map(str::to_owned);
        let now = now.parse().unwrap();
        Self { now, contact: Some(contact), zone: "UTC", event, run_key: "c-1", limits: Limits::default() }
    }

    /// Starts a run.
    pub(super) fn start(&self, workflow: &Workflow) -> Walked {
        self.go_on(workflow, RunState::default(), RunEvent::Started { trigger: "t".to_owned() })
    }

    /// Goes on with a run.
    pub(super) fn go_on(&self, workflow: &Workflow, state: RunState, input: RunEvent) -> Walked {
        let run = RunInput {
            event: Some(&self.event),
            contact: self.contact.clone(),
            tenant: TenantFacts::new("acme", self.zone),
            run_id: RunId(Uuid::nil()),
            run_key: self.run_key,
            started_at: self.now,
            version: 1,
            now: self.now,
            limits: &self.limits,
            ladder: &Ladder::default(),
            is_paused: false,
            stored: &NothingStored,
            recorded: &NothingRecorded,
            watch: &Unwatched,
        };
        let walked: Advanced = advance(workflow, state, [input], run);
        let steps = walked.log().cloned().collect();
        Walked { state: walked.state, steps }
    }
}

impl Walked {
    /// The last step of this node.
    pub(super) fn step(&self, node: &str) -> &Step {
        self.steps
            .iter()
            .rfind(|step| step.node == node)
            .unwrap_or_else(|| panic!("{node} is not in {:?}", self.steps))
    }

    /// What the log tells of it.
    pub(super) fn detail(&self, node: &str) -> &Value {
        &self.step(node).detail
    }

    /// Nodes that were entered, in order, the trigger aside.
    pub(super) fn way(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.node.as_str()).filter(|node| *node != "t").collect()
    }

    /// In a few words: until when it waits, how it failed, or that it ended.
    pub(super) fn outcome(&self) -> String {
        match &self.state.end {
            Some(End::Completed) => "completed".to_owned(),
            Some(End::Failed { error, .. }) => format!("failed {}", error.code),
            Some(End::Cancelled { reason }) => format!("cancelled {reason}"),
            None => self.waits(),
        }
    }

    fn waits(&self) -> String {
        let token = self.state.tokens.values().next().expect("an open run has a token");
        let Waits::Timer { until } = &token.waits else { panic!("{token:?}") };
        let log = self.step(&token.node);
        assert_eq!(log.outcome, StepOutcome::Waiting);
        let until = until.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        assert_eq!(log.detail["until"], Value::from(until.clone()), "the log says until when");
        until
    }
}
