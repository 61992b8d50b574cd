//! How far the engine is, as its processes tell: a linked role prints a line whenever its counter has moved, a binary is
//! asked for its metrics.

use crate::role::Role;
use automation_service_kit::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio_util::sync::CancellationToken;

/// How often counters are looked at.
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
    /// The counter of a role, if it has one that the load is regulated by.
    pub(crate) fn by(role: Role) -> Option<Self> {
        match role {
            Role::Ingest => Some(Self::Recorded),
            Role::Executor => Some(Self::Finished),
            Role::Scheduler => None,
        }
    }

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
            let told = match word {
                "recorded" => Told::Recorded,
                "finished" => Told::Finished,
                _ => continue,
            };
            if let Ok(number) = number.parse() {
                self.counter(told).store(number, Ordering::Relaxed);
            }
        }
    }

    fn counter(&self, told: Told) -> &AtomicU64 {
        match told {
            Told::Recorded => &self.recorded,
            Told::Finished => &self.finished,
        }
    }
}

/// Follows the metrics that a role shows at its admin address, for as long as anybody else holds `progress`.
pub(crate) async fn scrape(progress: Weak<Progress>, admin: SocketAddr, told: Told) {
    let (client, url) = (reqwest::Client::new(), format!("http://{admin}/metrics"));
    while let Some(progress) = progress.upgrade() {
        let metrics = async { client.get(&url).send().await?.error_for_status()?.text().await };
        // It does not listen yet, or no more: then the counter stays where it is.
        if let Ok(metrics) = metrics.await {
            progress.counter(told).store(sum(&metrics, told.series()), Ordering::Relaxed);
        }
        drop(progress);
        tokio::time::sleep(TELL_EVERY).await;
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
