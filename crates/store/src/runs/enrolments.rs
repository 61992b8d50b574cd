//! Enrolments: what entry rules need to know of earlier runs. Locked before deciding.

use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::entry::Enrolment;
use automation_domain::id::{RunId, TenantId, WorkflowId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What an enrolment is known by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EnrolmentKey {
    /// Whose.
    pub tenant_id: TenantId,
    /// Of which workflow.
    pub workflow_id: WorkflowId,
    /// What its runs are unique by.
    pub run_key: String,
}

/// Makes missing rows, then locks all of them in the order of their keys and reads them.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn lock(
    connection: &mut Conn<Worker>,
    keys: &[EnrolmentKey],
) -> Result<BTreeMap<EnrolmentKey, Enrolment>, Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (tenants, workflows, run_keys) = columns(keys);
    sqlx::query(
        "INSERT INTO enrolments (tenant_id, workflow_id, run_key)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]) ON CONFLICT DO NOTHING",
    )
    .bind(&tenants)
    .bind(&workflows)
    .bind(&run_keys)
    .execute(connection.sql())
    .await?;
    let rows = sqlx::query(
        "SELECT e.tenant_id, e.workflow_id, e.run_key, e.run_id, e.open, e.runs, e.last_started_at, e.last_ended_at,
                e.starts
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (t, w, k)
           JOIN enrolments e ON e.tenant_id = u.t AND e.workflow_id = u.w AND e.run_key = u.k
          ORDER BY e.tenant_id, e.workflow_id, e.run_key FOR UPDATE OF e",
    )
    .bind(&tenants)
    .bind(&workflows)
    .bind(&run_keys)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(enrolment).collect()
}

/// What is known of earlier runs of these keys, as it is.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn read(
    connection: &mut Conn<Api>,
    keys: &[EnrolmentKey],
) -> Result<BTreeMap<EnrolmentKey, Enrolment>, Error> {
    let (tenants, workflows, run_keys) = columns(keys);
    let rows = sqlx::query(
        "SELECT e.tenant_id, e.workflow_id, e.run_key, e.run_id, e.open, e.runs, e.last_started_at, e.last_ended_at,
                e.starts
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (t, w, k)
           JOIN enrolments e ON e.tenant_id = u.t AND e.workflow_id = u.w AND e.run_key = u.k",
    )
    .bind(tenants)
    .bind(workflows)
    .bind(run_keys)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(enrolment).collect()
}

fn enrolment(row: &PgRow) -> Result<(EnrolmentKey, Enrolment), Error> {
    let key = EnrolmentKey {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        run_key: row.try_get("run_key")?,
    };
    let enrolment = Enrolment {
        run_id: row.try_get::<Option<Uuid>, _>("run_id")?.map(RunId),
        open: row.try_get("open")?,
        runs: row.try_get("runs")?,
        last_started_at: row.try_get("last_started_at")?,
        last_ended_at: row.try_get("last_ended_at")?,
        starts: row.try_get("starts")?,
    };
    Ok((key, enrolment))
}

/// Writes enrolments that this transaction has locked.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn write(
    connection: &mut Conn<Worker>,
    enrolments: &BTreeMap<EnrolmentKey, Enrolment>,
) -> Result<(), Error> {
    if enrolments.is_empty() {
        return Ok(());
    }
    let keys: Vec<EnrolmentKey> = enrolments.keys().cloned().collect();
    let (tenants, workflows, run_keys) = columns(&keys);
    macro_rules! column {
        ($enrolment:ident => $value:expr) => {
            enrolments.values().map(|$enrolment| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "UPDATE enrolments e SET run_id = u.r, open = u.o, runs = u.n, last_started_at = u.s, last_ended_at = u.d,
                                 starts = u.a::timestamptz[]
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bool[], $6::int4[], $7::timestamptz[],
                       $8::timestamptz[], $9::text[]) AS u (t, w, k, r, o, n, s, d, a)
          WHERE e.tenant_id = u.t AND e.workflow_id = u.w AND e.run_key = u.k",
    )
    .bind(&tenants)
    .bind(&workflows)
    .bind(&run_keys)
    .bind(column!(enrolment => enrolment.run_id.map(|id| id.0)))
    .bind(column!(enrolment => enrolment.open))
    .bind(column!(enrolment => enrolment.runs))
    .bind(column!(enrolment => enrolment.last_started_at))
    .bind(column!(enrolment => enrolment.last_ended_at))
    .bind(column!(enrolment => array(&enrolment.starts)))
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Notes that the runs of these keys ended, where they are still the latest.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn end(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    now: DateTime<Utc>,
    ended: &BTreeMap<EnrolmentKey, RunId>,
) -> Result<(), Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let keys: Vec<EnrolmentKey> = ended.keys().cloned().collect();
    let (tenants, workflows, run_keys) = columns(&keys);
    let runs: Vec<Uuid> = ended.values().map(|run| run.0).collect();
    sqlx::query(
        "UPDATE enrolments e SET open = false, last_ended_at = $5
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) AS u (t, w, k, r)
          WHERE e.tenant_id = u.t AND e.workflow_id = u.w AND e.run_key = u.k AND e.run_id = u.r",
    )
    .bind(&tenants)
    .bind(&workflows)
    .bind(&run_keys)
    .bind(&runs)
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Times as Postgres writes an array of them: unnest would take an array of arrays apart into times.
fn array(times: &[DateTime<Utc>]) -> String {
    let times: Vec<String> = times.iter().map(|time| format!("\"{}\"", time.to_rfc3339())).collect();
    format!("{{{}}}", times.join(","))
}

fn columns(keys: &[EnrolmentKey]) -> (Vec<Uuid>, Vec<Uuid>, Vec<&str>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        columns.0.push(key.tenant_id.0);
        columns.1.push(key.workflow_id.0);
        columns.2.push(key.run_key.as_str());
    }
    columns
}
