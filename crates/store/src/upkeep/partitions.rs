//! Partitions made ahead and retired, and receipts forgotten, through functions of the owner.

use crate::role::{OneOf, Operator, Scheduler};
use crate::{Conn, Error};
use sqlx::postgres::types::PgInterval;

/// Makes the partitions of today and of `days` after it; returns how many it made.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn ensure(connection: &mut Conn<Scheduler>, days: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_ensure($1)").bind(days).fetch_one(connection.sql()).await?)
}

/// Retires one partition that is past its retention; returns its name, or `None` when none is due.
///
/// # Errors
///
/// [`Error::Transient`] when the table is too busy to be locked within 50 ms: try again later.
pub async fn retire(connection: &mut Conn<Scheduler>) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_retire()").fetch_one(connection.sql()).await?)
}

/// Drops retired partitions; returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn drop_retired(connection: &mut Conn<Scheduler>) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_drop()").fetch_one(connection.sql()).await?)
}

/// Days in a row, from today on, that have all their partitions.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn days_ahead(connection: &mut Conn<impl OneOf<(Operator, Scheduler)>>) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT partitions_ahead()").fetch_one(connection.sql()).await?)
}

/// Forgets up to `most` receipts older than `keep_days` days (7 at least); returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire_receipts(
    connection: &mut Conn<Scheduler>,
    keep_days: i32,
    most: i32,
) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT receipts_expire($1, $2)")
        .bind(PgInterval { months: 0, days: keep_days, microseconds: 0 })
        .bind(most)
        .fetch_one(connection.sql())
        .await?)
}
