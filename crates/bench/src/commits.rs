//! When transactions became visible to others: what a latency has to reach to.
//!
//! A row's own times are read when its transaction begins. The row also carries the number of the transaction that wrote it
//! (`xmin`), and a snapshot tells which transactions have committed: so snapshots are taken all the time, beside the load,
//! and the first that shows a transaction dates its commit.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often a snapshot is taken: a commit is dated so much too late at most, as long as the server answers at once.
const EVERY: Duration = Duration::from_millis(2);

/// Takes snapshots until it is stopped.
pub(crate) struct Watching {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Vec<Snapshot>>>,
}

/// What was visible at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    at: DateTime<Utc>,
    /// Transactions from this number on had not ended.
    end: u64,
    /// Those before it that had not ended either; ascending.
    in_progress: Vec<u64>,
}

/// Which transactions were committed when.
pub(crate) struct Commits(Vec<Snapshot>);

impl Watching {
    /// Begins, on a connection of its own.
    pub(crate) fn start(mut connection: PgConnection) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut snapshots = Vec::new();
            // A sleep in between would be rounded up to the next millisecond, and last half as long again.
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            // One more after the end: it shows what was committed meanwhile.
            loop {
                ticks.tick().await;
                let is_last = stopped.is_cancelled();
                let (at, text): (DateTime<Utc>, String) =
                    sqlx::query_as("SELECT clock_timestamp(), pg_current_snapshot()::text")
                        .fetch_one(&mut connection)
                        .await?;
                snapshots.push(Snapshot::parse(at, &text)?);
                if is_last {
                    return Ok(snapshots);
                }
            }
        });
        Self { stop, task }
    }

    /// Ends.
    pub(crate) async fn stop(self) -> anyhow::Result<Commits> {
        self.stop.cancel();
        Ok(Commits(self.task.await??))
    }
}

impl Commits {
    /// When a transaction that began while snapshots were taken was first seen as committed.
    pub(crate) fn at(&self, transaction: u64) -> Option<DateTime<Utc>> {
        let first = self.0.partition_point(|snapshot| snapshot.end <= transaction);
        self.0[first..].iter().find(|snapshot| snapshot.shows(transaction)).map(|snapshot| snapshot.at)
    }
}

impl Snapshot {
    /// Reads `xmin:xmax:xip,xip,…`.
    fn parse(at: DateTime<Utc>, text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(':').skip(1);
        let end = parts.next().unwrap_or_default().parse()?;
        let in_progress = parts.next().unwrap_or_default().split(',').filter(|number| !number.is_empty());
        Ok(Self { at, end, in_progress: in_progress.map(str::parse).collect::<Result<_, _>>()? })
    }

    fn shows(&self, transaction: u64) -> bool {
        transaction < self.end && self.in_progress.binary_search(&transaction).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_dated_by_the_first_snapshot_that_shows_it() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let snapshots = ["10:10:", "10:12:10", "12:13:", "12:15:12,14", "15:15:"];
        let snapshots = (1..).zip(snapshots).map(|(number, text)| Snapshot::parse(at(number), text).unwrap());
        let commits = Commits(snapshots.collect());
        assert_eq!(commits.at(9), Some(at(1)));
        assert_eq!(commits.at(10), Some(at(3)));
        assert_eq!(commits.at(11), Some(at(2)));
        assert_eq!(commits.at(13), Some(at(4)));
        assert_eq!(commits.at(14), Some(at(5)));
        assert_eq!(commits.at(15), None);
    }
}
