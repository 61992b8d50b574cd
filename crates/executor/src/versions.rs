//! Compiled workflow versions, kept as long as they are used: a version never changes.

use automation_domain::id::{TenantId, VersionId};
use automation_domain::interpreter::Need;
use automation_domain::limits::Limits;
use automation_domain::workflow::{self, Workflow};
use automation_service_kit::metrics::observe_cache;
use automation_store::role::Worker;
use automation_store::{Conn, Error, workflows};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Definitions that are read at once: each may take a few MiB until it is compiled.
const AT_ONCE: usize = 8;

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

/// Versions by id.
pub(crate) type ById = BTreeMap<VersionId, Arc<Version>>;

/// The versions known so far.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    kept: Arc<RwLock<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    by_id: ById,
    bytes: usize,
}

impl Versions {
    /// None yet; their size is seen from outside.
    pub(crate) fn new() -> Self {
        let versions = Self::default();
        let kept = versions.kept.clone();
        observe_cache("versions", move || kept.read().unwrap_or_else(PoisonError::into_inner).bytes as u64);
        versions
    }

    /// The versions with these ids; role worker, tenants in scope. One that does not exist is left out.
    pub(crate) async fn get(
        &self,
        connection: &mut Conn<Worker>,
        ids: &BTreeSet<(TenantId, VersionId)>,
        limits: &Limits,
    ) -> Result<ById, Error> {
        let mut found: ById = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            ids.iter().filter_map(|(_, id)| Some((*id, kept.by_id.get(id)?.clone()))).collect()
        };
        let missing: Vec<_> = ids.iter().filter(|(_, id)| !found.contains_key(id)).copied().collect();
        if missing.is_empty() {
            return Ok(found);
        }
        for few in missing.chunks(AT_ONCE) {
            for (id, stored) in workflows::versions(connection, few).await? {
                found.insert(id, Arc::new(compile(stored, limits)));
            }
        }
        self.kept.write().unwrap_or_else(PoisonError::into_inner).keep(&found, limits.cache_bytes);
        Ok(found)
    }
}

impl Kept {
    /// Keeps these too. Where that would be more than `most_bytes`, the others are forgotten, and of these as many are kept
    /// as there is room for.
    fn keep(&mut self, found: &ById, most_bytes: usize) {
        let more: usize =
            found.iter().filter(|(id, _)| !self.by_id.contains_key(id)).map(|(_, new)| new.bytes()).sum();
        if self.bytes + more > most_bytes {
            *self = Self::default();
        }
        for (id, version) in found {
            if !self.by_id.contains_key(id) && self.bytes + version.bytes() <= most_bytes {
                self.bytes += version.bytes();
                self.by_id.insert(*id, version.clone());
            }
        }
    }
}

impl Version {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.workflow.as_ref().map_or_else(String::len, |workflow| workflow.memory_bytes)
    }
}

fn compile(stored: workflows::PinnedVersion, limits: &Limits) -> Version {
    let workflow = workflow::parse_value(&stored.definition, automation_actions::node_types(), limits)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    let needs_event = workflow.as_ref().is_ok_and(|workflow| workflow.needs(&Need::Event) || emits(workflow));
    Version { tenant: stored.tenant, number: stored.number, workflow, needs_event }
}

/// Whether a node publishes events, which name the run's event as their cause.
fn emits(workflow: &Workflow) -> bool {
    workflow.nodes.iter().any(|node| node.behaviour.emits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// A version that takes so many bytes, with an error in place of a graph.
    fn version(number: u128, bytes: usize) -> (VersionId, Arc<Version>) {
        let workflow = Err("x".repeat(bytes - size_of::<Version>()));
        let version = Version { tenant: String::new(), number: 1, workflow, needs_event: false };
        (VersionId(Uuid::from_u128(number)), Arc::new(version))
    }

    fn kept(kept: &Kept) -> Vec<u128> {
        kept.by_id.keys().map(|id| id.0.as_u128()).collect()
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_what_is_in_use_comes_first() {
        let mut cache = Kept::default();
        cache.keep(&[version(1, 4_000), version(2, 4_000)].into(), 10_000);
        assert_eq!((kept(&cache), cache.bytes), (vec![1, 2], 8_000));
        cache.keep(&[version(1, 4_000), version(2, 4_000)].into(), 10_000);
        assert_eq!(cache.bytes, 8_000);
        cache.keep(&[version(2, 4_000), version(3, 4_000)].into(), 10_000);
        assert_eq!((kept(&cache), cache.bytes), (vec![2, 3], 8_000));
        cache.keep(&[version(4, 6_000), version(5, 6_000), version(6, 3_000)].into(), 10_000);
        assert_eq!((kept(&cache), cache.bytes), (vec![4, 6], 9_000));
        cache.keep(&[version(7, 20_000)].into(), 10_000);
        assert_eq!((kept(&cache), cache.bytes), (vec![], 0));
    }
}
