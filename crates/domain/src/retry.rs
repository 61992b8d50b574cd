//! When a failed step is tried again, and when it is given up.

use crate::rungs::Rungs;
use std::time::Duration;

/// Most entries of a list of delays.
pub const MOST_ATTEMPTS: usize = 20;

/// How a step is tried again: the node's `retry`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RetryPolicy {
    /// As the engine's configuration says.
    #[default]
    Ladder,
    /// One entry per attempt: how long after the one before. The first is zero.
    Delays(Vec<Duration>),
    /// Never.
    None,
}

/// The engine's own ladder, and how far other sides may ask for patience.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ladder {
    /// How long after each failed attempt the next one is made. Default 1 m, 5 m, 15 m, 1 h, 6 h: six attempts.
    pub rungs: Rungs,
    /// Times that a step may be put off because the other side said for how long, before that counts as an attempt. Default 20.
    pub max_deferrals: u32,
    /// The same in time, over all of a step's deferrals. Default 24 h.
    pub max_deferred: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { rungs: Rungs::default(), max_deferrals: 20, max_deferred: Duration::from_secs(86_400) }
    }
}

/// What a failed try means for the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// Nothing was sent: the step could not be prepared. Trying again gives the same.
    Refused,
    /// It may work later.
    Retry {
        /// How long the other side asked to be left alone.
        after: Option<Duration>,
    },
    /// Trying again cannot help.
    Fail,
    /// It may have worked, and must not be sent twice.
    Unknown,
}

/// What a step has used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Which attempt; 1 is the first.
    pub attempt: u32,
    /// Times it was put off because the other side asked for it.
    pub deferrals: u32,
    /// How long it was put off so far.
    pub deferred: Duration,
}

impl Tally {
    /// Of a step that was not tried yet.
    pub const FIRST: Self = Self { attempt: 1, deferrals: 0, deferred: Duration::ZERO };
}

/// What comes after a failed try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The next attempt.
    Attempt {
        /// How long from now.
        delay: Duration,
        /// What is used up when it begins.
        tally: Tally,
    },
    /// The same attempt once more: the other side said when.
    Deferred {
        /// How long from now.
        delay: Duration,
        /// What is used up when it begins.
        tally: Tally,
    },
    /// Nothing.
    GiveUp,
}

/// The shortest deferral: a side that asks for less is asked again after this.
const SHORTEST_DEFERRAL: Duration = Duration::from_secs(1);

/// What comes after the failed try that `tally` counts.
///
/// A delay that the other side named is obeyed without using up an attempt, as long as the ladder's bounds allow it; from
/// then on the failure counts like any other. A step that is never tried again is not deferred either.
pub fn next(policy: &RetryPolicy, ladder: &Ladder, tally: Tally, kind: FailureKind) -> Next {
    let after = match kind {
        FailureKind::Refused | FailureKind::Fail | FailureKind::Unknown => return Next::GiveUp,
        FailureKind::Retry { after } => after,
    };
    let attempt = tally.attempt.saturating_add(1);
    let delay = match policy {
        RetryPolicy::None => return Next::GiveUp,
        RetryPolicy::Ladder => ladder.rungs.before_attempt(attempt),
        RetryPolicy::Delays(delays) => delays.get(tally.attempt as usize).copied(),
    };
    if let Some(delay) = after.map(|after| after.max(SHORTEST_DEFERRAL)) {
        let deferred = tally.deferred.saturating_add(delay);
        if tally.deferrals < ladder.max_deferrals && deferred <= ladder.max_deferred {
            let tally = Tally { deferrals: tally.deferrals + 1, deferred, ..tally };
            return Next::Deferred { delay, tally };
        }
    }
    match delay {
        Some(delay) => Next::Attempt { delay, tally: Tally { attempt, ..tally } },
        None => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn retry(after: Option<u64>) -> FailureKind {
        FailureKind::Retry { after: after.map(Duration::from_secs) }
    }

    /// Fails with these kinds, one after the other; tells the delays until it is given up or nothing fails any more.
    fn play(policy: &RetryPolicy, ladder: &Ladder, kinds: impl IntoIterator<Item = FailureKind>) -> String {
        let mut tally = Tally::FIRST;
        let mut told = Vec::new();
        for kind in kinds {
            match next(policy, ladder, tally, kind) {
                Next::Attempt { delay, tally: next } => {
                    told.push(format!("{}s", delay.as_secs()));
                    tally = next;
                }
                Next::Deferred { delay, tally: next } => {
                    told.push(format!("({}s)", delay.as_secs()));
                    tally = next;
                }
                Next::GiveUp => {
                    told.push("end".to_owned());
                    break;
                }
            }
        }
        told.join(" ")
    }

    #[test]
    fn every_policy_has_its_attempts() {
        let delays = RetryPolicy::Delays([0, 10, 60].map(Duration::from_secs).to_vec());
        let nothing = RetryPolicy::Delays(Vec::new());
        for (policy, expected) in [
            (&RetryPolicy::Ladder, "60s 300s 900s 3600s 21600s end"),
            (&delays, "10s 60s end"),
            (&nothing, "end"),
            (&RetryPolicy::None, "end"),
        ] {
            let failing = std::iter::repeat(retry(None));
            assert_eq!(play(policy, &Ladder::default(), failing), expected, "{policy:?}");
        }
    }

    #[test]
    fn what_cannot_heal_is_given_up_at_once() {
        for kind in [FailureKind::Refused, FailureKind::Fail, FailureKind::Unknown] {
            let failing = [retry(None), kind];
            assert_eq!(play(&RetryPolicy::Ladder, &Ladder::default(), failing), "60s end", "{kind:?}");
        }
    }

    #[test]
    fn named_delays_use_up_no_attempt_within_their_bounds() {
        let ladder = Ladder { max_deferrals: 2, max_deferred: 100 * SECOND, ..Ladder::default() };
        let failing = [Some(5), None, Some(7), Some(7), None].map(retry);
        assert_eq!(
            play(&RetryPolicy::Ladder, &ladder, failing),
            "(5s) 60s (7s) 300s 900s",
            "the third is one too many, and counts"
        );
        let failing = [Some(90), Some(11), Some(10)].map(retry);
        assert_eq!(
            play(&RetryPolicy::Ladder, &ladder, failing),
            "(90s) 60s (10s)",
            "the second would be too long in all"
        );
        let at_once = [Some(0)].map(retry);
        assert_eq!(play(&RetryPolicy::Ladder, &ladder, at_once), "(1s)");
        assert_eq!(play(&RetryPolicy::None, &ladder, [retry(Some(5))]), "end");
    }

    proptest! {
        #[test]
        fn attempts_and_deferrals_never_exceed_their_bounds(
            delays in prop::collection::vec(0..100_u64, 0..8),
            after in prop::collection::vec(prop::option::of(0..200_u64), 1..200),
            max_deferrals in 0..10_u32,
            max_deferred in 0..500_u64,
        ) {
            let policy = RetryPolicy::Delays(delays.iter().copied().map(Duration::from_secs).collect());
            let max_deferred = Duration::from_secs(max_deferred);
            let ladder = Ladder { max_deferrals, max_deferred, ..Ladder::default() };
            let (mut tally, mut tries, mut waited) = (Tally::FIRST, 1, Duration::ZERO);
            for named in after.iter().cycle().take(400) {
                match next(&policy, &ladder, tally, retry(*named)) {
                    Next::Attempt { delay, tally: next } => {
                        prop_assert_eq!(next.attempt, tally.attempt + 1);
                        prop_assert_eq!(delay.as_secs(), delays[tally.attempt as usize]);
                        tally = next;
                    }
                    Next::Deferred { delay, tally: next } => {
                        prop_assert_eq!(next.attempt, tally.attempt);
                        prop_assert!(delay >= SECOND);
                        waited += delay;
                        tally = next;
                    }
                    Next::GiveUp => break,
                }
                tries += 1;
            }
            prop_assert!(tally.attempt as usize <= delays.len().max(1));
            prop_assert!(tally.deferrals <= max_deferrals && waited <= max_deferred);
            prop_assert_eq!(tally.deferred, waited);
            prop_assert_eq!(tries, tally.attempt + tally.deferrals);
        }
    }
}
