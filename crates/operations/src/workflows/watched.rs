//! Before a version is published that waits for events, ingest has to know of their types.

use crate::{Error, Session};
use automation_domain::workflow::Workflow;
use automation_store::events::receipts;
use automation_store::workflows::watched;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// A type that is watched for no longer than this may be unknown to batches of events that began before.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// What runs look back at is known for an hour at least: the event that starts one may be late.
const LEAST_KNOWN: TimeDelta = TimeDelta::hours(1);

/// A workflow that may be published: ingest knows what its runs may wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched<'w>(&'w Workflow);

impl<'w> Watched<'w> {
    /// The workflow.
    pub(super) fn workflow(self) -> &'w Workflow {
        self.0
    }
}

/// Makes known to ingest what runs of this version may wait for, and to whom it happened before, as far as they look back.
pub(super) async fn watch<'w>(session: &Session, workflow: &'w Workflow) -> Result<Watched<'w>, Error> {
    let awaited = workflow.awaited_types();
    if awaited.is_empty() {
        return Ok(Watched(workflow));
    }
    let types: Vec<&str> = awaited.keys().copied().collect();
    session.change_noted(async |connection| watched::watch(connection, session.tenant, &types).await).await?;
    let (mut now, since) = known(session, &types).await?;
    let is_fresh = since.values().any(|since| *since > now - FRESH);
    if is_fresh {
        session.change_noted(async |connection| watched::all_taken_in(connection).await).await?;
        now = known(session, &types).await?.0;
    }
    for (event_type, looks_back) in awaited {
        let from = now - looks_back.max(LEAST_KNOWN);
        if let Some(known) = since.get(event_type).filter(|known| **known > from) {
            // What batches took in that did not know of the type yet.
            let until = if is_fresh { now } else { *known };
            fill(session, event_type, from, until).await?;
        }
    }
    Ok(Watched(workflow))
}

/// The database's clock, and since when it is known of types to whom they happened.
async fn known(
    session: &Session,
    types: &[&str],
) -> Result<(DateTime<Utc>, BTreeMap<String, DateTime<Utc>>), Error> {
    session
        .read(async |connection| {
            let now = receipts::now(connection).await?;
            Ok((now, watched::known_since(connection, session.tenant, types).await?))
        })
        .await
}

/// Day by day, the latest first.
async fn fill(
    session: &Session,
    event_type: &str,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), Error> {
    let mut end = until;
    while end > from {
        let start = (end - TimeDelta::days(1)).max(from);
        session
            .change_noted(async |connection| {
                watched::fill(connection, session.tenant, event_type, (start, end)).await?;
                watched::filled(connection, session.tenant, event_type, start).await
            })
            .await?;
        end = start;
    }
    Ok(())
}
