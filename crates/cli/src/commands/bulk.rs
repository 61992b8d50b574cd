//! What commands share that do something to many things: a confirmation, a pace, progress, and a stop.

use crate::exit;
use crate::output::note;
use automation_service_kit::clock;
use clap::Args;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Most things that one command handles.
pub const MOST: i64 = 100_000;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(5);

/// Arguments of commands that handle many things.
#[derive(Args, Debug)]
pub struct BulkArgs {
    /// Do it although it is more than one
    #[arg(long)]
    pub yes: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// At most this many, the oldest first
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..=MOST))]
    pub limit: Option<i64>,
}

impl BulkArgs {
    /// How many are chosen at most.
    pub fn most(&self) -> i64 {
        self.limit.unwrap_or(MOST)
    }

    /// Refuses to do something to more than one thing that nobody confirmed.
    pub fn confirm(&self, count: usize, what: &str) -> anyhow::Result<()> {
        if count <= 1 || self.yes {
            return Ok(());
        }
        Err(exit::usage(
            format!("this would {what} {count} at once"),
            "look with --dry-run, then repeat the command with --yes",
        ))
    }
}

/// One thing after the other, not faster than allowed, until Ctrl-C.
pub struct Pace {
    ticks: Interval,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    shown_at: Instant,
}

impl Pace {
    /// At most `rate` things a second.
    pub fn new(rate: u32) -> Self {
        let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = Box::pin(async {
            // Without a handler for the signal, Ctrl-C ends the process as always.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        Self { ticks, stop, shown_at: clock::timer_now() }
    }

    /// Waits for the next turn; `false` when the person wants no more.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = &mut self.stop => false,
            _ = self.ticks.tick() => true,
        }
    }

    /// Says how far it is, every few seconds.
    pub fn show(&mut self, done: usize, of: usize) {
        if self.shown_at.elapsed() >= PROGRESS {
            self.shown_at = clock::timer_now();
            note(format!("{done} of {of}"));
        }
    }
}
