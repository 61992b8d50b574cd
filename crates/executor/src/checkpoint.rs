//! Committing what a batch of runs came to, in one transaction: only what belongs to claims that still hold.

use crate::Shared;
use crate::claim::Claimed;
use crate::edge;
use crate::emit::{Cause, outbox_announced, outbox_command, outbox_event};
use crate::letters;
use crate::plan::Settlement;
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::interpreter::{Command, RunState};
use automation_domain::record::RecordChange;
use automation_store::dead_letters::{self, NewDeadLetter};
use automation_store::events::outbox::NewOutboxEvent;
use automation_store::events::{outbox, receipts};
use automation_store::records::{self, Made};
use automation_store::role::Worker;
use automation_store::runs::approvals;
use automation_store::runs::checkpoints::{self, Checkpoint, Held, Next, Wakeup};
use automation_store::runs::effects::{self, EffectKey, NewEffect, Tried};
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::runs::hold;
use automation_store::runs::inbox;
use automation_store::runs::waits::{self, Wait};
use automation_store::runs::wakeups;
use automation_store::runs::{self, ClaimedRun, Places};
use automation_store::{Conn, Error, Scope, workflows};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Where the claims were made that settlements end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claims<'a> {
    /// In a transaction before.
    Before,
    /// In the transaction that writes the settlements: no row shows them, and the rows are locked where they are.
    Here(&'a Places),
}

/// Commits the settlements; says which claims still held.
pub(crate) async fn save(
    shared: &Shared,
    claimed: &Claimed,
    settlements: &[Settlement],
) -> Result<Held, Error> {
    let tenants: BTreeSet<TenantId> = settlements.iter().map(|settlement| settlement.run.tenant_id).collect();
    let tenants: Vec<TenantId> = tenants.into_iter().collect();
    shared
        .db
        .tx(Scope::Tenants(&tenants), async |connection| {
            let now = receipts::now(connection).await?;
            write(connection, now, shared, claimed, settlements, Claims::Before).await
        })
        .await
}

/// Writes the settlements in a transaction that began at `now`; says which claims still held.
pub(crate) async fn write(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    shared: &Shared,
    claimed: &Claimed,
    settlements: &[Settlement],
    claims: Claims<'_>,
) -> Result<Held, Error> {
    let Resumed { handed_back, goes_on } = resumed(connection, settlements, claims).await?;
    let all: Vec<Checkpoint> = settlements
        .iter()
        .filter(|settlement| !handed_back.contains(&id(settlement)))
        .map(|settlement| match goes_on.contains(&id(settlement)) {
            true => Checkpoint {
                next: Next::Waiting { wakeups: vec![Wakeup::timer(0, now)] },
                ..settlement.checkpoint.clone()
            },
            false => settlement.checkpoint.clone(),
        })
        .collect();
    let held = match claims {
        Claims::Before => checkpoints::settle(connection, now, &shared.config.name, &all).await?,
        Claims::Here(places) => {
            checkpoints::settle_here(connection, now, &shared.config.name, &all, places).await?
        }
    };
    let valid: Vec<&Settlement> = settlements
        .iter()
        .filter(|settlement| held.contains(&(settlement.run.tenant_id, settlement.run.run_id)))
        .collect();
    take_out(connection, claimed, &valid).await?;
    change_waits(connection, &valid).await?;
    change_approvals(connection, now, &valid).await?;
    let ended = ended_enrolments(&valid);
    enrolments::lock(connection, &ended.keys().cloned().collect::<Vec<_>>()).await?;
    enrolments::end(connection, now, &ended).await?;

    write_effects(connection, now, claimed, &valid).await?;
    let most_links = shared.config.limits.causation_depth;
    let mut leaving = change_records(connection, now, claimed, &valid, most_links).await?;
    leaving.extend(valid.iter().flat_map(|settlement| commands(now, claimed, settlement)));
    leaving.extend(valid.iter().flat_map(|settlement| announced(now, claimed, settlement)));
    outbox::insert(connection, &leaving).await?;
    Ok(held.into_iter().chain(handed_back).collect())
}

/// Takes out of inboxes what runs heard, and what was for runs that ended.
async fn take_out(
    connection: &mut Conn<Worker>,
    claimed: &Claimed,
    valid: &[&Settlement],
) -> Result<(), Error> {
    if claimed.inbox.is_empty() {
        return Ok(());
    }
    let (mut heard, mut ended) = (Vec::new(), Vec::new());
    for settlement in valid.iter().filter(|settlement| claimed.inbox.contains_key(&id(settlement))) {
        let (tenant, run) = id(settlement);
        match settlement.checkpoint.next {
            Next::Finished { .. } => ended.push((tenant, run)),
            Next::Waiting { .. } | Next::Sending { .. } | Next::Paused => {
                heard.extend(settlement.heard.iter().map(|sequence| (tenant, run, *sequence)));
            }
        }
    }
    inbox::take_out(connection, &heard, &ended).await
}

/// Keeps which events runs wait for from here on.
async fn change_waits(connection: &mut Conn<Worker>, valid: &[&Settlement]) -> Result<(), Error> {
    let (mut begun, mut over) = (Vec::new(), Vec::new());
    for settlement in valid {
        let Some(contact_id) = settlement.run.contact_id else { continue };
        let (tenant_id, run_id) = id(settlement);
        let before = settlement.run.state.as_ref().map(RunState::awaited_types).unwrap_or_default();
        let after = settlement.state.awaited_types();
        let wait =
            |event_type: &&str| Wait { tenant_id, contact_id, event_type: (*event_type).to_owned(), run_id };
        begun.extend(after.difference(&before).map(wait));
        over.extend(before.difference(&after).map(wait));
    }
    waits::change(connection, &begun, &over).await
}

/// Keeps what runs ask people to approve.
async fn change_approvals(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    valid: &[&Settlement],
) -> Result<(), Error> {
    let mut changed = approvals::Changed::default();
    for settlement in valid {
        let states = (settlement.run.state.as_ref(), &settlement.state);
        let timed_out = |node: &str, visit| {
            settlement.log().any(|step| {
                (step.node.as_str(), step.visit) == (node, visit) && step.detail["case"] == "timeout"
            })
        };
        changed.add(id(settlement), settlement.run.workflow_id, states, timed_out);
    }
    approvals::change(connection, now, &changed).await
}

/// Stores requests before they are sent, records what came back, and writes the dead letters of the runs that failed.
async fn write_effects(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    claimed: &Claimed,
    valid: &[&Settlement],
) -> Result<(), Error> {
    let tried: Vec<&Tried> = valid.iter().flat_map(|settlement| &settlement.effects.tried).collect();
    effects::record(connection, &tried).await?;
    let new: Vec<&NewEffect> = valid.iter().flat_map(|settlement| &settlement.effects.new).collect();
    effects::insert(connection, now, &new).await?;
    let marked = valid.iter().flat_map(|settlement| &settlement.effects.marked);
    let marked: Vec<_> = marked.map(|(key, mark)| (key, *mark)).collect();
    effects::mark(connection, now, &marked).await?;
    let with_workflow = || valid.iter().map(|settlement| (*settlement, claimed.workflow(&settlement.run)));
    let failed: Vec<EffectKey> = with_workflow()
        .flat_map(|(settlement, workflow)| letters::effect_keys(settlement, workflow))
        .collect();
    let stored = effects::read(connection, &failed).await?;
    let letters: Vec<NewDeadLetter> = with_workflow()
        .flat_map(|(settlement, workflow)| letters::letters(settlement, workflow, &stored, now))
        .collect();
    dead_letters::insert(connection, now, &letters).await
}

/// Runs that were to be held and were resumed meanwhile, or their workflows were: nobody would wake them.
struct Resumed {
    /// To these nothing had happened: their claims are given back.
    handed_back: Held,
    /// To these something came back from outside, which is kept: they go on at once.
    goes_on: Held,
}

async fn resumed(
    connection: &mut Conn<Worker>,
    settlements: &[Settlement],
    claims: Claims<'_>,
) -> Result<Resumed, Error> {
    let to_hold: Vec<&Settlement> =
        settlements.iter().filter(|settlement| matches!(settlement.checkpoint.next, Next::Paused)).collect();
    if to_hold.is_empty() {
        return Ok(Resumed { handed_back: Held::new(), goes_on: Held::new() });
    }
    let workflows: BTreeSet<_> =
        to_hold.iter().map(|settlement| (settlement.run.tenant_id, settlement.run.workflow_id)).collect();
    let workflows: Vec<_> = workflows.into_iter().collect();
    let paused: BTreeSet<_> = workflows::keep_paused(connection, &workflows).await?.into_iter().collect();
    let held: BTreeSet<RunKey> = match claims {
        Claims::Before => {
            let runs: Vec<RunKey> = to_hold.iter().map(|settlement| id(settlement)).collect();
            hold::keep_held(connection, &runs).await?
        }
        // Their rows are locked since they were read.
        Claims::Here(_) => to_hold.iter().filter(|one| one.run.is_held).map(|one| id(one)).collect(),
    };
    let (goes_on, untouched): (Vec<_>, Vec<_>) = to_hold
        .into_iter()
        .filter(|settlement| !paused.contains(&settlement.run.workflow_id) && !held.contains(&id(settlement)))
        .partition(|settlement| !settlement.effects.tried.is_empty());
    match claims {
        Claims::Before => {
            let claims = untouched.iter().map(|one| (one.run.tenant_id, one.run.run_id, one.run.epoch));
            runs::hand_back(connection, &claims.collect::<Vec<_>>()).await?;
        }
        Claims::Here(_) => {
            let runs = untouched.iter().map(|one| (one.run.tenant_id, one.run.run_id));
            wakeups::look_now(connection, &runs.collect::<Vec<_>>()).await?;
        }
    }
    Ok(Resumed {
        handed_back: untouched.into_iter().map(id).collect(),
        goes_on: goes_on.into_iter().map(id).collect(),
    })
}

fn id(settlement: &Settlement) -> RunKey {
    (settlement.run.tenant_id, settlement.run.run_id)
}

fn ended_enrolments(settlements: &[&Settlement]) -> BTreeMap<EnrolmentKey, RunId> {
    settlements
        .iter()
        .filter(|settlement| {
            settlement.enrolled && matches!(settlement.checkpoint.next, Next::Finished { .. })
        })
        .map(|settlement| {
            let key = EnrolmentKey {
                tenant_id: settlement.run.tenant_id,
                workflow_id: settlement.run.workflow_id,
                run_key: settlement.run.run_key.clone(),
            };
            (key, settlement.run.run_id)
        })
        .collect()
}

/// Writes all changes of records, and gives the events that they cause, numbered within each run.
async fn change_records(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    claimed: &Claimed,
    valid: &[&Settlement],
    most_links: u16,
) -> Result<Vec<NewOutboxEvent>, Error> {
    let (of, changes): (Vec<&Settlement>, Vec<Made<'_, RecordChange>>) = valid
        .iter()
        .flat_map(|settlement| {
            let (tenant_id, run_id) = id(settlement);
            settlement.changes().map(move |record| (*settlement, Made { tenant_id, run_id, record }))
        })
        .unzip();
    let emitted = records::write(connection, now, &changes).await?;
    let mut events = Vec::with_capacity(emitted.len());
    let (mut last, mut number) = (None, 0);
    for (change, event) in emitted {
        let run = &of[change].run;
        let Some(cause) = cause(claimed, run) else { continue };
        let edge = cause.is_too_long(most_links).then(|| edge::of(claimed, &of, change)).flatten();
        let cause = Cause { edge: edge.as_deref(), ..cause };
        number = if last.replace(run.run_id) == Some(run.run_id) { number + 1 } else { 0 };
        events.push(outbox_event(cause, number, event, now));
    }
    Ok(events)
}

/// The commands that a settlement publishes, numbered within its claim.
fn commands<'c>(
    now: DateTime<Utc>,
    claimed: &'c Claimed,
    settlement: &'c Settlement,
) -> impl Iterator<Item = NewOutboxEvent> + 'c {
    let directives = (0..).zip(settlement.commands.iter().filter_map(Command::directive));
    directives.filter_map(move |(number, directive)| {
        Some(outbox_command(cause(claimed, &settlement.run)?, number, directive, now))
    })
}

/// The events that a settlement publishes and no change of a record made, numbered within its claim.
fn announced<'c>(
    now: DateTime<Utc>,
    claimed: &'c Claimed,
    settlement: &'c Settlement,
) -> impl Iterator<Item = NewOutboxEvent> + 'c {
    let events = (0..).zip(settlement.commands.iter().filter_map(Command::event));
    events.filter_map(move |(number, event)| {
        Some(outbox_announced(cause(claimed, &settlement.run)?, number, event, now))
    })
}

/// `None` for a run of an unknown version, which makes nothing.
fn cause<'c>(claimed: &'c Claimed, run: &ClaimedRun) -> Option<Cause<'c>> {
    Some(Cause {
        tenant_id: run.tenant_id,
        tenant: &claimed.versions.get(&run.version_id)?.tenant,
        run_id: run.run_id,
        epoch: run.epoch,
        event: claimed.events.get(&(run.tenant_id, run.event_id)),
        edge: None,
        trace: run.trace,
    })
}
