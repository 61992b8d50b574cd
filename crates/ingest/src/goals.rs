//! What runs are for: kept with the run that is made, and looked for among what happens, whether the run is open or not.

use crate::Shared;
use crate::directory::{Known, KnownTenant};
use crate::listeners::Watched;
use crate::trigger_index::Published;
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, RunFacts};
use automation_domain::id::{ContactId, EventId, RunKey, TenantId};
use automation_domain::interpreter::{Reached, RunState, happened_at};
use automation_domain::limits::Limits;
use automation_domain::past::Past;
use automation_domain::priority::Priority;
use automation_domain::workflow::Window;
use automation_store::events::of_contacts::{self, Look};
use automation_store::events::{self, receipts};
use automation_store::records::contacts::{self, Contacts};
use automation_store::role::Worker;
use automation_store::runs::NewRun;
use automation_store::runs::goals::{self, Goal, Met};
use automation_store::runs::waits::Happened;
use automation_store::{Conn, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a run that is about to be made is for; one without a contact is for nothing.
pub(crate) fn of_run(published: &Published, run: &NewRun, facts: &Facts<'_>) -> Option<Goal> {
    let (goal, contact_id, recorded) = (published.goal.as_ref()?, run.contact_id?, facts.event?);
    let state = RunState::default();
    let began_at = happened_at(recorded);
    let of_run = RunFacts {
        run_id: run.run_id,
        run_key: &run.run_key,
        started_at: recorded.received_at,
        workflow: &published.key,
        version: 0,
        state: &state,
        item: None,
    };
    Some(Goal {
        tenant_id: run.tenant_id,
        contact_id,
        event_type: goal.filter.event.clone(),
        run_id: run.run_id,
        workflow_id: run.workflow_id,
        version_id: run.version_id,
        event_id: run.event_id,
        window: Window { began_at, until: goal.until(began_at) },
        ends_run: goal.ends_run,
        filter: goal.of_run(&Facts { run: Some(of_run), ..*facts }),
    })
}

/// Runs with a goal for which it may have happened before they were made.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// What those are for that were just made.
    pub(crate) goals: Vec<Goal>,
    /// Events that came again, by contact: whoever made their runs may have died before he looked.
    pub(crate) again: Vec<(TenantId, ContactId, EventId)>,
    /// Their tenants that have goals, as the batch knew them: the directory may have let go of them since.
    pub(crate) tenants: Known,
}

impl Begun {
    pub(crate) fn add(&mut self, other: Self) {
        self.goals.extend(other.goals);
        self.again.extend(other.again);
        self.tenants.extend(other.tenants);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.goals.is_empty() && self.again.is_empty()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = TenantId> {
        let again = self.again.iter().map(|(tenant, ..)| *tenant);
        self.goals.iter().map(|goal| goal.tenant_id).chain(again)
    }
}

/// Counts what of these is what runs are for, and ends those runs that it ends: among them runs that were just made, for which it
/// may have happened before. Gives those that are to be nudged.
pub(crate) async fn meet(
    connection: &mut Conn<Worker>,
    shared: &Shared,
    watched: &[Watched],
    begun: &Begun,
) -> Result<BTreeMap<RunKey, Priority>, Error> {
    let mut new = goals::started_by(connection, &begun.again).await?;
    new.extend(begun.goals.iter().cloned());
    let candidates = candidates(connection, watched, &new).await?;
    if candidates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let now = receipts::now(connection).await?;
    let wanted: BTreeSet<_> = candidates.iter().map(|(goal, event)| (goal.tenant_id, *event)).collect();
    let events = events::by_ids(connection, &wanted.into_iter().collect::<Vec<_>>()).await?;
    let limits = &shared.config.limits;
    let people: BTreeSet<_> = candidates
        .iter()
        .filter(|(goal, _)| goal.filter.reads_contact(limits))
        .map(|(goal, _)| (goal.tenant_id, goal.contact_id))
        .collect();
    let people = contacts::read(connection, &people.into_iter().collect::<Vec<_>>()).await?;
    let mut first: BTreeMap<RunKey, Met> = BTreeMap::new();
    for (goal, event_id) in candidates {
        let Some(recorded) = events.get(&(goal.tenant_id, event_id)) else { continue };
        let at = happened_at(recorded);
        let run = (goal.tenant_id, goal.run_id);
        let is_earlier = first.get(&run).is_none_or(|met| at < met.reached.at);
        let fits = goal.window.has(at) && goal.event_id != event_id && is_earlier;
        if fits && is_met(limits, begun.tenants.get(&goal.tenant_id), &goal, recorded, &people) {
            let (event_type, id) = (recorded.event.event_type.clone(), recorded.event.id.clone());
            first.insert(run, Met { goal, event_id, reached: Reached { event_type, event_id: id, at } });
        }
    }
    goals::meet(connection, now, &first.into_values().collect::<Vec<_>>()).await
}

/// What runs are for, each with an event that may be it.
async fn candidates(
    connection: &mut Conn<Worker>,
    watched: &[Watched],
    new: &[Goal],
) -> Result<Vec<(Goal, EventId)>, Error> {
    let of_goals: Vec<&Watched> = watched.iter().filter(|one| one.is_goal).collect();
    let mut candidates = Vec::new();
    if !of_goals.is_empty() {
        let happened: Vec<Happened<'_>> = of_goals
            .iter()
            .map(|one| Happened {
                tenant_id: one.tenant_id,
                contact_id: one.contact_id,
                event_type: &one.event_type,
            })
            .collect();
        let found = goals::of(connection, &happened).await?;
        candidates.extend(found.into_iter().map(|(number, goal)| (goal, of_goals[number].event_id)));
    }
    if !new.is_empty() {
        let look = |goal: &Goal| Look {
            tenant_id: goal.tenant_id,
            run_id: goal.run_id,
            contact_id: goal.contact_id,
            event_type: goal.event_type.clone(),
            from: goal.window.began_at,
        };
        let looks: Vec<Look> = new.iter().map(look).collect();
        let before = of_contacts::since(connection, &looks).await?;
        for goal in new {
            let seen = before.get(&(goal.tenant_id, goal.run_id)).into_iter().flatten();
            candidates.extend(seen.map(|event| (goal.clone(), *event)));
        }
    }
    Ok(candidates)
}

fn is_met(
    limits: &Limits,
    tenant: Option<&Arc<KnownTenant>>,
    goal: &Goal,
    recorded: &RecordedEvent,
    people: &Contacts,
) -> bool {
    let (budget, state) = (Budget::new(limits), RunState::default());
    let subject = recorded.event.subject.as_deref().unwrap_or_default();
    let unknown = Contact::new(goal.contact_id, subject);
    let key: (TenantId, ContactId) = (goal.tenant_id, goal.contact_id);
    let run = goal.filter.run_key.as_deref().map(|run_key| RunFacts {
        run_id: goal.run_id,
        run_key,
        started_at: goal.window.began_at,
        workflow: "",
        version: 0,
        state: &state,
        item: None,
    });
    // Whoever has a goal is a tenant that the batch knew to have goals.
    let Some(tenant) = tenant else { return false };
    let facts = Facts {
        event: Some(recorded),
        contact: Some(people.get(&key).unwrap_or(&unknown)),
        run,
        past: Past::Unknown,
        tenant: tenant.facts(),
        now: recorded.received_at,
        budget: &budget,
    };
    // What cannot be decided within the budget is not met.
    goal.filter.is_met_by(&facts, limits).unwrap_or(false)
}
