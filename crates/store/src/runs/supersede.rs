//! Ending runs whose place others take.

use crate::role::Worker;
use crate::runs::cancel::end_locked;
use crate::runs::{columns, inbox};
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::interpreter::InboxInput;
use automation_domain::priority::Priority;
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::BTreeMap;

/// A run whose place another takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Superseded {
    /// Whose run.
    pub tenant_id: TenantId,
    /// The run that ends.
    pub run_id: RunId,
    /// The run that takes its place.
    pub by: RunId,
}

/// Ends these runs, in the transaction that starts the others. Those that somebody holds hear it from their inbox, and end before
/// anything more of them begins; they are given, to be nudged after the commit.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn end(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    superseded: &[Superseded],
) -> Result<BTreeMap<RunKey, Priority>, Error> {
    if superseded.is_empty() {
        return Ok(BTreeMap::new());
    }
    let runs: Vec<RunKey> = superseded.iter().map(|one| (one.tenant_id, one.run_id)).collect();
    let (tenants, ids) = columns(&runs);
    let rows = sqlx::query(
        "SELECT r.tenant_id, r.run_id, r.epoch, r.state FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT * FROM runs_open c WHERE c.tenant_id = u.t AND c.run_id = u.i
                                 AND (c.lease_until IS NULL OR c.lease_until < now()) FOR UPDATE SKIP LOCKED) AS r",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_all(connection.sql())
    .await?;
    let mut free = BTreeMap::new();
    for row in &rows {
        let run = (TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?));
        free.insert(run, (row.try_get::<i32, _>("epoch")?, row.try_get::<Option<Vec<u8>>, _>("state")?));
    }
    let mut held = Vec::new();
    let mut in_order: Vec<&Superseded> = superseded.iter().collect();
    in_order.sort_unstable_by_key(|one| (one.tenant_id, one.run_id));
    for one in in_order {
        let reason = format!("run {} took its place", one.by);
        let run = (one.tenant_id, one.run_id);
        match free.remove(&run) {
            Some(standing) => end_locked(connection, now, run, standing, ("ingest", reason)).await?,
            None => held.push((one.tenant_id, one.run_id, InboxInput::Cancel { reason })),
        }
    }
    if held.is_empty() { Ok(BTreeMap::new()) } else { inbox::put(connection, &held).await }
}
