//! Slots by elapsed time.

use chrono::{DateTime, TimeDelta, Utc};

/// A slot every so often, counted from an anchor in both directions; clocks that change do not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Every {
    /// As written: `15m`.
    pub text: String,
    /// Distance between two slots, in whole seconds, at least one.
    pub interval: TimeDelta,
    /// A slot of the series, its fraction of a second cut off; the epoch without one.
    pub anchor: Option<DateTime<Utc>>,
}

impl Every {
    /// The first slot after `at`.
    pub(super) fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let slot = self.last_until(at)?.checked_add(self.seconds())?;
        DateTime::from_timestamp(slot, 0)
    }

    /// How many slots there are from `from` on, which is a slot, and before `end`.
    pub(super) fn count(&self, from: DateTime<Utc>, end: DateTime<Utc>) -> u64 {
        let last = self.last_until(end - TimeDelta::nanoseconds(1)).unwrap_or(i64::MIN);
        match u64::try_from(last.saturating_sub(from.timestamp())) {
            Ok(span) => span / self.seconds().unsigned_abs() + 1,
            Err(_before) => 0,
        }
    }

    /// The last slot not after `at`, in seconds since the epoch.
    fn last_until(&self, at: DateTime<Utc>) -> Option<i64> {
        let anchor = self.anchor.map_or(0, |anchor| anchor.timestamp());
        let intervals = at.timestamp().checked_sub(anchor)?.div_euclid(self.seconds());
        intervals.checked_mul(self.seconds())?.checked_add(anchor)
    }

    fn seconds(&self) -> i64 {
        self.interval.num_seconds().max(1)
    }
}
