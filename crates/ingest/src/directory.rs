//! What ingest knows of tenants: ids, grants and triggers, as of the catalogue version that each batch reads.

use crate::trigger_index::{Published, TriggerIndex};
use automation_domain::contact::from_event::says_of_contact;
use automation_domain::facts::{FieldPath, TenantFacts, Tz};
use automation_domain::grant;
use automation_domain::id::{TenantId, VersionId};
use automation_domain::interpreter::CONTACT_CHANGES;
use automation_domain::limits::Limits;
use automation_domain::part::Part;
use automation_domain::workflow::{self, watched_as};
use automation_service_kit::metrics::observe_cache;
use automation_store::access::tenants::{self, Grant};
use automation_store::blame::suspended_parts;
use automation_store::role::Worker;
use automation_store::workflows::catalogue::{self, ActiveWorkflow, WatchedTypes};
use automation_store::{Conn, Db, Error, Scope, workflows};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// What is known of one tenant.
#[derive(Debug)]
pub(crate) struct KnownTenant {
    pub(crate) tenant_id: TenantId,
    pub(crate) key: String,
    zone: Tz,
    pub(crate) catalogue_version: i64,
    pub(crate) triggers: TriggerIndex,
    /// The types of events that runs may wait for or that conditions count, with what is kept of them.
    watched: WatchedTypes,
    published: Vec<Arc<Published>>,
    grants: Vec<Grant>,
    /// About how many bytes of memory its workflows take.
    bytes: usize,
}

impl KnownTenant {
    fn new(
        tenant_id: TenantId,
        key: String,
        current: &catalogue::Current,
        (mut published, suspended): (Vec<Arc<Published>>, &BTreeSet<Part>),
        (grants, watched): (Vec<Grant>, WatchedTypes),
    ) -> Self {
        // As the index gives them, so that putting what it finds in order costs next to nothing.
        published.sort_by_key(|published| published.workflow_id);
        let bytes = published.iter().map(|published| published.bytes).sum();
        let triggers = TriggerIndex::build(&published, suspended);
        let (zone, catalogue_version) = (current.zone, current.catalogue_version);
        Self { tenant_id, key, zone, catalogue_version, triggers, watched, published, grants, bytes }
    }

    /// What conditions see of it.
    pub(crate) fn facts(&self) -> TenantFacts<'_> {
        TenantFacts { key: &self.key, zone: self.zone }
    }

    /// Whether runs may wait for such an event, or for what it says of the contact.
    pub(crate) fn watches(&self, event_type: &str) -> bool {
        self.watched.contains_key(event_type)
            || (says_of_contact(event_type) && self.watched.contains_key(CONTACT_CHANGES))
    }

    /// Whether such an event may be what runs are for.
    pub(crate) fn is_goal(&self, event_type: &str) -> bool {
        self.watched.contains_key(&watched_as(event_type))
    }

    /// Whether there are, or were, workflows with a goal.
    pub(crate) fn has_goals(&self) -> bool {
        let first = watched_as("");
        self.watched.range(first.clone()..).next().is_some_and(|(watched, _)| watched.starts_with(&first))
    }

    /// What is kept of the content of such an event, if it is kept to whom it happened.
    pub(crate) fn keeps(&self, event_type: &str) -> Option<&[FieldPath]> {
        self.watched.get(event_type).map(Vec::as_slice)
    }

    /// The grant by which this publisher may send this type for the tenant; its time may be over.
    pub(crate) fn grant(&self, publisher: &str, event_type: &str) -> Option<&Grant> {
        self.grants
            .iter()
            .find(|grant| grant.amqp_user == publisher && grant::allows(&grant.event_types, event_type))
    }
}

/// What is known of some tenants.
pub(crate) type Known = BTreeMap<TenantId, Arc<KnownTenant>>;

/// Tables over their quota, by tenant.
pub(crate) type OverQuota = BTreeMap<TenantId, Vec<String>>;

/// What is known of the tenants of a transaction.
#[derive(Debug)]
pub(crate) enum Current {
    /// All of it is what the transaction sees.
    All {
        /// The moment of the transaction, in the database's clock.
        now: DateTime<Utc>,
        /// What is known.
        tenants: Known,
        /// The tables of which a tenant keeps more than it may; tenants within their quotas are left out.
        over_quota: OverQuota,
    },
    /// These have to be loaded before.
    Stale(Vec<TenantId>),
}

/// Tenants loaded in one transaction.
const AT_ONCE: usize = 4;
/// Definitions that are read at once: each may take a few MiB until it is compiled.
const DEFINITIONS_AT_ONCE: usize = 8;

/// Whether there was room for all that was to be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    Enough,
    /// Tenants of one batch take more than all that is kept may: it is to be parted.
    Short,
}

/// Ids of tenants by key, and what was loaded of them.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    ids: RwLock<BTreeMap<String, TenantId>>,
    loaded: Arc<RwLock<Known>>,
}

impl Directory {
    /// Knows nobody yet; its size is seen from outside.
    pub(crate) fn new() -> Self {
        let directory = Self::default();
        let loaded = directory.loaded.clone();
        observe_cache("triggers", move || {
            let loaded = loaded.read().unwrap_or_else(PoisonError::into_inner);
            loaded.values().map(|tenant| tenant.bytes as u64).sum()
        });
        directory
    }

    /// The ids of all these keys, if every one of them was seen before.
    pub(crate) fn known(&self, keys: &BTreeSet<&str>) -> Option<BTreeMap<String, TenantId>> {
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| Some(((*key).to_owned(), *ids.get(*key)?))).collect()
    }

    /// The ids of those of these keys that exist, as the database has them.
    pub(crate) async fn resolve(
        &self,
        connection: &mut Conn<Worker>,
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
        connection: &mut Conn<Worker>,
        scope: &[TenantId],
    ) -> Result<Current, Error> {
        let (now, versions) = catalogue::versions(connection, scope).await?;
        let known = self.loaded(scope);
        let is_stale = |(id, current): &(&TenantId, &catalogue::Current)| {
            known.get(id).map(|tenant| tenant.catalogue_version) != Some(current.catalogue_version)
        };
        let stale: Vec<TenantId> = versions.iter().filter(is_stale).map(|(id, _)| *id).collect();
        if !stale.is_empty() {
            return Ok(Current::Stale(stale));
        }
        let over_quota = versions
            .into_iter()
            .filter(|(_, current)| !current.over_quota.is_empty())
            .map(|(id, current)| (id, current.over_quota))
            .collect();
        Ok(Current::All { now, tenants: known, over_quota })
    }

    /// Loads these tenants, in transactions of their own that see nobody else's workflows. `keys` are those of all tenants of
    /// the batch, which are not forgotten meanwhile.
    pub(crate) async fn reload(
        &self,
        db: &Db<Worker>,
        stale: &[TenantId],
        keys: &BTreeMap<TenantId, String>,
        limits: &Limits,
    ) -> Result<Room, Error> {
        for few in stale.chunks(AT_ONCE) {
            let before = self.loaded(few);
            let mut compiled = Compiled::from(&before);
            let (versions, workflows, grants, suspended, mut watched) = db
                .tx(Scope::Tenants(few), async |connection| {
                    // The versions first: what changes meanwhile is loaded again.
                    let (_now, versions) = catalogue::versions(connection, few).await?;
                    let (workflows, grants) = catalogue::load(connection).await?;
                    let suspended = suspended_parts::list(connection).await?;
                    let suspended = suspended.into_iter().map(|one| one.part).collect::<BTreeSet<_>>();
                    let watched = catalogue::watched_types(connection).await?;
                    compiled.complete(connection, &workflows, limits).await?;
                    Ok::<_, Error>((versions, workflows, grants, suspended, watched))
                })
                .await?;
            for (id, current) in versions {
                let of = |workflow: &&ActiveWorkflow| workflow.tenant_id == id;
                let tenant = KnownTenant::new(
                    id,
                    keys.get(&id).cloned().unwrap_or_default(),
                    &current,
                    (compiled.of(workflows.iter().filter(of)), &suspended),
                    (
                        grants.iter().filter(|grant| grant.tenant_id == id).cloned().collect(),
                        watched.remove(&id).unwrap_or_default(),
                    ),
                );
                if self.keep(tenant, keys, limits.cache_bytes) == Room::Short && keys.len() > 1 {
                    return Ok(Room::Short);
                }
            }
        }
        Ok(Room::Enough)
    }

    /// Keeps a tenant; where there is no room for it, those that the batch at hand does not need are forgotten.
    fn keep(&self, tenant: KnownTenant, needed: &BTreeMap<TenantId, String>, most_bytes: usize) -> Room {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(tenant.tenant_id, Arc::new(tenant));
        let bytes = |loaded: &Known| loaded.values().map(|tenant| tenant.bytes).sum::<usize>();
        if bytes(&loaded) <= most_bytes {
            return Room::Enough;
        }
        loaded.retain(|id, _| needed.contains_key(id));
        if bytes(&loaded) <= most_bytes { Room::Enough } else { Room::Short }
    }

    fn loaded(&self, ids: &[TenantId]) -> Known {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        ids.iter().filter_map(|id| Some((*id, loaded.get(id)?.clone()))).collect()
    }
}

/// Workflows of the tenants at hand, by version.
struct Compiled {
    by_version: BTreeMap<VersionId, Arc<Published>>,
    bytes: BTreeMap<TenantId, usize>,
}

impl From<&Known> for Compiled {
    /// Those that are known: a version never changes.
    fn from(known: &Known) -> Self {
        let published = known.values().flat_map(|tenant| &tenant.published);
        let by_version = published.map(|published| (published.version_id, published.clone())).collect();
        Self { by_version, bytes: BTreeMap::new() }
    }
}

impl Compiled {
    /// Reads and compiles those that are not there, a few at a time.
    async fn complete(
        &mut self,
        connection: &mut Conn<Worker>,
        active: &[ActiveWorkflow],
        limits: &Limits,
    ) -> Result<(), Error> {
        let known = active
            .iter()
            .filter_map(|one| Some((one.tenant_id, self.by_version.get(&one.version_id)?.bytes)));
        for (tenant, bytes) in known.collect::<Vec<_>>() {
            *self.bytes.entry(tenant).or_default() += bytes;
        }
        let missing: Vec<_> =
            active.iter().filter(|one| !self.by_version.contains_key(&one.version_id)).collect();
        for few in missing.chunks(DEFINITIONS_AT_ONCE) {
            let ids: Vec<_> = few.iter().map(|one| (one.tenant_id, one.version_id)).collect();
            let mut stored = workflows::versions(connection, &ids).await?;
            for one in few {
                if let Some(stored) = stored.remove(&one.version_id) {
                    self.add(one, &stored.definition, limits);
                }
            }
        }
        Ok(())
    }

    /// A version that this binary cannot compile starts no runs, and says so: it was written by a newer one. So does one for
    /// which its tenant has no room.
    fn add(&mut self, one: &ActiveWorkflow, definition: &Value, limits: &Limits) {
        let workflow = match workflow::parse_value(definition, automation_actions::node_types(), limits) {
            Ok(workflow) => workflow,
            Err(problems) => {
                tracing::error!(
                    workflow.id = %one.workflow_id,
                    problem = problems.first().map(ToString::to_string),
                    "a published workflow cannot be compiled and starts no runs"
                );
                return;
            }
        };
        let published = Published::new(one.workflow_id, one.version_id, workflow);
        let bytes = self.bytes.entry(one.tenant_id).or_default();
        if *bytes + published.bytes > limits.cache_bytes {
            tracing::error!(
                workflow.id = %one.workflow_id,
                tenant.id = %one.tenant_id,
                most_bytes = limits.cache_bytes,
                "a published workflow starts no runs: with it, its tenant's take more memory than they may"
            );
            return;
        }
        *bytes += published.bytes;
        self.by_version.insert(one.version_id, Arc::new(published));
    }

    fn of<'a>(&self, active: impl Iterator<Item = &'a ActiveWorkflow>) -> Vec<Arc<Published>> {
        active.filter_map(|one| self.by_version.get(&one.version_id).cloned()).collect()
    }
}
