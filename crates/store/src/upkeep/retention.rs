//! For how many days a tenant's history is kept, and deleting what it no longer keeps of days that others do.

use crate::role::{Operator, Scheduler};
use crate::{Conn, Error};
use automation_domain::id::TenantId;
use sqlx::Row;

/// What has a retention, as people call it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// Recorded events, and to whom they happened.
    Events,
    /// Runs that ended, with the requests that they made.
    Runs,
    /// Their logs, no longer than the runs.
    RunLogs,
    /// Dead letters, handled or not.
    DeadLetters,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Events, Self::Runs, Self::RunLogs, Self::DeadLetters];

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Runs => "runs",
            Self::RunLogs => "run_logs",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// How many days a tenant may keep something: no fewer than events are known again, no more than ten years.
pub const KEEP_DAYS: std::ops::RangeInclusive<i32> = 8..=3_650;

/// The days that a tenant has of its own, and those of all tenants; of dead letters the latter are a setting of the scheduler's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days {
    /// What.
    pub subject: Subject,
    /// The tenant's own.
    pub own: Option<i32>,
    /// Those of tenants without any of their own.
    pub of_all: Option<i32>,
}

/// For how many days a tenant keeps what.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn of_tenant(connection: &mut Conn<Operator>, tenant: TenantId) -> Result<Vec<Days>, Error> {
    let rows = sqlx::query(
        "SELECT s.subject, t.keep_days AS own, min(r.keep_days) AS of_all
           FROM unnest($2::text[]) AS s (subject)
           LEFT JOIN tenant_retention t ON t.tenant_id = $1 AND t.subject = s.subject
           LEFT JOIN retention r ON r.subject = s.subject
          GROUP BY s.subject, t.keep_days",
    )
    .bind(tenant.0)
    .bind(Subject::ALL.map(Subject::as_str).to_vec())
    .fetch_all(connection.sql())
    .await?;
    let mut days = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: String = row.try_get("subject")?;
        let subject = Subject::ALL.into_iter().find(|subject| subject.as_str() == name);
        let (own, of_all) = (row.try_get("own")?, row.try_get("of_all")?);
        days.extend(subject.map(|subject| Days { subject, own, of_all }));
    }
    days.sort_by_key(|days| days.subject);
    Ok(days)
}

/// Has a tenant keep something for so many days, within [`KEEP_DAYS`], or with `None` as long as all do; what it had of its own
/// before.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn set(
    connection: &mut Conn<Operator>,
    tenant: TenantId,
    subject: Subject,
    days: Option<i32>,
) -> Result<Option<i32>, Error> {
    let before = sqlx::query_scalar(
        "SELECT keep_days FROM tenant_retention WHERE tenant_id = $1 AND subject = $2 FOR UPDATE",
    )
    .bind(tenant.0)
    .bind(subject.as_str())
    .fetch_optional(connection.sql())
    .await?;
    let sql = match days {
        Some(_) => {
            "INSERT INTO tenant_retention (tenant_id, subject, keep_days) VALUES ($1, $2, $3)
             ON CONFLICT (tenant_id, subject) DO UPDATE SET keep_days = excluded.keep_days"
        }
        None => "DELETE FROM tenant_retention WHERE tenant_id = $1 AND subject = $2 AND $3::int IS NULL",
    };
    sqlx::query(sql).bind(tenant.0).bind(subject.as_str()).bind(days).execute(connection.sql()).await?;
    Ok(before)
}

/// The tenant's published workflows that count events of more than these days, with the days of theirs; with `None`, of more than
/// tenants keep that have no days of their own.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn counting_beyond(
    connection: &mut Conn<Operator>,
    tenant: TenantId,
    days: Option<i32>,
) -> Result<Vec<(String, i32)>, Error> {
    Ok(sqlx::query_as(
        "SELECT key, window_days FROM counting_beyond($1, coalesce($2, (SELECT keep_days FROM retention WHERE table_name = 'events')))",
    )
    .bind(tenant.0)
    .bind(days)
    .fetch_all(connection.sql())
    .await?)
}

/// Deletes up to `most` rows of one tenant and day that it keeps no longer while others do; returns how many, `None` when nothing
/// is due.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>, most: i32) -> Result<Option<i32>, Error> {
    Ok(sqlx::query_scalar("SELECT tenant_history_expire($1)").bind(most).fetch_one(connection.sql()).await?)
}
