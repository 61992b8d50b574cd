//! Compiled workflow versions, kept as long as they are used: a version never changes.

use automation_domain::catalogue;
use automation_domain::id::{TenantId, VersionId};
use automation_domain::limits::Limits;
use automation_domain::workflow::{self, NodeKind, Workflow};
use automation_store::{Error, PgConnection, workflows};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Most versions kept; beyond it, those the batch at hand does not use are forgotten.
const MOST_KEPT: usize = 10_000;

/// A version that runs are pinned to.
#[derive(Debug)]
pub(crate) struct Version {
    /// The key of its tenant.
    pub(crate) tenant: String,
    /// Its number.
    pub(crate) number: i32,
    /// The graph, or why this binary cannot read it.
    pub(crate) workflow: Result<Workflow, String>,
    /// Whether steps read the event or publish events that it caused.
    pub(crate) needs_event: bool,
}

/// The versions known so far.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    kept: RwLock<BTreeMap<VersionId, Arc<Version>>>,
}

impl Versions {
    /// The versions with these ids; role worker, tenants in scope. One that does not exist is left out.
    pub(crate) async fn get(
        &self,
        connection: &mut PgConnection,
        ids: &BTreeSet<(TenantId, VersionId)>,
        limits: &Limits,
    ) -> Result<BTreeMap<VersionId, Arc<Version>>, Error> {
        let mut found: BTreeMap<VersionId, Arc<Version>> = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            ids.iter().filter_map(|(_, id)| Some((*id, kept.get(id)?.clone()))).collect()
        };
        let missing: Vec<_> = ids.iter().filter(|(_, id)| !found.contains_key(id)).copied().collect();
        if missing.is_empty() {
            return Ok(found);
        }
        for (id, stored) in workflows::versions(connection, &missing).await? {
            found.insert(id, Arc::new(compile(stored, limits)));
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + missing.len() > MOST_KEPT {
            kept.clear();
        }
        kept.extend(found.iter().map(|(id, version)| (*id, version.clone())));
        Ok(found)
    }
}

fn compile(stored: workflows::PinnedVersion, limits: &Limits) -> Version {
    let workflow = workflow::parse_value(&stored.definition, automation_actions::contracts(), limits)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    let needs_event = workflow.as_ref().is_ok_and(|workflow| workflow.reads_event || emits(workflow));
    Version { tenant: stored.tenant, number: stored.number, workflow, needs_event }
}

/// Whether a node's action publishes events, which name the run's event as their cause.
fn emits(workflow: &Workflow) -> bool {
    workflow.nodes.iter().any(|node| match &node.kind {
        NodeKind::Action { action, .. } => {
            catalogue::actions().iter().any(|entry| entry.key == action && !entry.emits.is_empty())
        }
        NodeKind::Delay { .. } | NodeKind::Branch { .. } | NodeKind::Stop => false,
    })
}
