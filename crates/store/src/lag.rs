//! How far behind the fleet is; role operator.

use crate::Error;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};

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
pub async fn read(connection: &mut PgConnection) -> Result<Lag, Error> {
    let row = sqlx::query(
        "SELECT now() AS now, l.overdue_since, l.overdue, l.outbox, l.parked FROM fleet_lag($1) AS l",
    )
    .bind(COUNTED_AT_MOST)
    .fetch_one(connection)
    .await?;
    Ok(Lag {
        now: row.try_get("now")?,
        overdue_since: row.try_get("overdue_since")?,
        overdue: row.try_get("overdue")?,
        outbox: row.try_get("outbox")?,
        parked_last_day: row.try_get("parked")?,
    })
}
