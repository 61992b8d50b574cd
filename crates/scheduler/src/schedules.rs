//! Schedules: each slot that is due becomes an event in the outbox, in the transaction that moves the schedule on.
//!
//! Any number of schedulers share the schedules, row by row. A slot's event has an id of its own, so that ingest knows
//! it should it ever come twice.

use crate::Shared;
use automation_domain::event::caused;
use automation_domain::event::encode::to_cloudevent;
use automation_domain::id::RunId;
use automation_domain::limits::Limits;
use automation_domain::schedule::Schedule;
use automation_domain::schedule::plan::{Plan, plan};
use automation_domain::workflow::parse_schedule;
use automation_service_kit::crash_point;
use automation_store::events::outbox::{self, NewOutboxEvent};
use automation_store::workflows::schedules::{self, Advance, Due};
use automation_store::{Error, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep: a schedule may have been published, or resumed, meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Shortest sleep: other schedulers may hold what is due.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);
/// Most schedules in a transaction: after a long outage, deciding over one takes milliseconds.
const MOST_SCHEDULES: i64 = 100;
/// Most events in a transaction; slots that find no room stay due.
const MOST_EVENTS: usize = 500;
/// When a schedule that cannot be read is looked at again.
const UNREADABLE: TimeDelta = TimeDelta::seconds(60);

/// What a transaction came to.
#[derive(Default)]
struct Outcome {
    events: Vec<NewOutboxEvent>,
    steps: Vec<Advance>,
    /// How late each event is, in seconds.
    lags: Vec<f64>,
    skipped: u64,
}

pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = match shared.note("firing schedules", fire(&shared).await) {
            None => LONGEST_SLEEP,
            Some(wait) => wait,
        };
        if !shared.pause(wait).await {
            return;
        }
    }
}

/// Fires what is due, and says how long to wait for more.
async fn fire(shared: &Shared) -> Result<Duration, Error> {
    let (outcome, wait) = shared
        .db
        .tx(Scope::Unscoped, async |connection| {
            let (now, due) = schedules::take_due(connection, MOST_SCHEDULES).await?;
            if due.is_empty() {
                let next = schedules::next_due_in(connection).await?.unwrap_or(LONGEST_SLEEP);
                return Ok::<_, Error>((Outcome::default(), next.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)));
            }
            let outcome = decide(shared, &due, now);
            outbox::insert(connection, &outcome.events).await?;
            schedules::advance(connection, &outcome.steps).await?;
            crash_point!("schedules.before_commit");
            Ok((outcome, Duration::ZERO))
        })
        .await?;
    for lag in outcome.lags {
        shared.metrics.fired(lag);
    }
    if outcome.skipped > 0 {
        shared.metrics.skipped(outcome.skipped);
    }
    Ok(wait)
}

fn decide(shared: &Shared, due: &[Due], now: DateTime<Utc>) -> Outcome {
    let mut outcome = Outcome::default();
    for held in due {
        let room = MOST_EVENTS - outcome.events.len();
        if room == 0 {
            break;
        }
        let id = held.schedule_id;
        // What was published is not measured by limits that may have changed since.
        let schedule = match parse_schedule(&held.definition, &Limits::default()) {
            Ok(schedule) => schedule.anchored(held.anchor_at),
            Err(problems) => {
                let problem = problems.first().map(ToString::to_string);
                tracing::error!(schedule.id = %id, problem, "a published schedule cannot be read and does not fire");
                outcome.steps.push(step(held, Some((held.next_slot_at, now + UNREADABLE)), &[], 0));
                continue;
            }
        };
        let Plan { fire, skipped, next } =
            plan(&schedule, id, held.next_slot_at, now, shared.config.catch_up, room);
        for slot in &fire {
            let due_at = schedule.due_at(id, *slot);
            outcome.events.push(event(held, &schedule, *slot));
            outcome.lags.push((now - due_at).as_seconds_f64());
        }
        let next = next.map(|slot| (slot, schedule.due_at(id, slot)));
        outcome.steps.push(step(held, next, &fire, skipped));
        outcome.skipped += skipped;
    }
    outcome
}

fn step(
    held: &Due,
    next: Option<(DateTime<Utc>, DateTime<Utc>)>,
    fired: &[DateTime<Utc>],
    skipped: u64,
) -> Advance {
    Advance {
        tenant_id: held.tenant_id,
        schedule_id: held.schedule_id,
        next,
        last_slot_at: fired.last().copied(),
        fired: i64::try_from(fired.len()).unwrap_or(i64::MAX),
        skipped: i64::try_from(skipped).unwrap_or(i64::MAX),
    }
}

fn event(held: &Due, schedule: &Schedule, slot: DateTime<Utc>) -> NewOutboxEvent {
    let event = caused::by_schedule(schedule, held.schedule_id, &held.tenant, slot);
    NewOutboxEvent {
        is_command: false,
        tenant_id: held.tenant_id,
        run_id: RunId(held.schedule_id.0),
        body: to_cloudevent(&event).to_string().into_bytes(),
        event_type: event.event_type,
    }
}
