//! Claims: which worker holds which open run.

use crate::access::tenants;
use crate::role::Worker;
use crate::runs::effects::EffectKey;
use crate::{Conn, Error};
use automation_domain::facts::Tz;
use automation_domain::id::{ContactId, EventId, RunId, RunKey, TenantId, VersionId, WorkflowId};
use automation_domain::interpreter::RunState;
use automation_domain::priority::Priority;
use automation_domain::trace::RunTrace;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// A run that a worker holds.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimedRun {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The version that it is pinned to.
    pub version_id: VersionId,
    /// The trigger that started it.
    pub trigger_id: String,
    /// The event that started it.
    pub event_id: EventId,
    /// The contact.
    pub contact_id: Option<ContactId>,
    /// What the run is unique by.
    pub run_key: String,
    /// Its queue.
    pub priority: Priority,
    /// The fencing number: every write carries it.
    pub epoch: i32,
    /// Leases in a row that ran out before this claim.
    pub abandoned: i16,
    /// When the run was made.
    pub received_at: DateTime<Utc>,
    /// `None` before the first checkpoint.
    pub state: Option<RunState>,
    /// Its trace, when that is sampled.
    pub trace: Option<RunTrace>,
    /// Whether a person holds it: nothing of it begins.
    pub is_held: bool,
}

impl ClaimedRun {
    /// The effect of a step of it.
    pub fn effect_key(&self, node: &str, visit: u32) -> EffectKey {
        EffectKey { tenant_id: self.tenant_id, run_id: self.run_id, node: node.to_owned(), visit }
    }
}

/// What was claimed.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    /// The moment of the transaction, in the database's clock.
    pub now: DateTime<Utc>,
    /// The runs.
    pub runs: Vec<ClaimedRun>,
    /// Those of their workflows that are paused.
    pub paused: BTreeSet<WorkflowId>,
    /// Those of the runs that have something in their inboxes.
    pub called: BTreeSet<RunKey>,
    /// The time zones of their tenants; one that is not here is in UTC.
    pub zones: BTreeMap<TenantId, Tz>,
}

/// Where the locked rows of runs are. Nobody can move them until the transaction ends.
#[derive(Clone, Debug)]
pub struct Places(BTreeMap<RunKey, Place>);

/// Where a run's row is, and those of its wakeups: a `tid` and a `tid[]`, as text.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) run: String,
    pub(crate) wakeups: Option<String>,
    /// Whether one of them says that there is something in the run's inbox.
    pub(crate) is_called: bool,
}

impl Places {
    /// The place of a run that is locked.
    pub(crate) fn get(&self, run: &RunKey) -> Option<&Place> {
        self.0.get(run)
    }

    /// Those that have something in their inboxes.
    pub(crate) fn called(&self) -> impl Iterator<Item = RunKey> {
        self.0.iter().filter(|(_, place)| place.is_called).map(|(run, _)| *run)
    }

    /// Reads columns `tenant_id`, `run_id`, `place`, `wakeups`, `is_called`; a row without a run is passed over.
    pub(crate) fn read(rows: &[PgRow]) -> Result<Self, Error> {
        let mut places = BTreeMap::new();
        for row in rows {
            let Some(run) = row.try_get::<Option<String>, _>("place")? else { continue };
            let key = (TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?));
            let is_called = row.try_get::<Option<bool>, _>("is_called")?.unwrap_or_default();
            places.insert(key, Place { run, wakeups: row.try_get("wakeups")?, is_called });
        }
        Ok(Self(places))
    }
}

/// Claims those of `nudged` that are ready and free: each gets a lease and the next epoch. No run may be named twice.
///
/// A run that another worker holds, or has claimed in a transaction that is still open, is left alone. Where the sweep would
/// look later than at the end of the lease, be it this claim's or another worker's, its next look is moved there: a takeover
/// waits for nothing else.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn claim(
    connection: &mut Conn<Worker>,
    nudged: &[RunKey],
    lease: Duration,
) -> Result<Claim, Error> {
    let (claim, _) = claim_here(connection, nudged).await?;
    let claimed: Vec<_> = claim.runs.iter().map(|run| (run.tenant_id, run.run_id)).collect();
    write_claims(connection, &claimed, lease).await?;
    Ok(claim)
}

/// Claims like [`claim`], for a transaction that settles the runs itself: it locks them and their wakeups, and writes
/// nothing. What it does not settle is free again after it, unless it hands it to [`write_claims`]. The places are good
/// until the transaction ends, or moves the rows itself.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn claim_here(connection: &mut Conn<Worker>, nudged: &[RunKey]) -> Result<(Claim, Places), Error> {
    let (tenants, runs) = columns(nudged);
    // Here and in the other statements over hot tables, each row is looked up by its key in a LATERAL subquery, and changed by
    // its place: the list can only be the outer side of the join, whatever the statistics of a table that is empty at
    // times say. Wakeups are looked up by the run's row, so that the run is locked before them.
    //
    // A row that was changed since the statement began is locked as it is now, but wakeups that came with the change are not
    // seen. So a run that was claimed before (its epoch says so) is left alone if it has moved: it is nudged again.
    let rows = sqlx::query(
        "WITH claimed AS MATERIALIZED (
             SELECT r.tenant_id, r.run_id, r.workflow_id, r.version_id, r.trigger_id, r.event_id, r.contact_id,
                    r.run_key, r.priority, r.epoch + 1 AS epoch, r.received_at, r.state, r.trace, r.is_held,
                    r.abandoned + (r.lease_until IS NOT NULL)::int::int2 AS abandoned,
                    r.place::text AS place, o.places::text AS wakeups, o.is_called
               FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
              CROSS JOIN LATERAL (SELECT c.*, c.ctid AS place FROM runs_open c
                                   WHERE c.tenant_id = u.t AND c.run_id = u.i FOR UPDATE SKIP LOCKED) AS r
              CROSS JOIN LATERAL (SELECT bool_or(k.ready_at <= now()) AS is_ready, array_agg(k.place) AS places,
                                         bool_or(k.token = -1) AS is_called
                                    FROM (SELECT w.ready_at, w.token, w.ctid AS place FROM wakeups w
                                           WHERE w.tenant_id = r.tenant_id AND w.run_id = r.run_id FOR UPDATE) AS k) AS o
              WHERE o.is_ready AND (r.status <> 'paused' OR o.is_called) AND (r.lease_until IS NULL OR r.lease_until < now())
                AND (r.epoch = 0 OR r.place = (SELECT s.ctid FROM runs_open s
                                                WHERE s.tenant_id = r.tenant_id AND s.run_id = r.run_id)))
         SELECT now() AS now, claimed.*,
                ARRAY(SELECT p.workflow_id FROM (SELECT DISTINCT tenant_id, workflow_id FROM claimed) AS d
                       CROSS JOIN LATERAL (SELECT w.workflow_id FROM workflows w
                                            WHERE w.tenant_id = d.tenant_id AND w.workflow_id = d.workflow_id
                                              AND w.state = 'paused' OFFSET 0) AS p) AS paused,
                (SELECT jsonb_object_agg(z.tenant_id, z.timezone) FROM (SELECT DISTINCT tenant_id FROM claimed) AS d
                  CROSS JOIN LATERAL (SELECT n.tenant_id, n.timezone FROM tenants n
                                       WHERE n.tenant_id = d.tenant_id AND n.timezone <> 'UTC' OFFSET 0) AS z) AS zones
           FROM (VALUES (true)) AS always LEFT JOIN claimed ON true",
    )
    .bind(&tenants)
    .bind(&runs)
    .fetch_all(connection.sql())
    .await?;
    let places = Places::read(&rows)?;
    let mut claim = Claim {
        now: DateTime::UNIX_EPOCH,
        runs: Vec::new(),
        paused: BTreeSet::new(),
        called: places.called().collect(),
        zones: BTreeMap::new(),
    };
    // There is always a row, and these are the same in all.
    if let Some(any) = rows.first() {
        claim.now = any.try_get("now")?;
        claim.paused = any.try_get::<Vec<Uuid>, _>("paused")?.into_iter().map(WorkflowId).collect();
        claim.zones = tenants::zones_in(any)?;
    }
    for row in &rows {
        claim.runs.extend(claimed(row)?);
    }
    if claim.runs.len() < nudged.len() {
        look_at_the_end_of_leases(connection, &tenants, &runs).await?;
    }
    Ok((claim, places))
}

/// Writes claims of [`claim_here`] down, for a transaction that does not settle them: each run gets its lease.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn write_claims(
    connection: &mut Conn<Worker>,
    claims: &[RunKey],
    lease: Duration,
) -> Result<(), Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let (tenants, runs) = columns(claims);
    sqlx::query(
        "UPDATE runs_open r
            SET epoch = r.epoch + 1, status = 'running', lease_until = now() + $3,
                abandoned = r.abandoned + (r.lease_until IS NOT NULL)::int::int2
           FROM (SELECT l.place FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
          WHERE r.ctid = x.place",
    )
    .bind(&tenants)
    .bind(&runs)
    .bind(lease)
    .execute(connection.sql())
    .await?;
    look_at_the_end_of_leases(connection, &tenants, &runs).await
}

/// The keys of runs as columns, each once, in the order in which locks are taken.
pub(crate) fn columns(runs: &[RunKey]) -> (Vec<Uuid>, Vec<Uuid>) {
    let mut sorted = runs.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into_iter().map(|(tenant, run)| (tenant.0, run.0)).unzip()
}

/// Whoever holds a wakeup just now looks at it himself: it is skipped, because its run is not locked here. What was to be told to
/// a run that is not open any more is forgotten, with its wakeup.
async fn look_at_the_end_of_leases(
    connection: &mut Conn<Worker>,
    tenants: &[Uuid],
    runs: &[Uuid],
) -> Result<(), Error> {
    sqlx::query(
        "WITH moved AS (
             UPDATE wakeups w SET due_at = x.lease_until, sweeps = 0
               FROM (SELECT o.place, o.due_at, l.lease_until FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                      CROSS JOIN LATERAL (SELECT c.lease_until FROM runs_open c
                                           WHERE c.tenant_id = u.t AND c.run_id = u.i AND c.lease_until > now()
                                             OFFSET 0) AS l
                      CROSS JOIN LATERAL (SELECT k.ctid AS place, k.due_at FROM wakeups k
                                           WHERE k.tenant_id = u.t AND k.run_id = u.i AND k.ready_at <= now()
                                             FOR UPDATE SKIP LOCKED) AS o) AS x
              WHERE w.ctid = x.place AND x.due_at > x.lease_until),
         uncalled AS (
             DELETE FROM wakeups w
              USING (SELECT o.place FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                      CROSS JOIN LATERAL (SELECT k.ctid AS place FROM wakeups k
                                           WHERE k.tenant_id = u.t AND k.run_id = u.i AND k.token = -1
                                             AND NOT EXISTS (SELECT 1 FROM runs_open c
                                                              WHERE c.tenant_id = u.t AND c.run_id = u.i)
                                             FOR UPDATE SKIP LOCKED) AS o) AS x
              WHERE w.ctid = x.place
          RETURNING w.tenant_id, w.run_id)
         DELETE FROM run_inbox q USING uncalled
          WHERE q.tenant_id = uncalled.tenant_id AND q.run_id = uncalled.run_id",
    )
    .bind(tenants)
    .bind(runs)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Renews claims; says which still held.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn renew(
    connection: &mut Conn<Worker>,
    claims: &[(TenantId, RunId, i32)],
    lease: Duration,
) -> Result<BTreeSet<RunKey>, Error> {
    let mut sorted = claims.to_vec();
    sorted.sort_unstable();
    let rows = sqlx::query(
        "UPDATE runs_open r SET lease_until = now() + $4
           FROM (SELECT u.e, l.place FROM unnest($1::uuid[], $2::uuid[], $3::int4[]) AS u (t, i, e)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
          WHERE r.ctid = x.place AND r.epoch = x.e AND r.status = 'running'
      RETURNING r.tenant_id, r.run_id",
    )
    .bind(sorted.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, run, _)| run.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, _, epoch)| *epoch).collect::<Vec<_>>())
    .bind(lease)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(|row| Ok((TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?)))).collect()
}

/// Gives claimed runs back as if they had not been claimed: whoever comes next may have them at once, and the claim
/// counts as no abandonment. A claim that does not hold any more is left alone.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn hand_back(
    connection: &mut Conn<Worker>,
    claims: &[(TenantId, RunId, i32)],
) -> Result<(), Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let mut sorted = claims.to_vec();
    sorted.sort_unstable();
    let free = sqlx::query(
        "UPDATE runs_open r
            SET status = CASE WHEN r.state IS NULL THEN 'queued' ELSE 'waiting' END, lease_until = NULL
           FROM (SELECT u.e, l.place FROM unnest($1::uuid[], $2::uuid[], $3::int4[]) AS u (t, i, e)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
          WHERE r.ctid = x.place AND r.epoch = x.e AND r.status = 'running'
      RETURNING r.tenant_id, r.run_id",
    )
    .bind(sorted.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, run, _)| run.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, _, epoch)| *epoch).collect::<Vec<_>>())
    .fetch_all(connection.sql())
    .await?;
    let column = |name: &str| free.iter().map(|row| row.try_get(name)).collect::<Result<Vec<Uuid>, _>>();
    // Tokens that are not ready keep their time: they were not what the run was claimed for.
    sqlx::query(
        "UPDATE wakeups w SET due_at = now(), sweeps = 0
           FROM (SELECT l.place FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT k.ctid AS place FROM wakeups k
                                       WHERE k.tenant_id = u.t AND k.run_id = u.i OFFSET 0) AS l) AS x
          WHERE w.ctid = x.place AND w.ready_at <= now()",
    )
    .bind(column("tenant_id")?)
    .bind(column("run_id")?)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// The row's run; `None` in the one row that there is when nothing was claimed.
fn claimed(row: &PgRow) -> Result<Option<ClaimedRun>, Error> {
    let Some(run_id) = row.try_get::<Option<Uuid>, _>("run_id")?.map(RunId) else { return Ok(None) };
    let state: Option<Vec<u8>> = row.try_get("state")?;
    let trace: Option<Vec<u8>> = row.try_get("trace")?;
    Ok(Some(ClaimedRun {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        run_id,
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        version_id: VersionId(row.try_get("version_id")?),
        trigger_id: row.try_get("trigger_id")?,
        event_id: EventId(row.try_get("event_id")?),
        contact_id: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
        run_key: row.try_get("run_key")?,
        priority: priority(row, "runs_open", run_id)?,
        epoch: row.try_get("epoch")?,
        abandoned: row.try_get("abandoned")?,
        received_at: row.try_get("received_at")?,
        state: state.map(|bytes| decode_state(&bytes, run_id)).transpose()?,
        trace: trace.and_then(|bytes| RunTrace::from_bytes(&bytes)),
        is_held: row.try_get("is_held")?,
    }))
}

/// Reads a stored state.
pub(crate) fn decode_state(bytes: &[u8], run_id: RunId) -> Result<RunState, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Unreadable {
        table: "workflow_runs",
        column: "state",
        id: run_id.to_string(),
        reason: error.to_string(),
    })
}

/// Reads a stored priority.
pub(crate) fn priority(row: &PgRow, table: &'static str, run_id: RunId) -> Result<Priority, Error> {
    let number: i16 = row.try_get("priority")?;
    Priority::from_i16(number).ok_or_else(|| Error::Unreadable {
        table,
        column: "priority",
        id: run_id.to_string(),
        reason: format!("{number} is not a priority"),
    })
}
