//! Runs that wait for what just happened.
//!
//! They are looked for after the commit of the events, and before these are acknowledged: an event that nobody waited for is seen
//! by who begins to wait later, and one that is delivered again looks again.

use crate::Shared;
use crate::goals::{self, Begun};
use automation_domain::contact::from_event::says_of_contact;
use automation_domain::id::{ContactId, EventId, RunId, TenantId};
use automation_domain::interpreter::{CONTACT_CHANGES, InboxInput};
use automation_domain::priority::Priority;
use automation_store::role::Worker;
use automation_store::runs::inbox;
use automation_store::runs::waits::{self, Happened};
use automation_store::{Conn, Error, Scope};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs told in one transaction.
const AT_ONCE: usize = 1_000;

/// A recorded event that runs may wait for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Watched {
    pub(crate) tenant_id: TenantId,
    pub(crate) contact_id: ContactId,
    pub(crate) event_id: EventId,
    pub(crate) event_type: String,
    /// Whether it may be what runs are for.
    pub(crate) is_goal: bool,
}

/// Tells the runs that wait for these, and counts for which runs they, or what happened before to the contacts of new ones, are what
/// they are for. For as long as it takes; gives the runs that are to be nudged, or `None` when the process drains first.
pub(crate) async fn tell(
    shared: &Shared,
    watched: &[Watched],
    begun: &Begun,
    drain: &CancellationToken,
) -> Option<Vec<(Priority, TenantId, RunId)>> {
    if watched.is_empty() && begun.is_empty() {
        return Some(Vec::new());
    }
    let of_watched = watched.iter().map(|one| one.tenant_id);
    let tenants: BTreeSet<TenantId> = of_watched.chain(begun.tenants()).collect();
    let tenants: Vec<TenantId> = tenants.into_iter().collect();
    let scope = Scope::Tenants(&tenants);
    let waiting = loop {
        match shared.db.tx(scope, async |connection| waiting(connection, watched).await).await {
            Ok(waiting) => break waiting,
            Err(error) => pause(shared, &error, drain).await?,
        }
    };
    let mut told = Vec::new();
    // A contact may have as many runs as it likes.
    for few in waiting.chunks(AT_ONCE) {
        let called = loop {
            match shared.db.tx(scope, async |connection| inbox::put(connection, few).await).await {
                Ok(called) => break called,
                Err(error) => pause(shared, &error, drain).await?,
            }
        };
        told.extend(called.into_iter().map(|((tenant, run), priority)| (priority, tenant, run)));
    }
    if !begun.is_empty() || watched.iter().any(|one| one.is_goal) {
        let called = loop {
            let meet =
                async |connection: &mut Conn<Worker>| goals::meet(connection, shared, watched, begun).await;
            match shared.db.tx(scope, meet).await {
                Ok(called) => break called,
                Err(error) => pause(shared, &error, drain).await?,
            }
        };
        told.extend(called.into_iter().map(|((tenant, run), priority)| (priority, tenant, run)));
    }
    shared.work.ready();
    Some(told)
}

/// Waits before the next try; `None` when the process drains first.
async fn pause(shared: &Shared, error: &Error, drain: &CancellationToken) -> Option<()> {
    shared.work.failing(error.to_string());
    tracing::warn!(%error, "looking again for runs that wait");
    tokio::select! {
        () = drain.cancelled() => None,
        () = tokio::time::sleep(Duration::from_millis(200)) => Some(()),
    }
}

/// The runs that wait for these, each with what it is told.
async fn waiting(
    connection: &mut Conn<Worker>,
    watched: &[Watched],
) -> Result<Vec<(TenantId, RunId, InboxInput)>, Error> {
    let mut happened = Vec::with_capacity(watched.len());
    let mut of = Vec::with_capacity(watched.len());
    for (index, Watched { tenant_id, contact_id, event_type, .. }) in watched.iter().enumerate() {
        let (tenant_id, contact_id) = (*tenant_id, *contact_id);
        happened.push(Happened { tenant_id, contact_id, event_type });
        of.push(index);
        if says_of_contact(event_type) {
            happened.push(Happened { tenant_id, contact_id, event_type: CONTACT_CHANGES });
            of.push(index);
        }
    }
    // A run that waits for the event and for a condition hears of it once.
    let waiting: BTreeSet<(usize, TenantId, RunId)> = waits::of(connection, &happened)
        .await?
        .into_iter()
        .map(|(number, tenant, run)| (of[number], tenant, run))
        .collect();
    let input = |(index, tenant, run): (usize, TenantId, RunId)| {
        let one = &watched[index];
        let changes_contact = says_of_contact(&one.event_type);
        (tenant, run, InboxInput::Event { event: one.event_id, changes_contact })
    };
    Ok(waiting.into_iter().map(input).collect())
}
