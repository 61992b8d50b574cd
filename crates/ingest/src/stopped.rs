//! Telling whose workflows would have gone on in a circle when a chain of causes is stopped.
//!
//! Whatever is one link too many is refused and parked. Where it would have started a workflow, the owners are told of the edge:
//! after the batch, in a transaction of its own, so that a circle that is stopped a thousand times a second holds nobody up.

use crate::Shared;
use crate::care::Manner;
use crate::directory::KnownTenant;
use crate::matching::{self, Asked};
use crate::reading::Arrival;
use automation_broker::consumer::Delivery;
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::{CAUSED_BY, ENGINE_SOURCE, Event, RecordedEvent};
use automation_domain::facts::Facts;
use automation_domain::id::{ContactId, EventId};
use automation_domain::notice::Notice;
use automation_domain::past::Past;
use automation_store::events::receipts;
use automation_store::notices::{self, NewNotice};
use automation_store::records::contacts;
use automation_store::role::Worker;
use automation_store::{Conn, Error, Scope};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most edges of a batch that are looked at: what is beyond them is told with a later batch, if it goes on.
const MOST_EDGES: usize = 20;

/// An event that was stopped.
#[derive(Clone, Debug)]
pub(crate) struct Stopped {
    tenant: Arc<KnownTenant>,
    event: Event,
    /// The workflow and the node that caused it, if the engine published it.
    caused_by: Option<String>,
}

impl Stopped {
    /// An arrival that is refused for its place in the chain of causes.
    pub(crate) fn new(arrival: &Arrival, deliveries: &[Delivery], tenant: &Arc<KnownTenant>) -> Self {
        let attribute = |bytes: &[u8]| {
            let event: Value = serde_json::from_slice(bytes).ok()?;
            Some(event.get(CAUSED_BY)?.as_str()?.to_owned())
        };
        let is_own = arrival.event.source == ENGINE_SOURCE;
        let caused_by = attribute(arrival.bytes(deliveries)).filter(|_| is_own);
        Self { tenant: tenant.clone(), event: arrival.event.clone(), caused_by }
    }
}

/// Tells of what was stopped. What the database does not take is in the log, and told when it happens again.
pub(crate) async fn tell(shared: &Shared, stopped: Vec<Stopped>) {
    let mut by_edge: BTreeMap<_, (Stopped, i64)> = BTreeMap::new();
    for one in stopped {
        let edge = (one.tenant.tenant_id, one.caused_by.clone(), one.event.event_type.clone());
        by_edge.entry(edge).or_insert((one, 0)).1 += 1;
    }
    for (one, times) in by_edge.into_values().take(MOST_EDGES) {
        let tenants = [one.tenant.tenant_id];
        let raise = async |connection: &mut Conn<Worker>| {
            let notices = notices(connection, shared, &one, times).await?;
            notices::raise(connection, &notices).await
        };
        if let Err(error) = shared.db.tx(Scope::Tenants(&tenants), raise).await {
            tracing::warn!(%error, "telling of a chain of causes that was stopped failed");
        }
    }
}

/// A notice for each trigger that the event would have started a run by.
async fn notices(
    connection: &mut Conn<Worker>,
    shared: &Shared,
    stopped: &Stopped,
    times: i64,
) -> Result<Vec<NewNotice>, Error> {
    let Stopped { tenant, event, caused_by } = stopped;
    let (now, tenant_id) = (receipts::now(connection).await?, tenant.tenant_id);
    let contact_id = event.subject.as_deref().map(|subject| ContactId::derive(tenant_id, subject));
    let contact = match (contact_id, event.subject.as_deref()) {
        (Some(id), Some(subject)) => {
            let known = contacts::read(connection, &[(tenant_id, id)]).await?.into_values().next();
            Some(known.unwrap_or_else(|| Contact::new(id, subject)))
        }
        (None, _) | (_, None) => None,
    };
    let event_id = EventId::derive(now, event.key);
    let recorded = RecordedEvent { event_id, received_at: now, event: event.clone() };
    let budget = Budget::new(&shared.config.limits);
    let facts = Facts {
        event: Some(&recorded),
        contact: contact.as_ref(),
        run: None,
        past: Past::Unknown,
        tenant: tenant.facts(),
        now,
        budget: &budget,
    };
    let candidates = tenant.triggers.candidates(event, &facts);
    let asked = Asked {
        tenant,
        recorded: &recorded,
        contact: contact.as_ref(),
        contact_id,
        past: Past::Unknown,
        now,
        manner: Manner::Usual,
    };
    let budget = Budget::new(&shared.config.limits);
    let found = matching::matches(&asked, candidates, &budget);
    let (from_workflow, from_node) = match caused_by.as_deref().map(|from| from.split_once('/').ok_or(from)) {
        Some(Ok((workflow, node))) => (Some(workflow.to_owned()), Some(node.to_owned())),
        Some(Err(workflow)) => (Some(workflow.to_owned()), None),
        None => (None, None),
    };
    let notice = |found: matching::Match| NewNotice {
        tenant_id,
        notice: Notice::LoopStopped {
            from_workflow: from_workflow.clone(),
            from_node: from_node.clone(),
            event_type: event.event_type.clone(),
            to_workflow: found.trigger.published.key.clone(),
            to_trigger: found.run.trigger_id,
            depth: event.causation_depth,
            event_id: event.id.clone(),
            correlation_id: event.correlation_id.clone(),
        },
        times,
    };
    Ok(found.matches.into_iter().map(notice).collect())
}
