//! What the engine tells whoever owns a workflow.

use crate::events::outbox::{self, NewOutboxEvent};
use crate::role::{Api, Scheduler, Worker};
use crate::{Conn, Error};
use automation_domain::event::encode::to_cloudevent;
use automation_domain::id::{NoticeId, RunId, TenantId};
use automation_domain::notice::Notice;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// Most notices of a tenant: what would be one more is not kept.
pub const MOST: i64 = 1_000;

/// Something to be told, and how often it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNotice {
    /// Whose.
    pub tenant_id: TenantId,
    /// What.
    pub notice: Notice,
    /// How often.
    pub times: i64,
}

/// A notice as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// Its id.
    pub notice_id: NoticeId,
    /// What kind.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// The workflows whose owners are told, by key, each with its owner as the published version names him.
    pub workflows: Vec<(String, Option<String>)>,
    /// The notice as JSON, of the latest time.
    pub detail: Value,
    /// How often it happened since the first time.
    pub occurrences: i64,
    /// When it happened first, or first after it was dismissed.
    pub first_at: DateTime<Utc>,
    /// When it happened last.
    pub last_at: DateTime<Utc>,
    /// When somebody dismissed it.
    pub dismissed_at: Option<DateTime<Utc>>,
    /// Who.
    pub dismissed_by: Option<String>,
}

/// Raises notices: one that is there counts once more, one that was dismissed is there again. For each that was not there an event of
/// the engine leaves. The tenants are in scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn raise(connection: &mut Conn<Worker>, notices: &[NewNotice]) -> Result<(), Error> {
    let by_id: BTreeMap<_, &NewNotice> =
        notices.iter().map(|new| ((new.tenant_id, new.notice.id(new.tenant_id)), new)).collect();
    let mut leaving = Vec::new();
    for ((tenant, id), new) in by_id {
        let row = sqlx::query(
            "INSERT INTO notices AS n (tenant_id, notice_id, kind, subject, workflows, detail, occurrences, first_at, last_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, now(), now()
              WHERE (SELECT count(*) FROM notices k WHERE k.tenant_id = $1) < $8
                 OR EXISTS (SELECT 1 FROM notices k WHERE k.tenant_id = $1 AND k.notice_id = $2)
             ON CONFLICT (tenant_id, notice_id) DO UPDATE SET
                 occurrences = CASE WHEN n.dismissed_at IS NULL THEN n.occurrences ELSE 0 END + EXCLUDED.occurrences,
                 first_at = CASE WHEN n.dismissed_at IS NULL THEN n.first_at ELSE EXCLUDED.first_at END,
                 last_at = EXCLUDED.last_at, detail = EXCLUDED.detail, dismissed_at = NULL, dismissed_by = NULL
             RETURNING n.occurrences = $7 AS is_new, n.first_at, (SELECT key FROM tenants t WHERE t.tenant_id = $1) AS tenant",
        )
        .bind(tenant.0)
        .bind(id.0)
        .bind(new.notice.kind())
        .bind(new.notice.subject())
        .bind(new.notice.workflows())
        .bind(Json(&new.notice))
        .bind(new.times.max(1))
        .bind(MOST)
        .fetch_optional(connection.sql())
        .await?;
        let Some(row) = row else { continue };
        if row.try_get("is_new")? {
            let key: String = row.try_get("tenant")?;
            let event = new.notice.raised((tenant, &key), row.try_get("first_at")?);
            leaving.push(NewOutboxEvent {
                tenant_id: tenant,
                run_id: RunId(id.0),
                body: to_cloudevent(&event).to_string().into_bytes(),
                event_type: event.event_type,
                is_command: false,
            });
        }
    }
    outbox::insert(connection, &leaving).await
}

/// The notices of a tenant, the latest first: those that were dismissed too where `all`, those about one workflow where it is named.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId, filter: &Filter) -> Result<Vec<Kept>, Error> {
    let rows = sqlx::query(
        "SELECT n.*, ARRAY(SELECT v.definition->>'owner' FROM unnest(n.workflows) WITH ORDINALITY AS u (key, place)
                             LEFT JOIN workflows w ON w.tenant_id = n.tenant_id AND w.key = u.key AND w.state <> 'deleted'
                             LEFT JOIN workflow_versions v ON v.tenant_id = w.tenant_id AND v.version_id = w.version_id
                            ORDER BY u.place) AS owners
           FROM notices n
          WHERE n.tenant_id = $1 AND ($2 OR n.dismissed_at IS NULL) AND ($3::text IS NULL OR $3 = ANY (n.workflows))
            AND ($4::uuid IS NULL OR n.notice_id = $4)
          ORDER BY n.last_at DESC, n.notice_id LIMIT $5",
    )
    .bind(tenant.0)
    .bind(filter.all)
    .bind(&filter.workflow)
    .bind(filter.id.map(|id| id.0))
    .bind(MOST)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(kept).collect()
}

/// Which notices are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Those that were dismissed too.
    pub all: bool,
    /// Those about this workflow.
    pub workflow: Option<String>,
    /// This one.
    pub id: Option<NoticeId>,
}

/// Notes that somebody has seen to a notice; `false` where there is none, or it was dismissed before.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn dismiss(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: NoticeId,
    by: &str,
) -> Result<bool, Error> {
    let dismissed = sqlx::query(
        "UPDATE notices SET dismissed_at = now(), dismissed_by = $3
          WHERE tenant_id = $1 AND notice_id = $2 AND dismissed_at IS NULL",
    )
    .bind(tenant.0)
    .bind(id.0)
    .bind(by)
    .execute(connection.sql())
    .await?;
    Ok(dismissed.rows_affected() > 0)
}

/// Forgets what has not happened for 90 days, and what was dismissed 30 days ago; gives how many that were.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT notices_expire()").fetch_one(connection.sql()).await?)
}

fn kept(row: &PgRow) -> Result<Kept, Error> {
    let workflows: Vec<String> = row.try_get("workflows")?;
    let owners: Vec<Option<String>> = row.try_get("owners")?;
    let Json(detail) = row.try_get("detail")?;
    Ok(Kept {
        notice_id: NoticeId(row.try_get("notice_id")?),
        kind: row.try_get("kind")?,
        subject: row.try_get("subject")?,
        workflows: workflows.into_iter().zip(owners).collect(),
        detail,
        occurrences: row.try_get("occurrences")?,
        first_at: row.try_get("first_at")?,
        last_at: row.try_get("last_at")?,
        dismissed_at: row.try_get("dismissed_at")?,
        dismissed_by: row.try_get("dismissed_by")?,
    })
}
