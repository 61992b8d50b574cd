//! Claiming a batch, and reading what its steps look at, in one transaction.

use crate::Shared;
use crate::versions::{self, Version};
use automation_domain::condition::Aggregate;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{TenantFacts, Tz};
use automation_domain::id::{EventId, RunId, RunKey, TenantId, VersionId, WorkflowId};
use automation_domain::interpreter::{InboxInput, Need, RunState, Waits};
use automation_domain::past;
use automation_domain::workflow::Workflow;
use automation_service_kit::clock;
use automation_store::events::history::{self, Histories, Window};
use automation_store::events::of_contacts::{self, Look};
use automation_store::records::contacts::{self, Contacts};
use automation_store::role::Worker;
use automation_store::runs::effects::{self, EffectKey, StoredEffect};
use automation_store::runs::hold::{self, Asked};
use automation_store::runs::inbox::{self, Queued};
use automation_store::runs::{self, Claim, ClaimedRun, Places};
use automation_store::workflows::Standing;
use automation_store::{Conn, Error, Scope, events, workflows};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

/// Claimed runs with everything their steps may look at.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// The database's clock.
    pub(crate) now: DateTime<Utc>,
    /// When the batch was begun, by the machine's clock; for traces alone.
    pub(crate) began: SystemTime,
    pub(crate) runs: Vec<Arc<ClaimedRun>>,
    pub(crate) versions: BTreeMap<VersionId, Arc<Version>>,
    pub(crate) events: BTreeMap<(TenantId, EventId), RecordedEvent>,
    pub(crate) contacts: Contacts,
    pub(crate) paused: BTreeSet<WorkflowId>,
    /// The time zones of tenants; one that is not here is in UTC.
    zones: BTreeMap<TenantId, Tz>,
    /// The stored requests that are to be sent again.
    pub(crate) effects: BTreeMap<EffectKey, StoredEffect>,
    /// What runs have not heard yet.
    pub(crate) inbox: BTreeMap<RunKey, Vec<Queued>>,
    /// Runs that have more to hear than they are given now.
    pub(crate) unheard: BTreeSet<RunKey>,
    /// What happened before runs began to wait, of those that look back.
    pub(crate) before: BTreeMap<RunKey, Vec<EventId>>,
    /// What happened to contacts, of runs whose conditions count it.
    pub(crate) past: Histories,
}

impl Claimed {
    /// Whether nothing of a run may begin: a person holds it, or its workflow is paused.
    pub(crate) fn is_paused(&self, run: &ClaimedRun) -> bool {
        run.is_held || self.paused.contains(&run.workflow_id)
    }

    /// The version that a run is pinned to, compiled; `None` where it is not there or cannot be read.
    pub(crate) fn workflow(&self, run: &ClaimedRun) -> Option<&Workflow> {
        self.versions.get(&run.version_id)?.workflow.as_ref().ok()
    }

    /// What a run's steps see of its tenant: a zone that was changed counts from the next claim on.
    pub(crate) fn tenant<'a>(&self, run: &ClaimedRun, version: &'a Version) -> TenantFacts<'a> {
        let zone = self.zones.get(&run.tenant_id).copied().unwrap_or(Tz::UTC);
        TenantFacts { key: &version.tenant, zone }
    }
}

/// Claims those of `nudged` that are ready and free, in a transaction of its own.
pub(crate) async fn claim(shared: &Shared, nudged: &[RunKey]) -> Result<Claimed, Error> {
    let tenants = tenants(nudged.iter().map(|(tenant, _)| *tenant));
    shared
        .db
        .tx(Scope::Tenants(&tenants), async |connection| {
            let claim = runs::claim(connection, nudged, shared.config.lease).await?;
            gather(connection, shared, claim).await
        })
        .await
}

/// Claims those of `nudged` that are ready and free, in a transaction that settles them; and where their rows are.
pub(crate) async fn claim_here(
    connection: &mut Conn<Worker>,
    shared: &Shared,
    nudged: &[RunKey],
) -> Result<(Claimed, Places), Error> {
    let (claim, places) = runs::claim_here(connection, nudged).await?;
    Ok((gather(connection, shared, claim).await?, places))
}

/// Reads what the steps of runs that are held already may look at by now.
pub(crate) async fn look_again(shared: &Shared, runs: &[ClaimedRun]) -> Result<Claimed, Error> {
    let tenants = tenants(runs.iter().map(|run| run.tenant_id));
    shared
        .db
        .tx(Scope::Tenants(&tenants), async |connection| {
            let of: BTreeSet<_> = runs.iter().map(|run| (run.tenant_id, run.workflow_id)).collect();
            let of: Vec<_> = of.into_iter().collect();
            let Standing { now, paused, zones } = workflows::standing(connection, &of).await?;
            let keys: Vec<RunKey> = runs.iter().map(|run| (run.tenant_id, run.run_id)).collect();
            let Asked { held, called } = hold::asked(connection, &keys).await?;
            let runs = runs.iter().map(|run| ClaimedRun {
                is_held: held.contains(&(run.tenant_id, run.run_id)),
                ..run.clone()
            });
            let paused = paused.into_iter().collect();
            let claim = Claim { now, runs: runs.collect(), paused, called, zones };
            gather(connection, shared, claim).await
        })
        .await
}

async fn gather(
    connection: &mut Conn<Worker>,
    shared: &Shared,
    Claim { now, runs, paused, called, zones }: Claim,
) -> Result<Claimed, Error> {
    let began = clock::system_time();
    let pinned = runs.iter().map(|run| (run.tenant_id, run.version_id)).collect();
    let versions = shared.versions.get(connection, &pinned, &shared.config.limits).await?;
    let (mut wanted_events, mut wanted_contacts) = (BTreeSet::new(), BTreeSet::new());
    for run in &runs {
        let Some(version) = versions.get(&run.version_id) else { continue };
        if version.needs_event {
            wanted_events.insert((run.tenant_id, run.event_id));
        }
        if let (Some(contact), Ok(workflow)) = (run.contact_id, &version.workflow)
            && workflow.needs(&Need::Contact)
        {
            wanted_contacts.insert((run.tenant_id, contact));
        }
    }
    let called: Vec<_> = called.into_iter().collect();
    let mut inbox = inbox::read(connection, &called).await?;
    keep_most(&mut inbox);
    let is_given =
        |run: &RunKey| inbox.get(run).is_some_and(|queued| (queued.len() as i64) < inbox::MOST_AT_ONCE);
    let unheard = called.into_iter().filter(|run| !is_given(run)).collect();
    let (asked, looks) = looks(&runs);
    let mut before = of_contacts::since(connection, &looks).await?;
    for run in asked {
        before.entry(run).or_default();
    }
    keep_most(&mut before);
    let heard = inbox.iter().flat_map(|((tenant, _), queued)| queued.iter().map(|one| (*tenant, one)));
    let heard = heard.filter_map(|(tenant, one)| match one.input {
        Some(InboxInput::Event { event, .. }) => Some((tenant, event)),
        Some(InboxInput::Cancel { .. } | InboxInput::Goal(_) | InboxInput::Answered { .. }) | None => None,
    });
    wanted_events.extend(heard);
    wanted_events
        .extend(before.iter().flat_map(|((tenant, _), seen)| seen.iter().map(|event| (*tenant, *event))));
    let wanted_events: Vec<_> = wanted_events.into_iter().collect();
    let events = events::by_ids(connection, &wanted_events).await?;
    let wanted_contacts: Vec<_> = wanted_contacts.into_iter().collect();
    let contacts = contacts::read(connection, &wanted_contacts).await?;
    let past = history::read(connection, &counted(&runs, &versions, now)).await?;
    let stored: Vec<EffectKey> = runs.iter().flat_map(|run| stored_requests(run, now)).collect();
    let effects = effects::read(connection, &stored).await?;
    let runs = runs.into_iter().map(Arc::new).collect();
    Ok(Claimed {
        now,
        began,
        runs,
        versions,
        events,
        contacts,
        paused,
        zones,
        effects,
        inbox,
        unheard,
        before,
        past,
    })
}

/// Most events that the runs of a batch hear of or look through: each may have 256 KiB.
const MOST_EVENTS: usize = 500;

/// Leaves out runs beyond those that have so many together; they are claimed again. There is always one.
fn keep_most<T>(by_run: &mut BTreeMap<RunKey, Vec<T>>) {
    let mut all = 0;
    by_run.retain(|_, of_run| {
        let is_kept = all == 0 || all + of_run.len() <= MOST_EVENTS;
        all += if is_kept { of_run.len() } else { 0 };
        is_kept
    });
}

/// What conditions of these runs count, as far back as the one that goes furthest.
fn counted(runs: &[ClaimedRun], versions: &versions::ById, now: DateTime<Utc>) -> Vec<Window> {
    let mut windows = BTreeMap::new();
    for run in runs {
        let version = versions.get(&run.version_id).and_then(|version| version.workflow.as_ref().ok());
        let (Some(contact_id), Some(workflow)) = (run.contact_id, version) else { continue };
        for asked in past::together(workflow.run_aggregates().into_iter().map(Aggregate::asks)).into_values()
        {
            let from: &mut DateTime<Utc> =
                windows.entry((run.tenant_id, contact_id, asked.event)).or_insert(now);
            *from = (now - asked.within).min(*from);
        }
    }
    let window = |((tenant_id, contact_id, event), from): ((_, _, &str), _)| Window {
        tenant_id,
        contact_id,
        event_type: event.to_owned(),
        from,
        until: None,
    };
    windows.into_iter().map(window).collect()
}

/// The runs that ask for what was before they began to wait, and what they ask.
fn looks(runs: &[ClaimedRun]) -> (Vec<RunKey>, Vec<Look>) {
    let (mut asked, mut looks) = (Vec::new(), Vec::new());
    for run in runs {
        let Some(Need::Before { from, types }) = run.state.as_ref().and_then(RunState::needs) else {
            continue;
        };
        let (tenant_id, run_id) = (run.tenant_id, run.run_id);
        asked.push((tenant_id, run_id));
        // Who is about nobody has no past to look at, and is told so.
        let Some(contact_id) = run.contact_id else { continue };
        let look = |event_type| Look { tenant_id, run_id, contact_id, event_type, from };
        looks.extend(types.into_iter().map(look));
    }
    (asked, looks)
}

/// Gives claims back as if they had never been.
pub(crate) async fn hand_back(shared: &Shared, claims: &[(TenantId, RunId, i32)]) -> Result<(), Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let tenants = tenants(claims.iter().map(|(tenant, _, _)| *tenant));
    shared.db.tx(Scope::Tenants(&tenants), async |connection| runs::hand_back(connection, claims).await).await
}

/// Each of these tenants once.
pub(crate) fn tenants(of: impl Iterator<Item = TenantId>) -> Vec<TenantId> {
    of.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The stored requests of a run that are to be sent now: tries whose time has come, and those of a sender that vanished.
fn stored_requests(run: &ClaimedRun, now: DateTime<Utc>) -> impl Iterator<Item = EffectKey> + '_ {
    let tokens = run.state.iter().flat_map(|state| state.tokens.values());
    tokens
        .filter(move |token| match &token.waits {
            Waits::Action { .. } => true,
            Waits::Retry { until, stored, .. } => *stored && *until <= now,
            Waits::Timer { .. } | Waits::Turn | Waits::Event(_) | Waits::Dead { .. } => false,
        })
        .map(|token| run.effect_key(&token.node, token.visit))
}
