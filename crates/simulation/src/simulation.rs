//! The clock of a simulation, what it knows, and what comes next.

use crate::answers::{Answer, Answers};
use crate::effect::Done;
use crate::run::Run;
use crate::setting::{Happening, Setting};
use crate::story::{Told, What};
use automation_domain::contact::Contact;
use automation_domain::entry::Enrolment;
use automation_domain::event::{Event, RecordedEvent, body_hash, caused};
use automation_domain::facts::TenantFacts;
use automation_domain::id::{ContactId, EventId, EventKey, RunId, ScheduleId, WorkflowId, digest};
use automation_domain::workflow::Workflow;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// Most that a simulation does: events taken in and walks of runs together.
pub const MOST_STEPS: u32 = 100_000;
/// Most runs of a simulation.
pub const MOST_RUNS: usize = 1_000;

/// Bytes that what is told of a simulation may have, about: steps and events tell values of up to 256 KiB.
pub const MOST_TOLD_BYTES: usize = 64 * 1024 * 1024;

/// How long whatever happens takes: later things are later, and nobody sees it in seconds.
const MOMENT: TimeDelta = TimeDelta::microseconds(1);

/// Workflows, contacts and events in memory, and a clock that jumps from one thing that happens to the next.
///
/// What is due or happens at a time happens a moment after it, one thing after the other: an event that was given first comes
/// first, and events come before runs that are woken at the same time.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) setting: Setting,
    pub(crate) now: DateTime<Utc>,
    pub(crate) workflows: Vec<Playing>,
    pub(crate) contacts: BTreeMap<ContactId, Contact>,
    pub(crate) events: BTreeMap<EventId, RecordedEvent>,
    /// What happened to whom, in the order in which it came.
    pub(crate) events_of: BTreeMap<ContactId, Vec<EventId>>,
    pub(crate) seen: BTreeSet<EventKey>,
    pub(crate) enrolments: BTreeMap<(usize, String), Enrolment>,
    pub(crate) runs: Vec<Run>,
    pub(crate) answers: Answers,
    pub(crate) story: Vec<Told>,
    pub(crate) effects: Vec<Done>,
    coming: BTreeMap<(DateTime<Utc>, u64), Coming>,
    numbered: u64,
    steps: u32,
    told_bytes: usize,
}

/// A workflow that plays along.
#[derive(Clone, Debug)]
pub(crate) struct Playing {
    pub(crate) workflow_id: WorkflowId,
    pub(crate) version: i32,
    pub(crate) workflow: Rc<Workflow>,
}

#[derive(Debug)]
enum Coming {
    Outside(Happening),
    Caused { event: Box<Event>, by: RunId },
}

/// A simulation does more than it may; what it did is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooMuch {
    /// More than [`MOST_STEPS`].
    Steps,
    /// More than [`MOST_RUNS`].
    Runs,
    /// More to tell than [`MOST_TOLD_BYTES`].
    Told,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => write!(f, "it takes more than {MOST_STEPS} events and walks of runs"),
            Self::Runs => write!(f, "it starts more than {MOST_RUNS} runs"),
            Self::Told => write!(f, "what there is to tell has more than {MOST_TOLD_BYTES} bytes"),
        }
    }
}

impl Simulation {
    /// With nothing in it.
    pub fn new(setting: Setting) -> Self {
        Self {
            now: setting.start,
            setting,
            workflows: Vec::new(),
            contacts: BTreeMap::new(),
            events: BTreeMap::new(),
            events_of: BTreeMap::new(),
            seen: BTreeSet::new(),
            enrolments: BTreeMap::new(),
            runs: Vec::new(),
            answers: Answers::default(),
            story: Vec::new(),
            effects: Vec::new(),
            coming: BTreeMap::new(),
            numbered: 0,
            steps: 0,
            told_bytes: 0,
        }
    }

    /// Has a workflow play along. `workflow_id` is that of a published one, for which it stands.
    pub fn add_workflow(&mut self, workflow: Workflow, version: i32, workflow_id: Option<WorkflowId>) {
        let made = || WorkflowId(digest(&[b"simulated workflow", workflow.key.as_bytes()]));
        let workflow_id = workflow_id.unwrap_or_else(made);
        self.workflows.push(Playing { workflow_id, version, workflow: Rc::new(workflow) });
    }

    /// Adds a contact of whom nothing is known but the subject, to be filled; one that is there stays.
    pub fn contact_mut(&mut self, subject: &str) -> &mut Contact {
        let id = self.contact_id(subject);
        self.contacts.entry(id).or_insert_with(|| Contact::new(id, subject))
    }

    /// Adds a contact as it is kept elsewhere.
    pub fn add_contact(&mut self, contact: Contact) {
        self.contacts.insert(contact.contact_id, contact);
    }

    /// What the requests come to that a node sends: in each run the nth gets the nth of these, and all that follow the last one.
    pub fn answer(&mut self, workflow: &str, node: &str, answers: Vec<Answer>) {
        self.answers.set(workflow, node, answers);
    }

    /// Has something happen at a time. What happens at the same time happens in the order in which it was said.
    pub fn happens(&mut self, at: DateTime<Utc>, what: Happening) {
        self.enqueue(at, Coming::Outside(what));
    }

    /// Plays until nothing more would happen by itself, or until that time.
    ///
    /// # Errors
    ///
    /// [`TooMuch`]; what happened until then is there.
    pub fn play(&mut self, until: Option<DateTime<Utc>>) -> Result<(), TooMuch> {
        loop {
            let event = self.coming.first_key_value().map(|((at, _), _)| *at);
            let run = self.runs.iter().enumerate().filter_map(|(index, run)| Some((run.due?, index))).min();
            let next = event.into_iter().chain(run.map(|(due, _)| due)).min();
            let Some(next) = next.filter(|next| until.is_none_or(|until| *next <= until)) else { break };
            self.now = self.now.max(next);
            if event == Some(next) {
                self.take_next()?;
            } else if let Some((_, index)) = run {
                self.walk_claimed(index)?;
            }
        }
        self.now = self.now.max(until.unwrap_or(self.now));
        Ok(())
    }

    /// What happened, in order.
    pub fn story(&self) -> &[Told] {
        &self.story
    }

    /// All runs, in the order in which they were started.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// What would have happened outside, in order.
    pub fn effects(&self) -> &[Done] {
        &self.effects
    }

    /// A contact, as it would be.
    pub fn contact(&self, subject: &str) -> Option<&Contact> {
        self.contacts.get(&self.contact_id(subject))
    }

    /// All contacts, as they would be.
    pub fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// With whom and when it began.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    fn contact_id(&self, subject: &str) -> ContactId {
        ContactId::derive(self.setting.tenant_id, subject)
    }

    fn enqueue(&mut self, at: DateTime<Utc>, what: Coming) {
        self.numbered += 1;
        self.coming.insert((at, self.numbered), what);
    }

    /// An event that follows from what a run did.
    pub(crate) fn follows(&mut self, event: Event, by: RunId) {
        self.enqueue(self.now, Coming::Caused { event: Box::new(event), by });
    }

    fn take_next(&mut self) -> Result<(), TooMuch> {
        let Some((_, coming)) = self.coming.pop_first() else { return Ok(()) };
        self.moment()?;
        match coming {
            Coming::Caused { event, by } => self.take_in(*event, Some(by)),
            Coming::Outside(happening) => match self.event_of(happening) {
                Some(event) => self.take_in(event, None),
                None => Ok(()),
            },
        }
    }

    /// The event that something from outside is; a schedule that nobody plays is none.
    fn event_of(&mut self, happening: Happening) -> Option<Event> {
        self.numbered += 1;
        match happening {
            Happening::Event { event_type, subject, data, source, id, time } => {
                let source = source.unwrap_or_else(|| "test".to_owned());
                let id = id.unwrap_or_else(|| self.numbered.to_string());
                Some(Event {
                    key: EventKey::derive(&source, &id),
                    body_hash: body_hash(&event_type, subject.as_deref(), &data),
                    id,
                    source,
                    event_type,
                    tenant: self.setting.tenant.clone(),
                    time: time.unwrap_or(self.now),
                    subject,
                    correlation_id: None,
                    causation_id: None,
                    causation_depth: 0,
                    traceparent: None,
                    tracestate: None,
                    data,
                })
            }
            Happening::Slot { workflow, trigger } => {
                let playing = self.workflows.iter().find(|playing| playing.workflow.key == workflow)?;
                let schedule = playing.workflow.trigger(&trigger)?.schedule.as_ref()?;
                let id = ScheduleId::derive(playing.workflow_id, &trigger);
                let slot = self.now;
                let event = caused::by_schedule(schedule, id, &self.setting.tenant, slot);
                // When it is late by jitter does not matter to a test that says when it fires.
                Some(Event { time: slot, ..event })
            }
        }
    }

    /// Everything takes a moment.
    pub(crate) fn moment(&mut self) -> Result<(), TooMuch> {
        self.now += MOMENT;
        self.steps += 1;
        match (self.steps > MOST_STEPS, self.told_bytes > MOST_TOLD_BYTES) {
            (true, _) => Err(TooMuch::Steps),
            (false, true) => Err(TooMuch::Told),
            (false, false) => Ok(()),
        }
    }

    pub(crate) fn tell(&mut self, what: What) {
        self.told_bytes += what.bytes();
        self.story.push(Told { at: self.now, what });
    }

    pub(crate) fn tenant(&self) -> TenantFacts<'_> {
        TenantFacts { key: &self.setting.tenant, zone: self.setting.zone }
    }
}
