//! Doing something to many things: one after the other, not faster than allowed, until somebody wants no more.

use crate::{Error, Page};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How many things are gone through, and who is told.
pub struct Bulk<'a> {
    /// Most things a second.
    pub rate: u32,
    /// Ends it before the next thing.
    pub stop: CancellationToken,
    /// Hears how far it is.
    pub told: &'a mut (dyn FnMut(Progress) + Send),
}

/// How far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// So many of all are done.
    Done {
        /// Done, or refused.
        done: usize,
        /// All.
        of: usize,
    },
    /// So many went first, and got past the step that had failed.
    CanariesPassed(usize),
    /// Runs were not nudged, so the scheduler will wake them: why.
    NotNudged(String),
}

/// What came of things that were gone through.
#[derive(Debug)]
pub struct Gone<T> {
    /// What came of each, as far as it went.
    pub rows: Page<T>,
    /// Why it went no further than that; somebody who stops it is no error.
    pub ended: Result<(), Error>,
}

/// One thing after the other.
pub(crate) struct Pace {
    ticks: Interval,
    stop: CancellationToken,
}

impl Pace {
    pub(crate) fn new(bulk: &Bulk<'_>) -> Self {
        let mut ticks = interval(Duration::from_secs(1) / bulk.rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, stop: bulk.stop.clone() }
    }

    /// Waits for the next turn; `false` when somebody wants no more.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = self.ticks.tick() => true,
        }
    }
}
