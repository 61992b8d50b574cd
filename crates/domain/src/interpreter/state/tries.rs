//! What a step has used up of its tries.

use crate::retry::Tally;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a step has used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tries {
    /// Which attempt; 1 is the first.
    #[serde(default = "first")]
    pub attempt: u32,
    /// Times it was put off because the other side asked for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferrals: u32,
    /// How long it was put off so far, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferred_ms: u64,
    /// Times in a row that there was no room to send it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub postponed: u32,
}

impl Tries {
    /// Of a step that was not tried yet.
    pub const FIRST: Self = Self { attempt: 1, deferrals: 0, deferred_ms: 0, postponed: 0 };

    /// Which sending this is: each has a number of its own within a visit.
    pub fn number(self) -> u32 {
        self.attempt.saturating_add(self.deferrals)
    }

    /// What counts for the next try.
    pub fn tally(self) -> Tally {
        Tally {
            attempt: self.attempt,
            deferrals: self.deferrals,
            deferred: Duration::from_millis(self.deferred_ms),
        }
    }
}

impl From<Tally> for Tries {
    fn from(tally: Tally) -> Self {
        let deferred_ms = u64::try_from(tally.deferred.as_millis()).unwrap_or(u64::MAX);
        Self { attempt: tally.attempt, deferrals: tally.deferrals, deferred_ms, postponed: 0 }
    }
}

fn first() -> u32 {
    1
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
