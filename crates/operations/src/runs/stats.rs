//! What happened since a moment.

use crate::{Error, Refusal, Session};
use automation_service_kit::clock;
use automation_store::runs::stats::{self, Latency};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::time::Duration;

/// How far ahead a wait may be to be waited for.
const NEAR: Duration = Duration::from_secs(10);
/// Longest wait for runs to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);

/// Counts since a moment.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Since when.
    #[serde(serialize_with = "crate::time::one")]
    pub since: DateTime<Utc>,
    /// Events from outside.
    pub events: i64,
    /// Events of the engine's own.
    pub engine_events: i64,
    /// Runs by workflow and status.
    pub runs: Vec<OfWorkflow>,
    /// Steps by action and outcome.
    pub actions: Vec<OfAction>,
    /// From receipt to the end of a run without a delay; `None` without such runs.
    pub latency_ms: Option<Percentiles>,
}

/// Runs of a workflow that stand alike.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct OfWorkflow {
    /// The workflow's key.
    pub workflow: String,
    /// How they stand.
    pub status: String,
    /// How many.
    pub runs: i64,
}

/// Steps of an action that came to the same.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct OfAction {
    /// The action.
    pub action: String,
    /// What they came to.
    pub outcome: String,
    /// How many.
    pub steps: i64,
}

/// Durations in milliseconds.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Percentiles {
    /// Of every second run, at most.
    pub p50: u64,
    /// Of 95 in a hundred.
    pub p95: u64,
    /// Of 99 in a hundred.
    pub p99: u64,
    /// Runs that were measured.
    pub runs: i64,
}

/// Counts what happened since a moment.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn stats(session: &Session, since: DateTime<Utc>) -> Result<Stats, Error> {
    let found =
        session.read(async |connection| stats::since(connection, session.tenant, since).await).await?;
    let of_workflow = |(workflow, status, runs)| OfWorkflow { workflow, status, runs };
    let of_action = |(action, outcome, steps)| OfAction { action, outcome, steps };
    Ok(Stats {
        since,
        events: found.events,
        engine_events: found.engine_events,
        runs: found.runs.into_iter().map(of_workflow).collect(),
        actions: found.actions.into_iter().map(of_action).collect(),
        latency_ms: found.latency.as_ref().map(percentiles),
    })
}

/// Waits until this many events are recorded since then and no run is about to move, a minute at most.
///
/// # Errors
///
/// [`Refusal::Unsettled`]; [`Error::Store`].
pub async fn settled(session: &Session, since: DateTime<Utc>, events: i64) -> Result<(), Error> {
    let begun = clock::now();
    loop {
        let look = async |connection: &mut _| stats::unsettled(connection, session.tenant, since, NEAR).await;
        let found = session.read(look).await?;
        if found.runs == 0 && found.events >= events {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(Refusal::Unsettled { events: found.events, runs: found.runs }.into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn percentiles(latency: &Latency) -> Percentiles {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Percentiles { p50: ms(latency.p50), p95: ms(latency.p95), p99: ms(latency.p99), runs: latency.runs }
}
