//! What ingest knows of tenants: ids, grants and triggers, as of the catalogue version that each batch reads.

use crate::trigger_index::{Published, TriggerIndex};
use automation_domain::grant;
use automation_domain::id::{TenantId, VersionId};
use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_store::catalogue::{self, ActiveWorkflow};
use automation_store::tenants::{self, Grant};
use automation_store::{Db, Error, PgConnection, Scope, suspended_parts};
use chrono::{DateTime, Utc};
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
    /// The grant by which this publisher may send this type for the tenant; its time may be over.
    pub(crate) fn grant(&self, publisher: &str, event_type: &str) -> Option<&Grant> {
        self.grants
            .iter()
            .find(|grant| grant.amqp_user == publisher && grant::allows(&grant.event_types, event_type))
    }
}

/// What is known of some tenants.
pub(crate) type Known = BTreeMap<TenantId, Arc<KnownTenant>>;

/// What is known of the tenants of a transaction.
#[derive(Debug)]
pub(crate) enum Current {
    /// All of it is what the transaction sees.
    All {
        /// The moment of the transaction, in the database's clock.
        now: DateTime<Utc>,
        /// What is known.
        tenants: Known,
    },
    /// These have to be loaded before.
    Stale(Vec<TenantId>),
}

/// Tenants loaded in one transaction: each may have many workflows of up to 1 MiB.
const AT_ONCE: usize = 20;

/// Ids of tenants by key, and what was loaded of them.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    ids: RwLock<BTreeMap<String, TenantId>>,
    loaded: RwLock<Known>,
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

    /// The tenants of the transaction's scope, if what was loaded of each is what this transaction sees.
    pub(crate) async fn current(
        &self,
        connection: &mut PgConnection,
        scope: &[TenantId],
    ) -> Result<Current, Error> {
        let (now, versions) = catalogue::versions(connection, scope).await?;
        let known = self.loaded(scope);
        let is_stale = |(id, version): &(&TenantId, &i64)| {
            known.get(id).map(|tenant| tenant.catalogue_version) != Some(**version)
        };
        let stale: Vec<TenantId> = versions.iter().filter(is_stale).map(|(id, _)| *id).collect();
        Ok(if stale.is_empty() { Current::All { now, tenants: known } } else { Current::Stale(stale) })
    }

    /// Loads these tenants, in transactions of their own that see nobody else's workflows.
    pub(crate) async fn reload(
        &self,
        db: &Db,
        stale: &[TenantId],
        keys: &BTreeMap<TenantId, String>,
        limits: &Limits,
    ) -> Result<(), Error> {
        for few in stale.chunks(AT_ONCE) {
            let (versions, workflows, grants, suspended) = db
                .tx(Scope::Tenants(few), async |connection| {
                    // The versions first: what changes meanwhile is loaded again.
                    let (_now, versions) = catalogue::versions(connection, few).await?;
                    let (workflows, grants) = catalogue::load(connection).await?;
                    let suspended = suspended_parts::list(connection).await?;
                    let suspended = suspended.into_iter().map(|one| one.part).collect::<BTreeSet<_>>();
                    Ok::<_, Error>((versions, workflows, grants, suspended))
                })
                .await?;
            let before = self.loaded(few);
            for (id, version) in versions {
                let published = publish(
                    workflows.iter().filter(|workflow| workflow.tenant_id == id),
                    before.get(&id).map(Arc::as_ref),
                    limits,
                );
                let tenant = KnownTenant {
                    tenant_id: id,
                    key: keys.get(&id).cloned().unwrap_or_default(),
                    catalogue_version: version,
                    triggers: TriggerIndex::build(&published, &suspended),
                    published,
                    grants: grants.iter().filter(|grant| grant.tenant_id == id).cloned().collect(),
                };
                self.loaded.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(tenant));
            }
        }
        Ok(())
    }

    fn loaded(&self, ids: &[TenantId]) -> Known {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        ids.iter().filter_map(|id| Some((*id, loaded.get(id)?.clone()))).collect()
    }
}

/// The workflows of a tenant, compiled; those that were before are taken over.
fn publish<'a>(
    workflows: impl Iterator<Item = &'a ActiveWorkflow>,
    before: Option<&KnownTenant>,
    limits: &Limits,
) -> Vec<Arc<Published>> {
    let compiled: BTreeMap<VersionId, Arc<Published>> = before
        .map(|known| {
            known.published.iter().map(|published| (published.version_id, published.clone())).collect()
        })
        .unwrap_or_default();
    workflows
        .filter_map(|stored| match compiled.get(&stored.version_id) {
            Some(published) => Some(published.clone()),
            None => compile(stored, limits),
        })
        .collect()
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
