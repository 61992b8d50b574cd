//! Which triggers an event matches, in memory: what a worker does between reading a batch and writing it. For measuring.

use crate::care::Manner;
use crate::directory::{Current, Directory, Known};
use crate::matching::{self, Asked};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::Facts;
use automation_domain::id::{ContactId, TenantId};
use automation_domain::limits::Limits;
use automation_domain::past::Past;
use automation_store::role::Worker;
use automation_store::{Db, Error, Scope};
use std::collections::{BTreeMap, BTreeSet};

/// The active triggers of some tenants, compiled and indexed.
#[derive(Debug)]
pub struct Evaluation {
    ids: BTreeMap<String, TenantId>,
    tenants: Known,
    limits: Limits,
}

impl Evaluation {
    /// Loads the tenants with these keys as ingest does.
    ///
    /// # Errors
    ///
    /// [`Error`] of the database.
    pub async fn load(db: &Db<Worker>, keys: &BTreeSet<&str>, limits: &Limits) -> Result<Self, Error> {
        let directory = Directory::default();
        let resolve = async |connection: &mut _| directory.resolve(connection, keys).await;
        let ids = db.tx(Scope::Tenants(&[]), resolve).await?;
        let by_id: BTreeMap<TenantId, String> = ids.iter().map(|(key, id)| (*id, key.clone())).collect();
        let scope: Vec<TenantId> = by_id.keys().copied().collect();
        loop {
            let current = async |connection: &mut _| directory.current(connection, &scope).await;
            match db.tx(Scope::Tenants(&scope), current).await? {
                Current::All { tenants, .. } => {
                    return Ok(Self { ids, tenants, limits: limits.clone() });
                }
                Current::Stale(stale) => {
                    directory.reload(db, &stale, &by_id, limits).await?;
                }
            }
        }
    }

    /// How many runs an event would start, entry rules over earlier runs aside; none for a tenant that was not loaded.
    pub fn matches(&self, recorded: &RecordedEvent, contact: Option<&Contact>) -> usize {
        let tenant = self.ids.get(&recorded.event.tenant).and_then(|id| self.tenants.get(id));
        let Some(tenant) = tenant else { return 0 };
        let now = recorded.received_at;
        let budget = Budget::new(&self.limits);
        let event = Some(recorded);
        let past = Past::Unknown;
        let facts =
            Facts { event, contact: None, run: None, past, tenant: tenant.facts(), now, budget: &budget };
        let candidates = tenant.triggers.candidates(&recorded.event, &facts);
        let subject = recorded.event.subject.as_deref();
        let contact_id = subject.map(|subject| ContactId::derive(tenant.tenant_id, subject));
        let asked = Asked { tenant, recorded, contact, contact_id, past, now, manner: Manner::Usual };
        matching::matches(&asked, candidates, &budget).matches.len()
    }
}
