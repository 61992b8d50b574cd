//! How far the engine is, as its processes tell: each prints a line whenever one of its counters has moved.

use automation_service_kit::metrics::Metrics;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio_util::sync::CancellationToken;

/// How often a role looks at its counters.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// What the roles have committed so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    recorded: AtomicU64,
    finished: AtomicU64,
}

/// A counter that a role tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// Events that ingest has recorded.
    Recorded,
    /// Runs that an executor has finished.
    Finished,
}

impl Told {
    fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Finished => "finished",
        }
    }

    /// How the counter's lines begin in the exposition of metrics.
    fn series(self) -> &'static str {
        match self {
            Self::Recorded => "events_total{outcome=\"recorded\"",
            Self::Finished => "runs_finished_total{",
        }
    }
}

impl Progress {
    /// Events recorded: those of the load, and those that the engine itself published.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Runs finished.
    pub(crate) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Follows what a role prints, until it ends.
    pub(crate) async fn follow(&self, output: ChildStdout) {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Some((word, number)) = line.trim().split_once(' ') else { continue };
            let counter = match word {
                "recorded" => &self.recorded,
                "finished" => &self.finished,
                _ => continue,
            };
            if let Ok(number) = number.parse() {
                counter.store(number, Ordering::Relaxed);
            }
        }
    }
}

/// Prints a counter whenever it has moved: the load is regulated by it.
pub(crate) async fn tell(metrics: Metrics, counter: Told, drain: CancellationToken) {
    let mut told = 0;
    while !drain.is_cancelled() {
        let count = metrics.encode().map_or(told, |text| sum(&text, counter.series()));
        if count != told {
            println!("{} {count}", counter.word());
            told = count;
        }
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// Sums a counter over its labels.
fn sum(metrics: &str, series: &str) -> u64 {
    metrics
        .lines()
        .filter(|line| line.starts_with(series))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_runs_are_summed_over_statuses() {
        let text = "# TYPE runs_finished_total counter\nruns_finished_total{status=\"completed\"} 40\n\
                    runs_finished_total{status=\"failed\"} 2\nruns_claimed_total 50\n";
        assert_eq!(sum(text, Told::Finished.series()), 42);
    }

    #[test]
    fn repeated_events_are_not_recorded_ones() {
        let text = "events_total{outcome=\"recorded\"} 7\nevents_total{outcome=\"repeated\"} 2\n";
        assert_eq!(sum(text, Told::Recorded.series()), 7);
    }
}
