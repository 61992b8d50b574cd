//! What ingest knows of tenants: ids, grants and triggers, as of the catalogue version that each batch reads.

use crate::trigger_index::{Published, TriggerIndex};
use automation_domain::id::{TenantId, VersionId};
use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_store::catalogue::{self, ActiveWorkflow};
use automation_store::tenants::{self, Grant};
use automation_store::{Error, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// What is known of one tenant.
#[derive(Debug)]
pub(crate) struct KnownTenant {
    pub(crate) tenant_id: TenantId,
    pub(crate) key: String,
    pub(crate) catalogue_version: i64,
    pub(crate) triggers: TriggerIndex,
    published: Vec<Arc<Published>>,
    grants: Vec<Grant>,
}

impl KnownTenant {
    /// Whether this broker user may publish this type for the tenant.
    pub(crate) fn allows(&self, user: &str, event_type: &str) -> bool {
        self.grants.iter().filter(|grant| grant.amqp_user == user).flat_map(|grant| &grant.event_types).any(
            |pattern| match pattern.strip_suffix('*') {
                Some(prefix) => event_type.starts_with(prefix),
                None => pattern == event_type,
            },
        )
    }
}

/// Ids of tenants by key, and what was loaded of them.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    ids: RwLock<BTreeMap<String, TenantId>>,
    loaded: RwLock<BTreeMap<TenantId, Arc<KnownTenant>>>,
}

impl Directory {
    /// The ids of all these keys, if every one of them was seen before.
    pub(crate) fn known(&self, keys: &BTreeSet<&str>) -> Option<BTreeMap<String, TenantId>> {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| Some(((*key).to_owned(), *ids.get(*key)?))).collect()
    }

    /// The ids of those of these keys that exist, as the database has them.
    pub(crate) async fn resolve(
        &self,
        connection: &mut PgConnection,
        keys: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, TenantId>, Error> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let found = tenants::by_keys(connection, &keys).await?;
        let resolved: BTreeMap<String, TenantId> =
            found.into_iter().map(|tenant| (tenant.key, tenant.tenant_id)).collect();
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        ids.extend(resolved.iter().map(|(key, id)| (key.clone(), *id)));
        Ok(resolved)
    }

    /// The tenants in the transaction's scope, as of the catalogue version that this transaction sees.
    pub(crate) async fn current(
        &self,
        connection: &mut PgConnection,
        keys: &BTreeMap<TenantId, String>,
        limits: &Limits,
    ) -> Result<BTreeMap<TenantId, Arc<KnownTenant>>, Error> {
        let ids: Vec<TenantId> = keys.keys().copied().collect();
        let versions = catalogue::versions(connection, &ids).await?;
        let mut known: BTreeMap<TenantId, Arc<KnownTenant>> = {
            let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
            ids.iter().filter_map(|id| Some((*id, loaded.get(id)?.clone()))).collect()
        };
        let is_stale =
            |id: &TenantId| known.get(id).map(|tenant| tenant.catalogue_version) != versions.get(id).copied();
        let stale: BTreeSet<TenantId> = ids.into_iter().filter(is_stale).collect();
        if stale.is_empty() {
            return Ok(known);
        }
        let (workflows, grants) = catalogue::load(connection).await?;
        for id in stale {
            let Some(version) = versions.get(&id) else { continue };
            let tenant = Arc::new(build(
                id,
                keys.get(&id).cloned().unwrap_or_default(),
                *version,
                workflows.iter().filter(|workflow| workflow.tenant_id == id),
                grants.iter().filter(|grant| grant.tenant_id == id).cloned().collect(),
                known.get(&id).map(Arc::as_ref),
                limits,
            ));
            self.loaded.write().unwrap_or_else(PoisonError::into_inner).insert(id, tenant.clone());
            known.insert(id, tenant);
        }
        Ok(known)
    }
}

fn build<'a>(
    tenant_id: TenantId,
    key: String,
    catalogue_version: i64,
    workflows: impl Iterator<Item = &'a ActiveWorkflow>,
    grants: Vec<Grant>,
    before: Option<&KnownTenant>,
    limits: &Limits,
) -> KnownTenant {
    let compiled: BTreeMap<VersionId, Arc<Published>> = before
        .map(|known| {
            known.published.iter().map(|published| (published.version_id, published.clone())).collect()
        })
        .unwrap_or_default();
    let published: Vec<Arc<Published>> = workflows
        .filter_map(|stored| match compiled.get(&stored.version_id) {
            Some(published) => Some(published.clone()),
            None => compile(stored, limits),
        })
        .collect();
    KnownTenant {
        tenant_id,
        key,
        catalogue_version,
        triggers: TriggerIndex::build(&published),
        published,
        grants,
    }
}

/// A version that this binary cannot compile starts no runs, and says so; it was written by a newer one.
fn compile(stored: &ActiveWorkflow, limits: &Limits) -> Option<Arc<Published>> {
    match workflow::parse_value(&stored.definition, automation_actions::contracts(), limits) {
        Ok(workflow) => Some(Arc::new(Published {
            workflow_id: stored.workflow_id,
            version_id: stored.version_id,
            workflow,
        })),
        Err(problems) => {
            tracing::error!(
                workflow.id = %stored.workflow_id,
                problem = problems.first().map(ToString::to_string),
                "a published workflow cannot be compiled and starts no runs"
            );
            None
        }
    }
}
