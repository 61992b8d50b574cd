//! Ends a process that hangs: nothing inside it can end an evaluation that does not end by itself.
//!
//! A thread of its own looks at what [the others hold](crate::in_hand), and whether the runtime still gets round. What has been
//! in hand for too long is named in the log and by `/livez`; then the process ends with code [`HUNG`], as if it had been
//! killed: whoever comes next takes over, and knows what it was over (docs/adr/0018).

use crate::clock;
use crate::health::Health;
use crate::in_hand::{self, InHand};
use anyhow::Context;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// The exit code of a process that the watchdog ended: `EX_SOFTWARE` of sysexits.
pub const HUNG: i32 = 70;

/// How long a process that hangs lives on, so that `/livez` is asked and the log written.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Looks within the time that something may be in hand.
const LOOKS: u32 = 10;
/// So many times the limit the runtime may be busy: threads are, on a machine with little to give, without anything that hangs.
const PATIENCE_WITH_RUNTIME: u32 = 4;
/// A look that comes later than this many times its pause was not kept up by anything in hand: the machine slept, or was busy.
const LATE: u32 = 2;

/// What stands in for a thread: the whole runtime, whose beat counts as what it takes in hand.
const RUNTIME: usize = 0;

/// Starts the watchdog over this process and the runtime that this is called on; `limit` is how long a thread may hold one
/// thing.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn start(limit: Duration, health: Health) -> anyhow::Result<()> {
    let pause = limit / LOOKS;
    let beats = Arc::new(AtomicU64::new(0));
    let beating = beats.clone();
    Handle::current().spawn(async move {
        loop {
            beating.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
        }
    });
    #[expect(clippy::disallowed_methods, reason = "this thread is no runtime's")]
    let watch = move || {
        let (mut watch, mut looked) = (Watch::new(limit, pause), clock::now());
        loop {
            std::thread::sleep(pause);
            let passed = looked.elapsed();
            looked = clock::now();
            let mut held = in_hand::look();
            held.push((RUNTIME, beats.load(Ordering::Relaxed), runtime()));
            let hanging = watch.look(passed, held);
            if !hanging.is_empty() {
                end(limit, &hanging, &health);
            }
        }
    };
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch).context("starting the watchdog")?;
    Ok(())
}

fn runtime() -> InHand {
    InHand { kind: "runtime", id: "its threads are all busy".to_owned(), ..InHand::default() }
}

/// Names what hangs, and ends the process: no destructor runs, since one may wait for what hangs.
#[expect(clippy::disallowed_methods, reason = "the process cannot return, and this thread is no runtime's")]
fn end(limit: Duration, hanging: &[InHand], health: &Health) -> ! {
    let named: Vec<String> = hanging.iter().map(ToString::to_string).collect();
    let named = named.join("; ");
    health.hangs(&named);
    tracing::error!(
        hanging = named,
        limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        code = HUNG,
        "something has been in hand for too long; the process ends"
    );
    std::thread::sleep(LAST_WORDS);
    std::process::exit(HUNG)
}

/// For how long each thread has held what it holds, by the time of the looks.
struct Watch {
    limit: Duration,
    pause: Duration,
    now: Duration,
    /// By thread: what it held at the last look, and since which look.
    seen: BTreeMap<usize, (u64, Duration)>,
}

impl Watch {
    fn new(limit: Duration, pause: Duration) -> Self {
        Self { limit, pause, now: Duration::ZERO, seen: BTreeMap::new() }
    }

    /// What hangs, after a look at what is held, `passed` after the one before.
    fn look(&mut self, passed: Duration, held: Vec<(usize, u64, InHand)>) -> Vec<InHand> {
        self.now += passed.min(self.pause * LATE);
        let before = std::mem::take(&mut self.seen);
        let mut hanging = Vec::new();
        for (thread, turn, in_hand) in held {
            let same = before.get(&thread).filter(|(known, _)| *known == turn);
            let since = same.map_or(self.now, |(_, since)| *since);
            self.seen.insert(thread, (turn, since));
            let limit = if thread == RUNTIME { self.limit * PATIENCE_WITH_RUNTIME } else { self.limit };
            if self.now - since >= limit {
                hanging.push(in_hand);
            }
        }
        hanging
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(500);

    fn node(id: &str) -> InHand {
        InHand { kind: "node", id: id.to_owned(), ..InHand::default() }
    }

    /// At which of many looks, `passed` apart, something hangs.
    fn hangs_at(passed: Duration, held: impl Fn(u64) -> Vec<(usize, u64, InHand)>) -> Option<u64> {
        let mut watch = Watch::new(LIMIT, PAUSE);
        (0..100).find(|number| !watch.look(passed, held(*number)).is_empty())
    }

    #[test]
    fn what_is_held_for_the_limit_hangs_and_is_named() {
        assert_eq!(hangs_at(PAUSE, |_| vec![(7, 1, node("tag"))]), Some(10));
        let mut watch = Watch::new(LIMIT, PAUSE);
        let held = || vec![(7, 1, node("tag")), (8, 3, node("call"))];
        assert_eq!(watch.look(PAUSE, held()), []);
        assert_eq!(watch.look(PAUSE * 2, vec![(7, 1, node("tag"))]), []);
        let looks: Vec<_> = (0..8).map(|_| watch.look(PAUSE, held())).collect();
        assert!(looks[..7].iter().all(Vec::is_empty), "{looks:?}");
        assert_eq!(looks[7], [node("tag")], "the other was put down in between");
    }

    #[test]
    fn what_is_taken_anew_at_every_look_does_not_hang() {
        assert_eq!(hangs_at(PAUSE, |number| vec![(7, number, node("tag"))]), None);
        assert_eq!(
            hangs_at(PAUSE, |number| (number % 2 == 0).then(|| (7, 1, node("tag"))).into_iter().collect()),
            None
        );
    }

    #[test]
    fn a_runtime_whose_beat_stops_hangs() {
        let beat = |number: u64| vec![(RUNTIME, number.min(20), runtime())];
        assert_eq!(hangs_at(PAUSE, beat), Some(60));
    }

    #[test]
    fn a_machine_that_slept_for_an_hour_hangs_no_sooner() {
        assert_eq!(hangs_at(Duration::from_secs(3_600), |_| vec![(7, 1, node("tag"))]), Some(5));
    }
}
