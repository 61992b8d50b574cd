//! What set each part of a record, and when: the newest news wins, in whatever order they arrive.
//!
//! A record is a map of last-writer-wins registers: fields hold a value or none, members of sets (tags) are there or not.
//! Each keeps the stamp of what set it, also when that took it away. (Shapiro et al., *A comprehensive study of
//! Convergent and Commutative Replicated Data Types*, 2011: LWW-Register and LWW-element-Set.)

mod bytes;

pub use bytes::Unreadable;

use crate::event::Event;
use crate::id::{EventKey, RunId};
use chrono::{DateTime, Duration, SubsecRound, Utc};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How far ahead of its receipt an event may say that it happened. Clocks differ; what is further ahead is wrong, and
/// would win over everything until then.
const MOST_AHEAD: Duration = Duration::minutes(5);

/// For how many days a record remembers what it lost: as long as an event that comes again is known again.
const REMEMBERED_DAYS: u32 = 7;

/// Most losses that a record remembers.
const MOST_REMEMBERED: usize = 64;

/// When something was said, and by what. The later one is the greater, at equal times the one with the greater key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp {
    at: DateTime<Utc>,
    key: Uuid,
    of: Of,
}

/// What a key is the key of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Of {
    Event,
    Run,
}

impl Stamp {
    /// Of an event: its own `time`, or its receipt where that is more than five minutes ahead of it.
    pub fn of_event(event: &Event, received_at: DateTime<Utc>) -> Self {
        let at = if event.time > received_at + MOST_AHEAD { received_at } else { event.time };
        let EventKey(key) = event.key;
        // As exact as it is stored.
        Self { at: at.trunc_subsecs(6), key, of: Of::Event }
    }

    /// When it was said.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Of what a run does: when that is committed, in the database's clock.
    pub fn of_run(run: RunId, committed_at: DateTime<Utc>) -> Self {
        Self { at: committed_at.trunc_subsecs(6), key: run.0, of: Of::Run }
    }
}

/// Whether a part of a record is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// It has a value, or is a member. A part that always exists (a built-in field) is there also when it is null.
    There,
    /// It was taken away.
    Gone,
}

/// What news did to a part of a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Applied<T> {
    /// Nothing: newer news is known, or the record cannot hold it.
    Nothing,
    /// It said what stands there. That it did is to be kept: what is older counts no more.
    Confirmed,
    /// Something else stands there; what there is to say of that.
    Changed(T),
}

impl<T> Applied<T> {
    /// Whether the record is to be written.
    pub fn is_to_be_written(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Changed(_))
    }

    /// The same, with something else to say of a change.
    pub(crate) fn map<U>(self, say: impl FnOnce(T) -> U) -> Applied<U> {
        match self {
            Self::Nothing => Applied::Nothing,
            Self::Confirmed => Applied::Confirmed,
            Self::Changed(said) => Applied::Changed(say(said)),
        }
    }
}

/// The stamps of a record's parts, by their names: `email`, `fields.plan`, `tags.vip`. A part without one was set before
/// anything else.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Stamps {
    parts: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Entry {
    stamp: Stamp,
    presence: Presence,
    /// The day since 1970 on which it was stored that the part is gone. The stamp may be much older: events come late.
    gone_on: Option<u32>,
}

impl Stamps {
    /// What set a part; `None` when that is not known.
    pub fn get(&self, part: &str) -> Option<Stamp> {
        self.parts.get(part).map(|entry| entry.stamp)
    }

    /// Takes in news of a part, unless newer news is known. `change` makes the part what the news says, and gives what
    /// there is to say of that; `None` when it is so already.
    ///
    /// News with the stamp that stands there is taken in too: it is the same news again, or the next step of a run.
    pub(crate) fn take<T>(
        &mut self,
        part: String,
        stamp: Stamp,
        presence: Presence,
        change: impl FnOnce() -> Option<T>,
    ) -> Applied<T> {
        let before = self.parts.get(&part);
        if before.is_some_and(|before| before.stamp > stamp) {
            return Applied::Nothing;
        }
        let is_known = before.is_some_and(|before| before.stamp == stamp);
        self.parts.insert(part, Entry { stamp, presence, gone_on: None });
        match change() {
            Some(said) => Applied::Changed(said),
            None if is_known => Applied::Nothing,
            None => Applied::Confirmed,
        }
    }

    /// The stamps as they are stored at `now`. What was lost more than seven days ago is forgotten, and of more than 64
    /// losses the oldest are: older news of such a part would then bring it back.
    pub fn to_bytes(&self, now: DateTime<Utc>) -> Vec<u8> {
        let today = u32::try_from(now.timestamp() / 86_400).unwrap_or_default();
        let gone = self.parts.iter().filter(|(_, entry)| entry.presence == Presence::Gone);
        let mut gone: Vec<(u32, Stamp, &str)> =
            gone.map(|(part, entry)| (entry.gone_on.unwrap_or(today), entry.stamp, part.as_str())).collect();
        gone.retain(|(day, ..)| today.saturating_sub(*day) <= REMEMBERED_DAYS);
        gone.sort_unstable_by(|a, b| b.cmp(a));
        gone.truncate(MOST_REMEMBERED);
        let there = self.parts.iter().filter(|(_, entry)| entry.presence == Presence::There);
        let there = there.map(|(part, entry)| (part.as_str(), entry.stamp, None));
        bytes::write(
            &there
                .chain(gone.iter().map(|(day, stamp, part)| (*part, *stamp, Some(*day))))
                .collect::<Vec<_>>(),
        )
    }

    /// The stamps that were stored so.
    ///
    /// # Errors
    ///
    /// When they are not of this form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        bytes::read(bytes).map(|parts| Self { parts })
    }
}

/// For people: `{"email": {"at": …, "event_key": …}}`, of what is gone with `"gone": true`.
impl Serialize for Stamps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.parts.len()))?;
        for (part, Entry { stamp, presence, .. }) in &self.parts {
            let key = match stamp.of {
                Of::Event => "event_key",
                Of::Run => "run_id",
            };
            let mut value = json!({ "at": stamp.at, key: stamp.key });
            if *presence == Presence::Gone {
                value["gone"] = json!(true);
            }
            map.serialize_entry(part, &value)?;
        }
        map.end()
    }
}

#[cfg(test)]
#[path = "stamps_tests.rs"]
mod tests;
