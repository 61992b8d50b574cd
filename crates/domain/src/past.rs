//! What happened to a contact: events of some types by when they happened, as aggregates of conditions look at them.
//!
//! Whoever evaluates gathers it, by one look for a batch; what it comes to is decided by conditions alone, so that a trigger, a
//! branch and whoever asks afterwards come to the same figure.

mod sum;
mod values;

pub use sum::Sum;
pub(crate) use values::may_be_kept;
pub use values::{MOST_PATHS, VALUE_BYTES, Values};

use crate::event::RecordedEvent;
use crate::facts::FieldPath;
use crate::id::EventId;
use crate::interpreter::happened_at;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// Most events of one type that are gathered of a contact: the latest.
pub const MOST_EVENTS: usize = 1_000;

/// What is known of what happened to whom facts are about.
#[derive(Clone, Copy, Debug, Default)]
pub enum Past<'a> {
    /// Nobody gathered it: what asks for it has no result.
    #[default]
    Unknown,
    /// The facts are about nobody, to whom nothing happens.
    Nobody,
    /// This.
    Of(&'a History),
}

/// What happened to a contact, of the types that were asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct History {
    known_at: DateTime<Utc>,
    by_type: BTreeMap<String, OfType>,
}

/// The events of one type.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OfType {
    /// In any order, each once.
    pub events: Vec<PastEvent>,
    /// Whether there are more, none of which happened after the earliest of these.
    pub has_more: bool,
}

/// One event, as far as it is known.
#[derive(Clone, PartialEq, Debug)]
pub struct PastEvent {
    /// Which.
    pub event_id: EventId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// What is known of its content.
    pub values: Values,
}

/// What is asked of the past of a contact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked<'w> {
    /// Events of this type.
    pub event: &'w str,
    /// No older than this.
    pub within: TimeDelta,
    /// What is asked of their content.
    pub paths: Vec<&'w FieldPath>,
}

/// By type what several ask, as far back as the one that goes furthest.
pub fn together<'w>(all: impl IntoIterator<Item = Asked<'w>>) -> BTreeMap<&'w str, Asked<'w>> {
    let mut by_type: BTreeMap<&str, Asked<'w>> = BTreeMap::new();
    for one in all {
        match by_type.get_mut(one.event) {
            None => drop(by_type.insert(one.event, one)),
            Some(known) => {
                known.within = known.within.max(one.within);
                known.paths.extend(one.paths);
                known.paths.sort_unstable();
                known.paths.dedup();
            }
        }
    }
    by_type
}

impl PastEvent {
    /// What conditions ask of an event that is at hand; these of its values.
    pub fn of<'p>(recorded: &RecordedEvent, paths: impl IntoIterator<Item = &'p FieldPath>) -> Self {
        Self {
            event_id: recorded.event_id,
            at: happened_at(recorded),
            received_at: recorded.received_at,
            values: Values::of(&recorded.event, paths),
        }
    }
}

impl History {
    /// What was known at a moment, of nothing yet.
    pub fn new(known_at: DateTime<Utc>) -> Self {
        Self { known_at, by_type: BTreeMap::new() }
    }

    /// The same as it was known at an earlier moment.
    #[must_use]
    pub fn as_of(self, known_at: DateTime<Utc>) -> Self {
        Self { known_at, ..self }
    }

    /// When it was gathered: what happened by then may be in it.
    pub fn known_at(&self) -> DateTime<Utc> {
        self.known_at
    }

    /// Keeps what was gathered of a type, which may be nothing.
    pub fn add(&mut self, event_type: &str, events: impl IntoIterator<Item = PastEvent>, has_more: bool) {
        let of_type = self.by_type.entry(event_type.to_owned()).or_default();
        of_type.events.extend(events);
        of_type.has_more |= has_more;
    }

    /// What was gathered of a type; `None` where nobody looked.
    pub fn of_type(&self, event_type: &str) -> Option<&OfType> {
        self.by_type.get(event_type)
    }
}
