//! What each tenant keeps, in bytes, against what it may keep: quotas, sums, and the answer each table has to "what bounds it?".
//!
//! Processes sum in memory what they write ([`Usage`]) and add it every ten seconds, in one statement beside the hot path.
//! Once a day the rows themselves are counted ([`count`]). A tenant that keeps more of a table than it may has that table's name
//! in `tenants.over_quota`, which ingest reads with the catalogue version of each batch.

use crate::role::{Api, Door, OneOf, Operator, Role, Scheduler, Worker};
use crate::{Conn, Db, Error, Scope};
use automation_domain::id::TenantId;
use sqlx::Row;
use sqlx::postgres::types::PgInterval;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// How often sums are added: what a tenant writes in this time may exceed its quota.
const INTERVAL: Duration = Duration::from_secs(10);

/// What ends a row of a table, beside its tenant's quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// So many days, by the table `retention` or a setting.
    AfterDays,
    /// It goes with the run, event or other row that it belongs to.
    With(&'static str),
    /// Its work: it goes once it is done.
    OnceDone,
    /// Nothing but the quota: a record, an entry of the audit log, what entry rules remember.
    QuotaAlone,
    /// A person: it is set up and deleted by people.
    ByHand,
}

/// What makes a table grow, which is what stops when a tenant is over its quota of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grows {
    /// Events, and the runs they start: the tenant takes in no more of them.
    ByEvents,
    /// People: they set up nothing more ([`Error::OverQuota`]); what frees room or puts something right goes on.
    ByPeople,
    /// What goes wrong: parked messages lose their bytes, see [`crate::parked`]; the others are as many as there are parts.
    ByFaults,
}

/// Every table with a tenant, what ends its rows, and what makes it grow. All of them have a quota.
pub const TABLES: &[(&str, Ends, Grows)] = &[
    ("api_keys", Ends::ByHand, Grows::ByPeople),
    ("approvals", Ends::AfterDays, Grows::ByEvents),
    ("audit_heads", Ends::With("audit_links"), Grows::ByPeople),
    ("audit_links", Ends::QuotaAlone, Grows::ByPeople),
    ("audit_log", Ends::QuotaAlone, Grows::ByPeople),
    ("audit_words", Ends::QuotaAlone, Grows::ByPeople),
    ("contact_events", Ends::AfterDays, Grows::ByEvents),
    ("contacts", Ends::QuotaAlone, Grows::ByEvents),
    ("credentials", Ends::ByHand, Grows::ByPeople),
    ("dead_letter_groups", Ends::With("dead_letters"), Grows::ByPeople),
    ("dead_letters", Ends::AfterDays, Grows::ByEvents),
    ("effects", Ends::AfterDays, Grows::ByEvents),
    ("enrolments", Ends::QuotaAlone, Grows::ByEvents),
    ("event_receipts", Ends::AfterDays, Grows::ByEvents),
    ("events", Ends::AfterDays, Grows::ByEvents),
    ("goal_counts", Ends::With("workflow_versions"), Grows::ByPeople),
    ("hook_secrets", Ends::ByHand, Grows::ByPeople),
    ("hooks", Ends::ByHand, Grows::ByPeople),
    ("notes", Ends::QuotaAlone, Grows::ByEvents),
    ("notices", Ends::AfterDays, Grows::ByFaults),
    ("outbox", Ends::OnceDone, Grows::ByEvents),
    ("parked_events", Ends::AfterDays, Grows::ByFaults),
    ("publisher_grants", Ends::ByHand, Grows::ByPeople),
    ("run_goals", Ends::AfterDays, Grows::ByEvents),
    ("run_inbox", Ends::With("runs_open"), Grows::ByEvents),
    ("runs_finished", Ends::AfterDays, Grows::ByEvents),
    ("runs_open", Ends::OnceDone, Grows::ByEvents),
    ("suspects", Ends::AfterDays, Grows::ByFaults),
    ("suspended_parts", Ends::AfterDays, Grows::ByFaults),
    ("tasks", Ends::QuotaAlone, Grows::ByEvents),
    ("tenant_quotas", Ends::ByHand, Grows::ByPeople),
    ("tenant_retention", Ends::ByHand, Grows::ByPeople),
    ("tenant_usage", Ends::With("the days it counts"), Grows::ByPeople),
    ("tenants", Ends::ByHand, Grows::ByPeople),
    ("waits", Ends::With("runs_open"), Grows::ByEvents),
    ("wakeups", Ends::With("runs_open"), Grows::ByEvents),
    ("watched_types", Ends::ByHand, Grows::ByPeople),
    ("workflow_drafts", Ends::ByHand, Grows::ByPeople),
    ("workflow_edges", Ends::With("workflow_versions"), Grows::ByPeople),
    ("workflow_nodes", Ends::With("workflow_versions"), Grows::ByPeople),
    ("workflow_run_logs", Ends::AfterDays, Grows::ByEvents),
    ("workflow_schedules", Ends::With("workflow_versions"), Grows::ByPeople),
    ("workflow_triggers", Ends::With("workflow_versions"), Grows::ByPeople),
    ("workflow_versions", Ends::ByHand, Grows::ByPeople),
    ("workflows", Ends::ByHand, Grows::ByPeople),
];

/// Tables whose rows events and runs make, summed as they are written; others are counted once a day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Metered {
    /// Recorded events.
    Events,
    /// What is remembered of events to know them again.
    EventReceipts,
    /// Runs that ended.
    RunsFinished,
    /// Their history.
    WorkflowRunLogs,
    /// Requests to the world outside, and what came back.
    Effects,
    /// What happened to whom, of watched types.
    ContactEvents,
    /// Contacts.
    Contacts,
    /// Tasks.
    Tasks,
    /// Notes.
    Notes,
    /// Dead letters.
    DeadLetters,
    /// Workflow versions.
    WorkflowVersions,
}

impl Metered {
    /// The table's name.
    pub fn table(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::EventReceipts => "event_receipts",
            Self::RunsFinished => "runs_finished",
            Self::WorkflowRunLogs => "workflow_run_logs",
            Self::Effects => "effects",
            Self::ContactEvents => "contact_events",
            Self::Contacts => "contacts",
            Self::Tasks => "tasks",
            Self::Notes => "notes",
            Self::DeadLetters => "dead_letters",
            Self::WorkflowVersions => "workflow_versions",
        }
    }

    /// Bytes of a row beside what varies: its head, ids, times and words.
    pub fn row_bytes(self) -> usize {
        match self {
            Self::EventReceipts => 100,
            Self::ContactEvents | Self::WorkflowRunLogs | Self::Notes => 150,
            Self::Events | Self::Contacts | Self::Tasks => 250,
            Self::RunsFinished | Self::Effects | Self::WorkflowVersions => 300,
            Self::DeadLetters => 1_000,
        }
    }
}

/// Those of the tables over quota that grow so: by events, for which a tenant takes in none; by people, who set up nothing more.
pub fn growing(over_quota: &[String], how: Grows) -> Vec<&str> {
    let grows = |table: &&str| TABLES.iter().any(|(name, _, grows)| name == table && *grows == how);
    over_quota.iter().map(String::as_str).filter(grows).collect()
}

/// What a process wrote and has not added yet.
#[derive(Debug, Default)]
pub struct Usage {
    sums: Mutex<Sums>,
}

/// Bytes by tenant and table.
pub type Sums = BTreeMap<(TenantId, Metered), usize>;

impl Usage {
    /// Adds what was committed.
    pub fn add(&self, written: Sums) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, bytes) in written {
            *sums.entry(key).or_default() += bytes;
        }
    }

    /// Hands the sums to the database every ten seconds, and once more when `drained` is done. What cannot be handed over
    /// is kept for the next time; what a process that dies has not handed over is found by the daily count.
    pub async fn hand_over(&self, db: &Db<Worker>, drained: impl Future<Output = ()>) {
        let mut drained = std::pin::pin!(drained);
        loop {
            let is_last = tokio::select! {
                () = &mut drained => true,
                () = tokio::time::sleep(INTERVAL) => false,
            };
            if let Err(error) = self.flush(db).await {
                tracing::warn!(%error, "what tenants keep could not be summed up, and is kept for the next time");
            }
            if is_last {
                return;
            }
        }
    }

    /// Hands the sums over.
    ///
    /// # Errors
    ///
    /// [`Error`] of the database; the sums are kept.
    pub async fn flush(&self, db: &Db<Worker>) -> Result<(), Error> {
        let sums = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        if sums.is_empty() {
            return Ok(());
        }
        let written: Vec<(TenantId, &str, i64)> = sums
            .iter()
            .map(|((tenant, table), bytes)| {
                (*tenant, table.table(), i64::try_from(*bytes).unwrap_or(i64::MAX))
            })
            .collect();
        let added = db.tx(Scope::Tenants(&[]), async |connection| add(connection, &written).await).await;
        if added.is_err() {
            self.add(sums);
        }
        added
    }
}

/// Adds bytes that were written, or takes away those that were deleted. For whoever writes rows: the callers, in this crate,
/// say which roles those are.
///
/// # Errors
///
/// [`Error`] of the database.
pub(crate) async fn add(
    connection: &mut Conn<impl Role>,
    written: &[(TenantId, &str, i64)],
) -> Result<(), Error> {
    sqlx::query("SELECT usage_add($1, $2, $3)")
        .bind(written.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
        .bind(written.iter().map(|(_, table, _)| *table).collect::<Vec<_>>())
        .bind(written.iter().map(|(_, _, bytes)| *bytes).collect::<Vec<_>>())
        .execute(connection.sql())
        .await?;
    Ok(())
}

/// What a tenant may keep of a table, and what is left of that; less than nothing for one that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// The quota, in bytes.
    pub max_bytes: i64,
    /// What is left.
    pub left: i64,
}

/// The room that these tenants have in a table.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn room(
    connection: &mut Conn<Scheduler>,
    tenants: &[TenantId],
    table: &str,
) -> Result<BTreeMap<TenantId, Room>, Error> {
    let rows = sqlx::query("SELECT tenant_id, max_bytes, room FROM usage_room($1, $2)")
        .bind(tenants.iter().map(|tenant| tenant.0).collect::<Vec<_>>())
        .bind(table)
        .fetch_all(connection.sql())
        .await?;
    rows.iter()
        .map(|row| {
            let room = Room { max_bytes: row.try_get("max_bytes")?, left: row.try_get("room")? };
            Ok((TenantId(row.try_get::<Uuid, _>("tenant_id")?), room))
        })
        .collect()
}

/// Counts one table, or one of its days, that is still to be counted today; returns its name, or `None` when all are. Of
/// receipts, which are kept for so many days, the sums are right and go with their days.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn count(
    connection: &mut Conn<Scheduler>,
    keep_receipts_days: i32,
) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar("SELECT usage_count($1)")
        .bind(keep_receipts_days)
        .fetch_one(connection.sql())
        .await?)
}

/// Forgets up to `most` parked messages that did not come again for `keep_days` days (7 at least); returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire_parked(
    connection: &mut Conn<Scheduler>,
    keep_days: i32,
    most: i32,
) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT parked_expire($1, $2)")
        .bind(PgInterval { months: 0, days: keep_days, microseconds: 0 })
        .bind(most)
        .fetch_one(connection.sql())
        .await?)
}

/// What a tenant keeps of one table.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Kept {
    /// The table.
    pub table: String,
    /// What it keeps, in bytes, as summed and counted.
    pub bytes: i64,
    /// What it may keep.
    pub max_bytes: i64,
    /// Whether the quota is the tenant's own.
    pub own_quota: bool,
}

/// What a tenant keeps and may keep of every table, by name.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn of_tenant(connection: &mut Conn<Operator>, tenant: TenantId) -> Result<Vec<Kept>, Error> {
    let rows = sqlx::query(
        "SELECT q.table_name, coalesce(u.bytes, 0)::bigint AS bytes, coalesce(o.max_bytes, q.max_bytes) AS max_bytes,
                o.max_bytes IS NOT NULL AS own_quota
           FROM quotas q
           LEFT JOIN tenant_quotas o ON o.tenant_id = $1 AND o.table_name = q.table_name
           LEFT JOIN (SELECT table_name, sum(bytes) AS bytes FROM tenant_usage WHERE tenant_id = $1 GROUP BY table_name) u
                  ON u.table_name = q.table_name
          ORDER BY q.table_name",
    )
    .bind(tenant.0)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Kept {
                table: row.try_get("table_name")?,
                bytes: row.try_get("bytes")?,
                max_bytes: row.try_get("max_bytes")?,
                own_quota: row.try_get("own_quota")?,
            })
        })
        .collect()
}

/// Gives a tenant a quota of its own, or with `None` the default again, and judges it by that. `false` for a
/// table that has no quota.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn set_quota(
    connection: &mut Conn<Operator>,
    tenant: TenantId,
    table: &str,
    max_bytes: Option<i64>,
) -> Result<bool, Error> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM quotas WHERE table_name = $1)")
        .bind(table)
        .fetch_one(connection.sql())
        .await?;
    if !exists {
        return Ok(false);
    }
    match max_bytes {
        Some(bytes) => {
            sqlx::query(
                "INSERT INTO tenant_quotas (tenant_id, table_name, max_bytes) VALUES ($1, $2, $3)
                 ON CONFLICT (tenant_id, table_name) DO UPDATE SET max_bytes = excluded.max_bytes",
            )
            .bind(tenant.0)
            .bind(table)
            .bind(bytes)
            .execute(connection.sql())
            .await?
        }
        None => {
            sqlx::query("DELETE FROM tenant_quotas WHERE tenant_id = $1 AND table_name = $2")
                .bind(tenant.0)
                .bind(table)
                .execute(connection.sql())
                .await?
        }
    };
    sqlx::query("SELECT usage_judge(ARRAY[$1::uuid])").bind(tenant.0).execute(connection.sql()).await?;
    Ok(true)
}

/// The tables of which a tenant keeps more than it may, for somebody who has proved to speak for it.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn over_quota_at_the_door(db: &Db<Door>, tenant: TenantId) -> Result<Vec<String>, Error> {
    db.tx(Scope::Unscoped, async |connection| {
        let over: Option<Vec<String>> = sqlx::query_scalar("SELECT door_over_quota($1)")
            .bind(tenant.0)
            .fetch_one(connection.sql())
            .await?;
        Ok(over.unwrap_or_default())
    })
    .await
}

/// The tables of which a tenant keeps more than it may.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn over_quota(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
) -> Result<Vec<String>, Error> {
    let over = sqlx::query_scalar("SELECT over_quota FROM tenants WHERE tenant_id = $1")
        .bind(tenant.0)
        .fetch_optional(connection.sql())
        .await?;
    Ok(over.unwrap_or_default())
}
