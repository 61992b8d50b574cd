//! Claiming a batch, and reading what its steps look at, in one transaction.

use crate::Shared;
use crate::versions::Version;
use automation_domain::event::RecordedEvent;
use automation_domain::id::{EventId, RunId, TenantId, VersionId, WorkflowId};
use automation_store::contacts::{self, Contacts};
use automation_store::runs::{self, ClaimedRun};
use automation_store::{Error, Scope, events, receipts, workflows};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Claimed runs with everything their steps may look at.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// The database's clock.
    pub(crate) now: DateTime<Utc>,
    pub(crate) runs: Vec<ClaimedRun>,
    pub(crate) versions: BTreeMap<VersionId, Arc<Version>>,
    pub(crate) events: BTreeMap<(TenantId, EventId), RecordedEvent>,
    pub(crate) contacts: Contacts,
    pub(crate) paused: BTreeSet<WorkflowId>,
}

/// Claims those of `nudged` that are ready and free.
pub(crate) async fn claim(shared: &Shared, nudged: &BTreeSet<(TenantId, RunId)>) -> Result<Claimed, Error> {
    let tenants: BTreeSet<TenantId> = nudged.iter().map(|(tenant, _)| *tenant).collect();
    let tenants: Vec<TenantId> = tenants.into_iter().collect();
    let nudged: Vec<(TenantId, RunId)> = nudged.iter().copied().collect();
    shared
        .db
        .tx(Scope::Tenants(&tenants), async |connection| {
            let runs = runs::claim(connection, &nudged, shared.config.lease).await?;
            let now = receipts::now(connection).await?;
            let pinned = runs.iter().map(|run| (run.tenant_id, run.version_id)).collect();
            let versions = shared.versions.get(connection, &pinned, &shared.config.limits).await?;
            let (mut wanted_events, mut wanted_contacts) = (BTreeSet::new(), BTreeSet::new());
            for run in &runs {
                let Some(version) = versions.get(&run.version_id) else { continue };
                if version.needs_event {
                    wanted_events.insert((run.tenant_id, run.event_id));
                }
                if let (Some(contact), Ok(workflow)) = (run.contact_id, &version.workflow)
                    && workflow.reads_contact
                {
                    wanted_contacts.insert((run.tenant_id, contact));
                }
            }
            let wanted_events: Vec<_> = wanted_events.into_iter().collect();
            let events = if wanted_events.is_empty() {
                BTreeMap::new()
            } else {
                events::by_ids(connection, &wanted_events).await?
            };
            let wanted_contacts: Vec<_> = wanted_contacts.into_iter().collect();
            let contacts = contacts::read(connection, &wanted_contacts).await?;
            let of: BTreeSet<_> = runs.iter().map(|run| (run.tenant_id, run.workflow_id)).collect();
            let of: Vec<_> = of.into_iter().collect();
            let paused = workflows::paused(connection, &of).await?.into_iter().collect();
            Ok(Claimed { now, runs, versions, events, contacts, paused })
        })
        .await
}

/// Gives claims back as if they had never been.
pub(crate) async fn hand_back(shared: &Shared, claims: &[(TenantId, RunId, i32)]) -> Result<(), Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let tenants: BTreeSet<TenantId> = claims.iter().map(|(tenant, _, _)| *tenant).collect();
    let tenants: Vec<TenantId> = tenants.into_iter().collect();
    shared.db.tx(Scope::Tenants(&tenants), async |connection| runs::hand_back(connection, claims).await).await
}
