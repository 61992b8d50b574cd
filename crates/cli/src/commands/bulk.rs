//! What commands share that do something to many things: a confirmation, progress, and a stop.

use crate::exit;
use crate::output::note;
use automation_operations::Progress;
use automation_service_kit::clock;
use clap::Args;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

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

/// Cancelled once the person wants no more: Ctrl-C.
pub fn until_stopped() -> CancellationToken {
    let stopped = CancellationToken::new();
    let stop = stopped.clone();
    tokio::spawn(async move {
        // Without a handler for the signal, Ctrl-C ends the process as always.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    stopped
}

/// Says how far it is, every few seconds.
pub struct Told {
    shown_at: Instant,
}

impl Default for Told {
    fn default() -> Self {
        Self { shown_at: clock::now() }
    }
}

impl Told {
    /// Hears of progress.
    pub fn hear(&mut self, progress: &Progress) {
        match progress {
            Progress::Done { done, of } if self.shown_at.elapsed() >= PROGRESS => {
                self.shown_at = clock::now();
                note(format!("{done} of {of}"));
            }
            Progress::Done { .. } => {}
            Progress::CanariesPassed(count) => {
                note(format!("the first {count} got past the step that had failed"));
            }
            Progress::NotNudged(error) => {
                note(format!("nudges were not published, so the scheduler will wake the runs: {error}"));
            }
        }
    }
}
