//! What a run is owed by whoever keeps it.

use super::{RunState, Token, Waits};
use chrono::{DateTime, Utc};

/// What a token that waits is owed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owed {
    /// Which token.
    pub token: u16,
    /// The node it stands on.
    pub node: String,
    /// What it waits for.
    pub waits_for: OwedFor,
}

/// What a token waits for, as far as it matters to whoever wakes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwedFor {
    /// A delay that is over at this time, or its turn.
    Timer {
        /// When.
        until: DateTime<Utc>,
    },
    /// Another try.
    Retry {
        /// When.
        until: DateTime<Utc>,
    },
    /// The outcome of a request that is on its way.
    Outcome,
}

impl RunState {
    /// What each token is owed, in the order of their numbers; nothing once the run has ended, nor to a branch that died. A token
    /// whose turn it is to enter a node is owed that `now`.
    pub fn owed(&self, now: DateTime<Utc>) -> Vec<Owed> {
        let of = |(token, standing): (&u16, &Token)| {
            let waits_for = match standing.waits {
                Waits::Timer { until } => OwedFor::Timer { until },
                Waits::Turn => OwedFor::Timer { until: now },
                Waits::Retry { until, .. } => OwedFor::Retry { until },
                Waits::Action { .. } => OwedFor::Outcome,
                Waits::Dead { .. } => return None,
            };
            Some(Owed { token: *token, node: standing.node.clone(), waits_for })
        };
        self.tokens.iter().filter_map(of).collect()
    }
}
