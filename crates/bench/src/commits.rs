//! When transactions became visible to others: what a latency has to reach to.
//!
//! A row's own times are read when its transaction begins. The row also carries the lower half of the number of the
//! transaction that wrote it (`xmin`), and a snapshot tells which transactions have committed: so snapshots are taken all
//! the time, beside the load, and the first that shows a transaction dates its commit.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often a snapshot is taken: a commit is dated so much too late at most, as long as the server answers at once.
const EVERY: Duration = Duration::from_millis(2);

/// Takes snapshots until it is stopped or dropped.
pub(crate) struct Watching {
    snapshots: Arc<Mutex<Vec<Snapshot>>>,
    stop: DropGuard,
    task: JoinHandle<anyhow::Result<()>>,
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
    /// Begins, on a connection of its own: the first snapshot is taken when this returns.
    pub(crate) async fn start(mut connection: PgConnection) -> anyhow::Result<Self> {
        let snapshots = Arc::new(Mutex::new(vec![Snapshot::take(&mut connection).await?]));
        let stop = CancellationToken::new();
        let (all, stopped) = (Arc::clone(&snapshots), stop.clone());
        let task = tokio::spawn(async move {
            // A sleep in between would be rounded up to the next millisecond, and last half as long again.
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            // One more after the end: it shows what was committed meanwhile.
            loop {
                ticks.tick().await;
                let is_last = stopped.is_cancelled();
                let snapshot = Snapshot::take(&mut connection).await?;
                all.lock().unwrap_or_else(PoisonError::into_inner).push(snapshot);
                if is_last {
                    return Ok(());
                }
            }
        });
        Ok(Self { snapshots, stop: stop.drop_guard(), task })
    }

    /// What was committed so far; each commit is in one cut, or in what is seen after it.
    pub(crate) async fn cut(&mut self) -> anyhow::Result<Commits> {
        if self.task.is_finished() {
            (&mut self.task).await??;
        }
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let last = snapshots.last().cloned().into_iter().collect();
        Ok(Commits(std::mem::replace(&mut *snapshots, last)))
    }

    /// Ends.
    pub(crate) async fn stop(self) -> anyhow::Result<Commits> {
        drop(self.stop);
        self.task.await??;
        Ok(Commits(std::mem::take(&mut *self.snapshots.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

impl Commits {
    /// Milliseconds from `begun` until others could see a row with this `xmin`, where [`Self::at`] has a date for it.
    pub(crate) fn latency_ms(&self, begun: DateTime<Utc>, xmin: i64) -> Option<f64> {
        let visible_at = self.at(u32::try_from(xmin).ok()?)?;
        Some((visible_at - begun).as_seconds_f64() * 1e3)
    }

    /// When the transaction that wrote a row with this `xmin` was first seen as committed; `None` if the first snapshot
    /// shows it already, or none does.
    fn at(&self, xmin: u32) -> Option<DateTime<Utc>> {
        let transaction = self.0.last()?.number(xmin);
        if self.0.first()?.shows(transaction) {
            return None;
        }
        let first = self.0.partition_point(|snapshot| snapshot.end <= transaction);
        self.0[first..].iter().find(|snapshot| snapshot.shows(transaction)).map(|snapshot| snapshot.at)
    }
}

impl Snapshot {
    async fn take(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let query = sqlx::query_as("SELECT clock_timestamp(), pg_current_snapshot()::text");
        let (at, text): (DateTime<Utc>, String) = query.fetch_one(connection).await?;
        Self::parse(at, &text)
    }

    /// Reads `xmin:xmax:xip,xip,…`.
    fn parse(at: DateTime<Utc>, text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(':').skip(1);
        let end = parts.next().unwrap_or_default().parse()?;
        let in_progress = parts.next().unwrap_or_default().split(',').filter(|number| !number.is_empty());
        Ok(Self { at, end, in_progress: in_progress.map(str::parse).collect::<Result<_, _>>()? })
    }

    /// The whole number of a transaction of which a row, read after this snapshot, keeps the lower half: the last that has
    /// it and is not far ahead of what the snapshot knows of.
    fn number(&self, xmin: u32) -> u64 {
        let ahead = xmin.wrapping_sub(self.end as u32) as i32;
        self.end.saturating_add_signed(ahead.into())
    }

    fn shows(&self, transaction: u64) -> bool {
        transaction < self.end && self.in_progress.binary_search(&transaction).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(snapshots: &[&str]) -> Commits {
        let snapshots = (1..).zip(snapshots).map(|(number, text)| Snapshot::parse(at(number), text).unwrap());
        Commits(snapshots.collect())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_the_first_snapshot_shows_has_no_date() {
        let commits = commits(&["10:12:10", "12:12:"]);
        assert_eq!(
            [9, 10, 11, 12].map(|transaction| commits.at(transaction)),
            [None, Some(at(2)), None, None]
        );
    }

    #[test]
    fn a_row_has_the_lower_half_of_its_transactions_number() {
        let turn = 1_u64 << 32;
        let snapshots = [turn - 2, turn - 1, turn + 2].map(|end| format!("{end}:{end}:"));
        let commits = commits(&snapshots.each_ref().map(String::as_str));
        assert_eq!(commits.at(u32::MAX - 2), None);
        assert_eq!(commits.at(u32::MAX - 1), Some(at(2)));
        assert_eq!([u32::MAX, 0, 1].map(|xmin| commits.at(xmin)), [Some(at(3)); 3]);
        assert_eq!([2, 3].map(|xmin| commits.at(xmin)), [None; 2]);
    }

    #[test]
    fn a_commit_is_dated_by_the_first_snapshot_that_shows_it() {
        let commits = commits(&["10:10:", "10:12:10", "12:13:", "12:15:12,14", "15:15:"]);
        assert_eq!(commits.at(10), Some(at(3)));
        assert_eq!(commits.at(11), Some(at(2)));
        assert_eq!(commits.at(13), Some(at(4)));
        assert_eq!(commits.at(14), Some(at(5)));
        assert_eq!(commits.at(15), None);
    }
}
