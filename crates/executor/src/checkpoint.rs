//! Committing what a batch of runs came to, in one transaction: only what belongs to claims that still hold.

use crate::Shared;
use crate::claim::Claimed;
use crate::emit::{Cause, outbox_event, task_created};
use crate::letters;
use crate::plan::Settlement;
use automation_domain::id::{ContactId, RunId, TenantId};
use automation_domain::record::stamps::{Applied, Stamp};
use automation_domain::record::{Note, RecordChange, Task};
use automation_store::dead_letters::{self, NewDeadLetter};
use automation_store::events::outbox::NewOutboxEvent;
use automation_store::events::{outbox, receipts};
use automation_store::records::contacts;
use automation_store::records::{Made, notes, tasks};
use automation_store::runs::checkpoints::{self, Checkpoint, Held, Next, Wakeup};
use automation_store::runs::effects::{self, EffectKey, NewEffect, Tried};
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::runs::wakeups;
use automation_store::runs::{self, Places};
use automation_store::{Error, PgConnection, Scope, workflows};
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
    connection: &mut PgConnection,
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
    let ended = ended_enrolments(&valid);
    enrolments::lock(connection, &ended.keys().cloned().collect::<Vec<_>>()).await?;
    enrolments::end(connection, now, &ended).await?;

    write_effects(connection, now, &valid).await?;
    let events = change_contacts(connection, now, claimed, &valid).await?;
    let (notes, tasks) = new_records(&valid);
    notes::insert(connection, now, &notes).await?;
    tasks::insert(connection, now, &tasks).await?;
    outbox::insert(connection, &events).await?;
    Ok(held.into_iter().chain(handed_back).collect())
}

/// Stores requests before they are sent, records what came back, and writes the dead letters of the runs that failed.
async fn write_effects(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    valid: &[&Settlement],
) -> Result<(), Error> {
    let tried: Vec<&Tried> = valid.iter().flat_map(|settlement| &settlement.effects.tried).collect();
    effects::record(connection, &tried).await?;
    let new: Vec<&NewEffect> = valid.iter().flat_map(|settlement| &settlement.effects.new).collect();
    effects::insert(connection, now, &new).await?;
    let marked = valid.iter().flat_map(|settlement| &settlement.effects.marked);
    let marked: Vec<_> = marked.map(|(key, attempt)| (key, *attempt)).collect();
    effects::mark(connection, now, &marked).await?;
    let failed: Vec<EffectKey> =
        valid.iter().filter_map(|settlement| letters::effect_key(settlement)).collect();
    let stored = effects::read(connection, &failed).await?;
    let letters: Vec<NewDeadLetter> =
        valid.iter().filter_map(|settlement| letters::letter(settlement, &stored, now)).collect();
    dead_letters::insert(connection, now, &letters).await
}

/// Runs that were to be held for a workflow which was resumed meanwhile: nobody would wake them.
struct Resumed {
    /// To these nothing had happened: their claims are given back.
    handed_back: Held,
    /// To these something came back from outside, which is kept: they go on at once.
    goes_on: Held,
}

async fn resumed(
    connection: &mut PgConnection,
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
    let (goes_on, untouched): (Vec<_>, Vec<_>) = to_hold
        .into_iter()
        .filter(|settlement| !paused.contains(&settlement.run.workflow_id))
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

fn id(settlement: &Settlement) -> (TenantId, RunId) {
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

/// Folds all changes to each contact, in order, into its locked row, and gives the events that all changes cause.
async fn change_contacts(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    claimed: &Claimed,
    valid: &[&Settlement],
) -> Result<Vec<NewOutboxEvent>, Error> {
    let touched: BTreeSet<(TenantId, ContactId)> = valid
        .iter()
        .flat_map(|settlement| settlement.changes.iter().map(|change| (settlement.run.tenant_id, change)))
        .filter_map(|(tenant, change)| match change {
            RecordChange::Contact { contact_id, .. } => Some((tenant, *contact_id)),
            RecordChange::CreateTask(_) | RecordChange::AddNote(_) => None,
        })
        .collect();
    let mut locked = contacts::lock(connection, &touched.into_iter().collect::<Vec<_>>()).await?;
    let mut changed = BTreeSet::new();
    let mut events = Vec::new();
    for settlement in valid {
        let run = &settlement.run;
        let Some(version) = claimed.versions.get(&run.version_id) else { continue };
        let cause = Cause {
            tenant_id: run.tenant_id,
            tenant: &version.tenant,
            run_id: run.run_id,
            epoch: run.epoch,
            event: claimed.events.get(&(run.tenant_id, run.event_id)),
            trace: run.trace,
        };
        let mut number = 0;
        for change in &settlement.changes {
            let emitted = match change {
                RecordChange::Contact { contact_id, change } => {
                    let key = (run.tenant_id, *contact_id);
                    let stamp = Stamp::of_run(run.run_id, now);
                    let applied =
                        locked.get_mut(&key).map_or(Applied::Nothing, |contact| change.apply(contact, stamp));
                    if applied.is_to_be_written() {
                        changed.insert(key);
                    }
                    match applied {
                        Applied::Changed(event) => Some(event),
                        Applied::Confirmed | Applied::Nothing => None,
                    }
                }
                RecordChange::CreateTask(task) => {
                    let contact = task.contact_id.and_then(|id| claimed.contacts.get(&(run.tenant_id, id)));
                    Some(task_created(task, contact.map(|contact| contact.subject.as_str())))
                }
                RecordChange::AddNote(_) => None,
            };
            if let Some(emitted) = emitted {
                events.push(outbox_event(cause, number, emitted, now));
                number += 1;
            }
        }
    }
    locked.retain(|key, _| changed.contains(key));
    contacts::update(connection, now, &locked).await?;
    Ok(events)
}

fn new_records<'a>(valid: &[&'a Settlement]) -> (Vec<Made<'a, Note>>, Vec<Made<'a, Task>>) {
    let (mut notes, mut tasks) = (Vec::new(), Vec::new());
    for settlement in valid {
        let (tenant_id, run_id) = (settlement.run.tenant_id, settlement.run.run_id);
        for change in &settlement.changes {
            match change {
                RecordChange::AddNote(record) => notes.push(Made { tenant_id, run_id, record }),
                RecordChange::CreateTask(record) => tasks.push(Made { tenant_id, run_id, record }),
                RecordChange::Contact { .. } => {}
            }
        }
    }
    (notes, tasks)
}
