//! A run, its contact, and what was recorded, on a clock that is set by hand.

use automation_actions::node_types;
use automation_domain::condition::Aggregate;
use automation_domain::contact::Contact;
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::TenantFacts;
use automation_domain::id::{ContactId, EventId, EventKey, RunId};
use automation_domain::interpreter::{
    CONTACT_CHANGES, Command, Need, NothingStored, OwedFor, RecordedEvents, RunEvent, RunInput, RunState,
    Step, Unwatched, advance, happened_at,
};
use automation_domain::limits::Limits;
use automation_domain::past::{History, Past, PastEvent, together};
use automation_domain::record::{ContactChange, RecordChange};
use automation_domain::retry::Ladder;
use automation_domain::workflow::{Workflow, parse};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// So many seconds after the event that starts the run.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time") + TimeDelta::seconds(seconds)
}

#[derive(Debug)]
struct Recorded<'p> {
    events: &'p [RecordedEvent],
    need: Option<Need>,
    past: Option<History>,
}

impl RecordedEvents for Recorded<'_> {
    fn event(&self, id: EventId) -> Option<&RecordedEvent> {
        self.events.iter().find(|event| event.event_id == id)
    }

    fn before(&self) -> Option<Vec<&RecordedEvent>> {
        let Some(Need::Before { from, types }) = &self.need else { return None };
        let is_asked =
            |event: &&RecordedEvent| happened_at(event) >= *from && types.contains(&event.event.event_type);
        Some(self.events.iter().filter(is_asked).collect())
    }

    fn past(&self) -> Past<'_> {
        self.past.as_ref().map_or(Past::Nobody, Past::Of)
    }
}

pub(crate) struct Play {
    workflow: Workflow,
    pub(crate) state: RunState,
    pub(crate) contact: Contact,
    pub(crate) has_contact: bool,
    pub(crate) is_paused: bool,
    /// Whether a run that begins to wait looks back at once, or when it is told to.
    pub(crate) looks_at_once: bool,
    now: DateTime<Utc>,
    started_by: Option<RecordedEvent>,
    recorded: Vec<RecordedEvent>,
    log: Vec<Step>,
    tags: Vec<String>,
}

impl Play {
    pub(crate) fn of(definition: &str) -> Self {
        let compiled = parse(definition, node_types(), &Limits::default());
        Self::new(compiled.unwrap_or_else(|problems| panic!("{problems:#?}")))
    }

    /// The same workflow, from its beginning.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.workflow.clone())
    }

    fn new(workflow: Workflow) -> Self {
        Self {
            workflow,
            state: RunState::default(),
            contact: Contact::new(ContactId(Uuid::from_u128(1)), "ada"),
            has_contact: true,
            is_paused: false,
            looks_at_once: true,
            now: at(0),
            started_by: None,
            recorded: Vec::new(),
            log: Vec::new(),
            tags: Vec::new(),
        }
    }

    pub(crate) fn problems(definition: &str) -> Vec<String> {
        let problems = parse(definition, node_types(), &Limits::default()).expect_err("a problem");
        problems
            .iter()
            .map(|problem| format!("{}: {} [{}]", problem.path, problem.message, problem.code))
            .collect()
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.workflow.warnings.iter().map(|warning| warning.code.as_str()).collect()
    }

    pub(crate) fn start(&mut self, at: DateTime<Utc>) {
        self.start_with(at, json!({}));
    }

    pub(crate) fn start_with(&mut self, at: DateTime<Utc>, data: Value) {
        self.now = self.now.max(at);
        self.record("form.submitted", at, data);
        self.started_by = self.recorded.last().cloned();
        let trigger = self.workflow.triggers[0].id.clone();
        self.advance(RunEvent::Started { trigger });
    }

    /// Records an event, and tells nobody.
    pub(crate) fn record(&mut self, event_type: &str, time: DateTime<Utc>, data: Value) {
        let key = EventKey::derive("shop", &self.recorded.len().to_string());
        let received_at = self.now.max(time);
        let event = Event {
            key,
            id: self.recorded.len().to_string(),
            source: "shop".to_owned(),
            event_type: event_type.to_owned(),
            tenant: "acme".to_owned(),
            time,
            subject: Some("ada".to_owned()),
            correlation_id: None,
            causation_id: None,
            causation_depth: 0,
            traceparent: None,
            tracestate: None,
            data,
            body_hash: [0; 32],
        };
        self.recorded.push(RecordedEvent { event_id: EventId::derive(received_at, key), received_at, event });
    }

    /// An event that is recorded and told.
    pub(crate) fn event(&mut self, event_type: &str, time: DateTime<Utc>, data: Value) {
        self.now = self.now.max(time);
        self.record(event_type, time, data);
        self.tell_last();
    }

    /// Tells the run of the event that was recorded last, if it waits for such.
    pub(crate) fn tell_last(&mut self) {
        let Some(RecordedEvent { event_id, event, .. }) = self.recorded.last() else { return };
        let says_of_contact = event.event_type.starts_with("contact.");
        let awaited = self.state.awaited_types();
        if awaited.contains(event.event_type.as_str())
            || (says_of_contact && awaited.contains(CONTACT_CHANGES))
        {
            let (event, changes_contact) = (*event_id, says_of_contact);
            self.claim(Some(RunEvent::Heard { event, changes_contact }));
        }
    }

    pub(crate) fn set_clock(&mut self, now: DateTime<Utc>) {
        self.now = now;
    }

    pub(crate) fn clock(&mut self, now: DateTime<Utc>) {
        self.now = now;
        self.claim(None);
    }

    /// Has the run look back, if it has to.
    pub(crate) fn look(&mut self) {
        while self.state.needs().is_some() && self.state.end.is_none() && !self.is_paused {
            self.walk([RunEvent::Claimed], self.state.needs());
        }
    }

    /// As a worker does that claims the run: it gathers what the run needs, and the run hears what came, then that it was claimed.
    fn claim(&mut self, heard: Option<RunEvent>) {
        let claimed = (!self.is_paused).then_some(RunEvent::Claimed);
        self.walk(heard.into_iter().chain(claimed), self.state.needs());
        if self.looks_at_once {
            self.look();
        }
    }

    fn advance(&mut self, input: RunEvent) {
        self.walk([input], None);
        if self.looks_at_once {
            self.look();
        }
    }

    fn walk(&mut self, inputs: impl IntoIterator<Item = RunEvent>, need: Option<Need>) {
        let (limits, ladder) = (Limits::default(), Ladder::default());
        let past = self.has_contact.then(|| self.past());
        let recorded = Recorded { events: &self.recorded, need, past };
        let run = RunInput {
            event: self.started_by.as_ref(),
            contact: self.has_contact.then(|| self.contact.clone()),
            tenant: TenantFacts::new("acme", "UTC"),
            run_id: RunId(Uuid::from_u128(9)),
            run_key: "ada",
            started_at: at(0),
            version: 1,
            now: self.now,
            limits: &limits,
            ladder: &ladder,
            is_paused: self.is_paused,
            stored: &NothingStored,
            recorded: &recorded,
            watch: &Unwatched,
        };
        let advanced = advance(&self.workflow, self.state.clone(), inputs, run);
        self.log.extend(advanced.log().cloned());
        for command in &advanced.commands {
            if let Command::Change(RecordChange::Contact { change: ContactChange::AddTag { tag }, .. }) =
                command
            {
                self.tags.push(tag.clone());
            }
        }
        self.state = advanced.state;
    }

    /// What conditions of the version count, as whoever claims the run gathers it.
    fn past(&self) -> History {
        let mut history = History::new(self.now);
        for asked in together(self.workflow.run_aggregates().into_iter().map(Aggregate::asks)).into_values() {
            let of_type = self.recorded.iter().filter(|one| one.event.event_type == asked.event);
            history.add(
                asked.event,
                of_type.map(|one| PastEvent::of(one, asked.paths.iter().copied())),
                false,
            );
        }
        history
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.end.is_none()
    }

    pub(crate) fn case(&self, node: &str) -> Option<&str> {
        self.state.steps.get(node)?.case.as_deref()
    }

    pub(crate) fn output(&self, node: &str) -> &Value {
        &self.state.steps[node].output
    }

    pub(crate) fn error(&self, node: &str) -> Option<String> {
        Some(self.state.steps.get(node)?.error.as_ref()?.code.clone())
    }

    pub(crate) fn tags(&self) -> Vec<&str> {
        self.tags.iter().map(String::as_str).collect()
    }

    /// What the log said of a node first.
    pub(crate) fn first(&self, node: &str) -> &Value {
        &self.log.iter().find(|step| step.node == node).expect("a step of the node").detail
    }

    /// What the log said of a node last.
    pub(crate) fn last(&self, node: &str) -> &Value {
        &self.log.iter().rfind(|step| step.node == node).expect("a step of the node").detail
    }

    /// When the run is to be woken by the clock.
    pub(crate) fn due(&self) -> Option<DateTime<Utc>> {
        let owed = self.state.owed(self.now).into_iter();
        owed.filter_map(|owed| match owed.waits_for {
            OwedFor::Timer { until } | OwedFor::Retry { until } => Some(until),
            OwedFor::Others | OwedFor::Outcome => None,
        })
        .min()
    }
}
