//! The usual way of a batch: claimed, walked and committed in one transaction.
//!
//! Nothing of such a batch is seen by others until all of it is done, so a worker that dies leaves no lease behind: its
//! nudges are delivered again, and the runs are free at once. What may have killed a worker does not go this way, or its
//! deaths would never be counted: batches whose nudges were delivered before, and runs that were abandoned before.

use crate::Shared;
use crate::checkpoint::{self, Claims};
use crate::claim::{self, Claimed};
use crate::plan::{self, Settlement};
use crate::settle::{committed, portion};
use crate::traces::Tries;
use automation_domain::id::RunKey;
use automation_service_kit::crash_point;
use automation_store::runs::checkpoints::Held;
use automation_store::{Error, Scope, runs};
use std::sync::Arc;

/// Claims those of `nudged` that are ready and free, and settles what it can. Gives the claims that were committed without
/// having been walked.
///
/// # Errors
///
/// Whatever the database refused: nothing is committed then, and no request is on its way.
pub(crate) async fn claim_and_settle(shared: &Arc<Shared>, nudged: &[RunKey]) -> Result<Claimed, Error> {
    let tenants = claim::tenants(nudged.iter().map(|(tenant, _)| *tenant));
    let (claimed, settlements, held) = shared
        .db
        .tx(Scope::Tenants(&tenants), async |connection| {
            let (mut claimed, places) = claim::claim_here(connection, shared, nudged).await?;
            crash_point!("executor.after_claim");
            let settlements = walk_some(shared, &mut claimed);
            let left: Vec<_> = claimed.runs.iter().map(|run| (run.tenant_id, run.run_id)).collect();
            runs::write_claims(connection, &left, shared.config.lease).await?;
            if settlements.is_empty() {
                return Ok::<_, Error>((claimed, settlements, Held::new()));
            }
            crash_point!("executor.before_checkpoint");
            let claims = Claims::Here(&places);
            let held =
                checkpoint::write(connection, claimed.now, shared, &claimed, &settlements, claims).await?;
            Ok((claimed, settlements, held))
        })
        .await?;
    if !settlements.is_empty() {
        crash_point!("executor.after_checkpoint");
        shared.metrics.claimed(settlements.iter().map(|settlement| &settlement.run));
        committed(shared, &claimed, settlements, &held, &mut Tries::new());
    }
    Ok(claimed)
}

/// Walks runs that nobody abandoned, a portion of them, and takes them out of the batch. Those that are left keep their claims
/// and are walked after it.
fn walk_some(shared: &Arc<Shared>, claimed: &mut Claimed) -> Vec<Settlement> {
    if claimed.runs.iter().any(|run| run.abandoned > 0) {
        return Vec::new();
    }
    let settlements = portion(&claimed.runs, |run| plan::settlement(shared, claimed, run, None));
    claimed.runs.drain(..settlements.len());
    settlements
}
