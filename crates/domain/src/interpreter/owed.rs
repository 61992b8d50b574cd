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
    /// A delay that is over at this time, its turn, or that a join gives it up.
    Timer {
        /// When.
        until: DateTime<Utc>,
    },
    /// Another try.
    Retry {
        /// When.
        until: DateTime<Utc>,
    },
    /// What others bring, whenever that is.
    Others,
    /// The outcome of a request that is on its way.
    Outcome,
}

impl RunState {
    /// What each token is owed, in the order of their numbers; nothing once the run has ended, nor to a branch that died,
    /// unless a join waits for it. A token whose turn it is to enter a node is owed that `now`.
    pub fn owed(&self, now: DateTime<Utc>) -> Vec<Owed> {
        let of = |(token, standing): (&u16, &Token)| {
            let waits_for = match standing.waits {
                Waits::Timer { until } | Waits::Dead { until: Some(until), .. } => OwedFor::Timer { until },
                Waits::Turn => OwedFor::Timer { until: now },
                Waits::Event(ref awaited) => match awaited.due_at(now) {
                    Some(until) => OwedFor::Timer { until },
                    None => OwedFor::Others,
                },
                Waits::Retry { until, .. } => OwedFor::Retry { until },
                Waits::Action { .. } => OwedFor::Outcome,
                Waits::Dead { until: None, .. } => return None,
            };
            Some(Owed { token: *token, node: standing.node.clone(), waits_for })
        };
        self.tokens.iter().filter_map(of).collect()
    }
}
