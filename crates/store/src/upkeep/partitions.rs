//! Partitions made ahead and retired, and receipts forgotten; role scheduler, through functions of the owner.

use crate::Error;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

/// Makes the partitions of today and of `days` after it; returns how many it made.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn ensure(connection: &mut PgConnection, days: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_ensure($1)").bind(days).fetch_one(connection).await?)
}

/// Retires one partition that is past its retention; returns its name, or `None` when none is due.
///
/// # Errors
///
/// [`Error::Transient`] when the table is too busy to be locked within 50 ms: try again later.
pub async fn retire(connection: &mut PgConnection) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_retire()").fetch_one(connection).await?)
}

/// Drops retired partitions; returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn drop_retired(connection: &mut PgConnection) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_drop()").fetch_one(connection).await?)
}

/// Days in a row, from today on, that have all their partitions; roles scheduler and operator.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn days_ahead(connection: &mut PgConnection) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_ahead()").fetch_one(connection).await?)
}

/// Forgets up to `most` receipts older than `keep_days` days (7 at least); returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire_receipts(connection: &mut PgConnection, keep_days: i32, most: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT receipts_expire($1, $2)")
        .bind(PgInterval { months: 0, days: keep_days, microseconds: 0 })
        .bind(most)
        .fetch_one(connection)
        .await?)
}
