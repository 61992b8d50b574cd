//! How far behind the fleet is.

use crate::role::{Operator, Scheduler};
use crate::{Conn, Error};
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::time::Duration;

/// Counting stops here: beyond, it only matters that there are many.
pub const COUNTED_AT_MOST: i64 = 10_000;

/// What is owed and not done, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Since when the longest overdue wakeup has been due.
    pub overdue_since: Option<DateTime<Utc>>,
    /// Wakeups that are due, at most [`COUNTED_AT_MOST`].
    pub overdue: i64,
    /// Events that wait to leave, at most [`COUNTED_AT_MOST`].
    pub outbox: i64,
    /// Events parked during the last day, at most [`COUNTED_AT_MOST`].
    pub parked_last_day: i64,
}

/// Reads the lag.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn read(connection: &mut Conn<Operator>) -> Result<Lag, Error> {
    let row = sqlx::query(
        "SELECT now() AS now, l.overdue_since, l.overdue, l.outbox, l.parked FROM fleet_lag($1) AS l",
    )
    .bind(COUNTED_AT_MOST)
    .fetch_one(connection.sql())
    .await?;
    Ok(Lag {
        now: row.try_get("now")?,
        overdue_since: row.try_get("overdue_since")?,
        overdue: row.try_get("overdue")?,
        outbox: row.try_get("outbox")?,
        parked_last_day: row.try_get("parked")?,
    })
}

/// What is not done yet, at one moment, and since when the oldest of it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// How much there is, at most [`COUNTED_AT_MOST`].
    pub count: i64,
    /// How long the oldest has waited; zero when there is nothing.
    pub age: Duration,
}

/// The backlog of the whole fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Wakeups that are due: the sweep is about to nudge their runs.
    pub wakeups: Waiting,
    /// Events that wait to leave.
    pub outbox: Waiting,
    /// Parked events that nobody has handled.
    pub parked: Waiting,
    /// Dead letters that nobody has handled.
    pub dead_letters: Waiting,
}

/// Reads the backlog.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn backlog(connection: &mut Conn<Scheduler>) -> Result<Backlog, Error> {
    let row = sqlx::query("SELECT now() AS now, b.* FROM fleet_backlog($1) AS b")
        .bind(COUNTED_AT_MOST)
        .fetch_one(connection.sql())
        .await?;
    let now: DateTime<Utc> = row.try_get("now")?;
    let waiting = |count: &str, since: &str| -> Result<Waiting, Error> {
        let since: Option<DateTime<Utc>> = row.try_get(since)?;
        let age = since.and_then(|since| now.signed_duration_since(since).to_std().ok()).unwrap_or_default();
        Ok(Waiting { count: row.try_get(count)?, age })
    };
    Ok(Backlog {
        wakeups: waiting("wakeups", "wakeups_since")?,
        outbox: waiting("outbox", "outbox_since")?,
        parked: waiting("parked", "parked_since")?,
        dead_letters: waiting("dead_letters", "dead_letters_since")?,
    })
}
