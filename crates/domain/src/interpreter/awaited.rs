//! Tokens that wait for what others bring: an event of the contact, or a change of it.
//!
//! Whoever records an event looks, after its commit, for runs that wait for its type; a run that begins to wait looks, after its
//! commit, for events that were recorded before. So each finds what the other wrote, and what both find moves a token once.

use super::{Answer, Asked, Command, Onward, RunState, StepOutcome, Token, Visit, Waits, Walk};
use crate::event::RecordedEvent;
use crate::id::EventId;
use crate::past::Past;
use crate::record::stamps::Stamp;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Debug;

/// In place of a type: whatever says something of the contact.
pub const CONTACT_CHANGES: &str = "contact.*";

/// Events that a token remembers to have been moved by: more are a circle, which has a bound of its own.
const MOST_REMEMBERED: usize = 100;

/// What a token that waits for others settled when it entered its node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Awaited {
    /// When it entered the node.
    pub since: DateTime<Utc>,
    /// What happened before this is not for it.
    pub from: DateTime<Utc>,
    /// When it waits no longer; `None`: it waits for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// When a condition may have come true by the clock alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<DateTime<Utc>>,
    /// Whether it looked for what was recorded before it began to wait.
    #[serde(default)]
    pub looked_back: bool,
    /// The types it waits for; [`CONTACT_CHANGES`] among them where it waits for a condition.
    pub types: Vec<String>,
    /// What the templates of its filters came to, by filter: they stay as they were when it entered the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Vec<Value>>,
    /// What it asks of a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Asked>>,
}

/// What a token that waits for others is told.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'e> {
    /// Something happened to the contact.
    Event(&'e RecordedEvent),
    /// Something happened to the contact that was recorded before the token began to wait.
    Before(&'e RecordedEvent),
    /// What conditions read may have changed.
    Change,
    /// A person answered what it asks.
    Answer(&'e Answer),
    /// It waits no longer.
    TimedOut,
}

/// Events as recorded, for runs that wait for some.
pub trait RecordedEvents: Debug {
    /// The event with this id; `None` where it is not kept any more.
    fn event(&self, id: EventId) -> Option<&RecordedEvent>;

    /// Those that were recorded before tokens of the run began to wait, and may be what they wait for; `None` when nobody
    /// looked.
    fn before(&self) -> Option<Vec<&RecordedEvent>>;

    /// What happened to the contact, of the types that conditions of the version count.
    fn past(&self) -> Past<'_> {
        Past::Unknown
    }
}

/// No event is known, and nobody looked.
#[derive(Clone, Copy, Debug)]
pub struct NothingRecorded;

impl RecordedEvents for NothingRecorded {
    fn event(&self, _id: EventId) -> Option<&RecordedEvent> {
        None
    }

    fn before(&self) -> Option<Vec<&RecordedEvent>> {
        None
    }
}

/// When an event happened: by its own time, or its receipt where that is too far ahead.
pub fn happened_at(recorded: &RecordedEvent) -> DateTime<Utc> {
    Stamp::of_event(&recorded.event, recorded.received_at).at()
}

impl Waits {
    /// Whether what was recorded before it began is still to be looked through.
    pub(super) fn looks_back(&self) -> bool {
        self.awaited().is_some_and(|awaited| !awaited.looked_back)
    }

    /// What is waited for of others, if that is what is waited for.
    pub(super) fn awaited(&self) -> Option<&Awaited> {
        if let Self::Event(awaited) = self { Some(awaited) } else { None }
    }
}

impl Awaited {
    /// When the token is to be looked at, if the clock has a say in it.
    pub(super) fn due_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.looked_back { self.until.into_iter().chain(self.look_at).min() } else { Some(now) }
    }

    /// Whether the time of an event is one that it waits for.
    fn covers(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && self.until.is_none_or(|until| at <= until)
    }
}

/// For nodes that wait for others.
impl Walk<'_> {
    /// The token waits on the node for others.
    pub fn await_others(&mut self, visit: Visit<'_>, awaited: Awaited, mut detail: Value) -> Onward {
        if let Some(until) = awaited.until {
            detail["until"] = until.to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
        }
        self.log_step(visit, StepOutcome::Waiting, detail);
        self.await_still(visit, awaited);
        Onward::Stays
    }

    fn await_still(&mut self, visit: Visit<'_>, awaited: Awaited) {
        if let Some(until) = awaited.due_at(self.now()) {
            let Visit { token, index: node, .. } = visit;
            self.commands.push(Command::Wake { token, node, until, retry: None });
        }
        self.stand(visit, Waits::Event(Box::new(awaited)));
    }

    /// Whether the run is about somebody.
    pub fn has_contact(&self) -> bool {
        self.run.contact.is_some()
    }

    /// When the event happened that started the run; when the run was made, where it is not known.
    pub fn began_at(&self) -> DateTime<Utc> {
        self.run.event.map_or(self.run.started_at, happened_at)
    }
}

impl Walk<'_> {
    /// Tells every token that waits for such an event.
    pub(super) fn hear_event(&mut self, id: EventId) {
        let recorded = self.run.recorded;
        let Some(event) = recorded.event(id) else { return };
        if self.hear_exit(Heard::Event(event)) {
            return;
        }
        for number in self.waiting() {
            if !self.tell_event(number, event, Heard::Event(event)) && self.counts(number, event) {
                self.tell(number, Heard::Change);
            }
        }
    }

    /// Whether a condition of the node that a token waits on counts such events.
    fn counts(&self, number: u16, recorded: &RecordedEvent) -> bool {
        let Some(token) = self.state.tokens.get(&number) else { return false };
        let index = self.workflow.node_index(&token.node);
        let aggregates = index.map(|index| self.workflow.nodes[index].behaviour.aggregates());
        let of_type = recorded.event.event_type.as_str();
        self.awaits(number, of_type) && aggregates.into_iter().flatten().any(|one| one.event() == of_type)
    }

    /// Tells every token that waits for a condition that something may have changed.
    pub(super) fn hear_change(&mut self) {
        for number in self.waiting() {
            if self.awaits(number, CONTACT_CHANGES) {
                self.tell(number, Heard::Change);
            }
        }
    }

    /// Conditions are asked again while the run's own steps change what they read.
    pub(super) fn settle_conditions(&mut self) {
        let mut seen = 0;
        while self.state.step_count != seen && self.state.tokens.len() > 1 {
            seen = self.state.step_count;
            self.hear_change();
        }
    }

    /// Lets the run and its branches look for what was recorded before they began to wait, as far as somebody gathered that.
    /// What happened first counts, so this comes before anything that they are told.
    pub(super) fn look_back(&mut self) {
        if !self.look_for_exits() {
            return;
        }
        for (number, visit) in std::mem::take(&mut self.looking) {
            let is_there = self.state.tokens.get(&number).is_some_and(|token| token.visit == visit);
            if is_there && self.awaited(number).is_some_and(|awaited| !awaited.looked_back) {
                self.look_before(number);
            }
        }
    }

    fn look_before(&mut self, number: u16) {
        let recorded = self.run.recorded;
        let Some(mut before) = recorded.before() else { return };
        before.sort_by_key(|event| (happened_at(event), event.event.key));
        for event in before {
            if self.tell_event(number, event, Heard::Before(event)) {
                return;
            }
        }
        if let Some(awaited) = self.awaited_mut(number) {
            awaited.looked_back = true;
        }
        // Something may have been said of the contact after it was read and before the wait could be seen.
        if self.awaits(number, CONTACT_CHANGES) {
            self.tell(number, Heard::Change);
        }
    }

    /// Looks at a token whose time has come: at its conditions, and at its end.
    pub(super) fn look(&mut self, number: u16) {
        let now = self.now();
        let is_due = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
        let Some(awaited) = self.awaited(number).filter(|awaited| awaited.looked_back) else { return };
        if is_due(awaited.look_at) && self.tell(number, Heard::Change) {
            return;
        }
        // An event may have put its end off.
        if is_due(self.awaited(number).and_then(|awaited| awaited.until)) {
            self.tell(number, Heard::TimedOut);
        }
    }

    fn waiting(&self) -> Vec<u16> {
        let tokens = self.state.tokens.iter();
        tokens
            .filter(|(_, token)| matches!(token.waits, Waits::Event(_)))
            .map(|(number, _)| *number)
            .collect()
    }

    fn awaited(&self, number: u16) -> Option<&Awaited> {
        self.state.tokens.get(&number)?.waits.awaited()
    }

    fn awaited_mut(&mut self, number: u16) -> Option<&mut Awaited> {
        if let Waits::Event(awaited) = &mut self.state.tokens.get_mut(&number)?.waits {
            Some(awaited)
        } else {
            None
        }
    }

    fn awaits(&self, number: u16, event_type: &str) -> bool {
        self.awaited(number).is_some_and(|awaited| awaited.types.iter().any(|one| one == event_type))
    }

    /// Tells a token of an event if it is one that it may wait for; whether that moved the token.
    fn tell_event(&mut self, number: u16, recorded: &RecordedEvent, heard: Heard<'_>) -> bool {
        let (event, id) = (&recorded.event, recorded.event_id);
        let started_it = self.run.event.is_some_and(|started| started.event_id == id);
        let Some(token) = self.state.tokens.get(&number) else { return false };
        let in_time = self.awaited(number).is_some_and(|awaited| awaited.covers(happened_at(recorded)));
        if started_it || !in_time || token.moved_by.contains(&id) || !self.awaits(number, &event.event_type) {
            return false;
        }
        self.tell(number, heard)
    }

    /// Whether it moved the token.
    pub(super) fn tell(&mut self, number: u16, heard: Heard<'_>) -> bool {
        let workflow = self.workflow;
        let Some(mut awaited) = self.awaited(number).cloned() else { return false };
        let Some(Token { node, visit, .. }) = self.state.tokens.get(&number) else { return false };
        let Some(index) = workflow.node_index(node) else {
            let node = node.clone();
            self.fail_unknown(node);
            return true;
        };
        let visit = Visit { token: number, node: &workflow.nodes[index], index, number: *visit };
        self.budget.begin_next();
        let before = awaited.clone();
        let onward = visit.node.behaviour.hear(self, visit, &mut awaited, heard);
        if let Heard::Event(event) | Heard::Before(event) = heard
            && (onward.is_some() || awaited != before)
        {
            self.remember(number, event.event_id);
        }
        match onward {
            None => {
                if awaited != before {
                    self.await_still(visit, awaited);
                }
                false
            }
            Some(Onward::Stays) => true,
            Some(Onward::To(next)) => {
                self.state.tokens.remove(&number);
                self.go(number, Some(index), next);
                self.go_forked();
                true
            }
        }
    }

    /// What moved a token does not move it again, nor any branch that comes of it.
    fn remember(&mut self, number: u16, event: EventId) {
        remember(self.moved_by.entry(number).or_default(), [event]);
    }
}

/// Adds events to those that are remembered, of which the latest stay.
pub(super) fn remember(known: &mut Vec<EventId>, events: impl IntoIterator<Item = EventId>) {
    for event in events {
        if !known.contains(&event) {
            known.push(event);
        }
    }
    known.drain(..known.len().saturating_sub(MOST_REMEMBERED));
}

impl RunState {
    /// The types of events that the run waits for.
    pub fn awaited_types(&self) -> BTreeSet<&str> {
        self.awaiting().flat_map(|awaited| &awaited.types).map(String::as_str).collect()
    }
}
