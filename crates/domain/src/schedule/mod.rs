//! When a schedule fires: slots as a pure function of its definition and a time.
//!
//! A *slot* is an instant, in whole seconds, that the schedule names. `docs/schedules.md` states the rules; the
//! daylight-saving rule is kept in [`cron`], the catch-up rule in [`plan`].

pub mod cron;
mod every;
pub mod plan;
pub(crate) mod zone;

pub use cron::Cron;
pub use every::Every;

use crate::id::{ScheduleId, digest};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

/// Event type of the slots of a cron expression.
pub const CRON_EVENT: &str = "schedule.cron";
/// Event type of the slots of an interval.
pub const INTERVAL_EVENT: &str = "schedule.interval";
/// What the types of all slots begin with; only the engine publishes them.
pub const EVENT_PREFIX: &str = "schedule.";

/// When a trigger fires, and what becomes of slots that nobody was there for.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    /// Which instants are slots.
    pub timing: Timing,
    /// What becomes of missed slots.
    pub catch_up: CatchUp,
    /// Longest delay of a slot's event; how long it is for a slot is [`Schedule::due_at`]'s to say.
    pub jitter: TimeDelta,
    /// No slot is earlier.
    pub starts_at: Option<DateTime<Utc>>,
    /// Every slot is earlier.
    pub ends_at: Option<DateTime<Utc>>,
}

/// Which instants are slots.
#[derive(Clone, PartialEq, Debug)]
pub enum Timing {
    /// By the clock on the wall of a time zone.
    Cron(Box<Cron>),
    /// By elapsed time.
    Every(Every),
}

/// What becomes of slots that were missed: during an outage, or while the workflow was paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CatchUp {
    /// They are gone.
    Skip,
    /// The last of them is made up for, unless a later slot is on time.
    #[default]
    Latest,
    /// Each is made up for, up to a bound: the latest ones.
    All,
}

impl CatchUp {
    /// All of them with their words in workflow files.
    pub const ALL: [(&str, Self); 3] = [("skip", Self::Skip), ("latest", Self::Latest), ("all", Self::All)];
}

impl Schedule {
    /// A schedule without jitter and window, for a look at its slots.
    pub fn plain(timing: Timing) -> Self {
        let jitter = TimeDelta::zero();
        Self { timing, catch_up: CatchUp::default(), jitter, starts_at: None, ends_at: None }
    }

    /// The same schedule, its interval counted from `at` unless it names an anchor itself.
    pub fn anchored(mut self, at: DateTime<Utc>) -> Self {
        if let Timing::Every(every) = &mut self.timing {
            every.anchor.get_or_insert(at);
        }
        self
    }

    /// The first slot after `at`; `None` when there is none any more.
    pub fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let at = match self.starts_at {
            Some(start) => at.max(start - TimeDelta::nanoseconds(1)),
            None => at,
        };
        let slot = match &self.timing {
            Timing::Cron(cron) => cron.next_after(at)?,
            Timing::Every(every) => every.next_after(at)?,
        };
        self.ends_at.is_none_or(|end| slot < end).then_some(slot)
    }

    /// Whether no slot lies in its window, as far as that is known: an interval without an anchor is counted from a
    /// moment that only publishing it gives.
    pub(crate) fn is_never(&self) -> bool {
        let anchored = match &self.timing {
            Timing::Cron(_) => true,
            Timing::Every(every) => every.anchor.is_some(),
        };
        let start = self.starts_at.filter(|_| anchored && self.ends_at.is_some());
        start.is_some_and(|start| self.next_after(start - TimeDelta::nanoseconds(1)).is_none())
    }

    /// The first `limit` slots after `after` and not after `until`, in order.
    pub fn slots_between(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Vec<DateTime<Utc>> {
        self.slots_after(after).take_while(|slot| *slot <= until).take(limit).collect()
    }

    /// The slots after `at`, in order, as far as there are any.
    pub fn slots_after(&self, at: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_after(at), |slot| self.next_after(*slot))
    }

    /// When the event of a slot leaves: the slot, delayed by less than the jitter.
    ///
    /// The delay is a hash of schedule and slot, in milliseconds: every scheduler comes to the same, and schedules that
    /// share a slot are spread.
    pub fn due_at(&self, id: ScheduleId, slot: DateTime<Utc>) -> DateTime<Utc> {
        let Ok(longest @ 1..) = u128::try_from(self.jitter.num_milliseconds()) else { return slot };
        let hash = digest(&[b"jitter", id.0.as_bytes(), &slot.timestamp().to_be_bytes()]);
        // Version and variant of the id are constant bits; its last 62 are all hash.
        let delay = (hash.as_u128() & ((1 << 62) - 1)) % longest;
        slot + TimeDelta::milliseconds(i64::try_from(delay).unwrap_or(0))
    }

    /// Whether any two slots that follow each other are closer than `distance`, on days without a change of clocks.
    pub fn is_closer_than(&self, distance: TimeDelta) -> bool {
        match &self.timing {
            Timing::Cron(cron) => cron.is_closer_than(distance),
            Timing::Every(every) => every.interval < distance,
        }
    }

    /// The type of its events.
    pub fn event_type(&self) -> &'static str {
        match &self.timing {
            Timing::Cron(_) => CRON_EVENT,
            Timing::Every(_) => INTERVAL_EVENT,
        }
    }

    /// The data of a slot's event; the same every time, so that a repeated event is known as one.
    pub fn event_data(&self, id: ScheduleId, slot: DateTime<Utc>) -> Value {
        let fire_at = slot.to_rfc3339_opts(SecondsFormat::Secs, true);
        match &self.timing {
            Timing::Cron(cron) => json!({
                "schedule_id": id, "fire_at": fire_at, "expression": cron.text(), "timezone": cron.zone().name(),
            }),
            Timing::Every(every) => json!({ "schedule_id": id, "fire_at": fire_at, "every": every.text }),
        }
    }

    /// What people read: the expression or the interval as written.
    pub fn text(&self) -> &str {
        match &self.timing {
            Timing::Cron(cron) => cron.text(),
            Timing::Every(every) => &every.text,
        }
    }

    /// The schedule in English.
    pub fn words(&self) -> String {
        match &self.timing {
            Timing::Cron(cron) => cron.words(),
            Timing::Every(every) => format!("Every {}.", every.text),
        }
    }

    /// The zone whose wall clock counts; none for an interval.
    pub fn zone_name(&self) -> Option<&'static str> {
        match &self.timing {
            Timing::Cron(cron) => Some(cron.zone().name()),
            Timing::Every(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
