//! What the statements of a run cost by themselves: insert, claim, finish, with one note and the same bytes that the
//! engine would write. No broker, no events, no triggers, no look-ups.

use crate::effort::Effort;
use crate::prepared::{TENANTS, subject};
use crate::process;
use crate::workload::Workload;
use anyhow::Context;
use automation_domain::contact::Contact;
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::TenantFacts;
use automation_domain::id::{
    ContactId, EventId, EventKey, RecordId, RunId, RunKey, TenantId, VersionId, WorkflowId,
};
use automation_domain::interpreter::{
    EndStatus, NothingRecorded, NothingStored, RunEvent, RunInput, RunState, Step, Unwatched, advance,
};
use automation_domain::limits::Limits;
use automation_domain::priority::Priority;
use automation_domain::record::Note;
use automation_domain::retry::Ladder;
use automation_service_kit::clock::wall_clock;
use automation_service_kit::ids::new_id;
use automation_store::events::receipts;
use automation_store::records::{Made, notes};
use automation_store::role::Worker;
use automation_store::runs::checkpoints::{self, Checkpoint, Next};
use automation_store::runs::{self, NewRun};
use automation_store::{Db, Scope};
use automation_test_support::builders;
use automation_test_support::database::TestDatabase;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const BATCHES: [usize; 3] = [100, 250, 500];
const CONNECTIONS: [u32; 3] = [1, 2, 4];
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What was measured of the raw cycle with one batch size and number of connections.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct RawCycle {
    /// Runs per transaction.
    pub(crate) batch: usize,
    /// Connections at once.
    pub(crate) connections: u32,
    /// Runs that went through the whole cycle, per second.
    pub(crate) runs_per_second: f64,
    /// Microseconds of Postgres's CPU per run.
    pub(crate) postgres_us_per_run: f64,
    /// Microseconds of the client's CPU per run.
    pub(crate) client_us_per_run: f64,
}

impl RawCycle {
    /// Microseconds of CPU per run.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.postgres_us_per_run + self.client_us_per_run
    }
}

/// Tries every batch size with every number of connections, and gives the fastest.
pub(crate) async fn best(effort: Effort) -> anyhow::Result<RawCycle> {
    let mut best: Option<RawCycle> = None;
    for batch in BATCHES {
        for connections in CONNECTIONS {
            let figures = cell(batch, connections, effort.raw_search).await?;
            eprintln!(
                "    {batch} runs, {connections} connections: {:.0} runs/s, {:.1} µs in Postgres",
                figures.runs_per_second, figures.postgres_us_per_run
            );
            if best.is_none_or(|best| best.runs_per_second < figures.runs_per_second) {
                best = Some(figures);
            }
        }
    }
    best.context("nothing was measured")
}

/// Measures one combination on a database of its own.
pub(crate) async fn cell(batch: usize, connections: u32, duration: Duration) -> anyhow::Result<RawCycle> {
    let database = TestDatabase::create().await?;
    let db = database.store_of_size::<Worker>(connections);
    let mut monitor = database.superuser().await?;
    let sample = Arc::new(Sample::walked()?);
    // Tables get their first pages and statements their plans before the clock starts.
    cycles(&db, &sample, batch, connections, Duration::from_millis(300)).await?;
    database.execute("ANALYZE").await?;

    let own = [std::process::id()];
    let postgres_before = process::times(&process::postgres_pids(&mut monitor).await?);
    let (client_before, begun) = (process::times(&own), Instant::now());
    let runs = cycles(&db, &sample, batch, connections, duration).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let client = process::between(&client_before, &process::times(&own));
    let postgres =
        process::between(&postgres_before, &process::times(&process::postgres_pids(&mut monitor).await?));
    db.close().await;
    Ok(RawCycle {
        batch,
        connections,
        runs_per_second: runs as f64 / seconds,
        postgres_us_per_run: postgres as f64 / runs as f64,
        client_us_per_run: client as f64 / runs as f64,
    })
}

/// Puts batches through the cycle on all connections; says how many runs.
async fn cycles(
    db: &Db<Worker>,
    sample: &Arc<Sample>,
    batch: usize,
    connections: u32,
    duration: Duration,
) -> anyhow::Result<usize> {
    let begun = Instant::now();
    let mut working = JoinSet::new();
    for _ in 0..connections {
        let (db, sample) = (db.clone(), sample.clone());
        working.spawn(async move {
            let mut runs = 0;
            while begun.elapsed() < duration {
                cycle(&db, &sample, batch).await?;
                runs += batch;
            }
            anyhow::Ok(runs)
        });
    }
    let mut runs = 0;
    while let Some(ended) = working.join_next().await {
        runs += ended??;
    }
    Ok(runs)
}

/// Two transactions, like the engine's: made; claimed and finished.
async fn cycle(db: &Db<Worker>, sample: &Sample, batch: usize) -> anyhow::Result<()> {
    let scope = Scope::Tenants(&sample.tenants);
    let nudged: Vec<RunKey> = db
        .tx(scope, async |connection| {
            let now = receipts::now(connection).await?;
            let made: Vec<NewRun> = (0..batch).map(|number| sample.run(now, number)).collect();
            runs::insert(connection, now, LOOK_AGAIN, &made).await?;
            anyhow::Ok(made.iter().map(|run| (run.tenant_id, run.run_id)).collect())
        })
        .await?;
    db.tx(scope, async |connection| {
        let (claim, places) = runs::claim_here(connection, &nudged).await?;
        let (now, claimed) = (claim.now, claim.runs);
        anyhow::ensure!(claimed.len() == batch, "{} of {batch} runs were claimed", claimed.len());
        let ended: Vec<Checkpoint> = claimed
            .iter()
            .map(|run| Checkpoint {
                tenant_id: run.tenant_id,
                run_id: run.run_id,
                epoch: run.epoch,
                priority: run.priority,
                next: Next::Finished { status: EndStatus::Completed },
                state: sample.state.clone(),
                steps: sample.steps.clone(),
            })
            .collect();
        let held = checkpoints::settle_here(connection, now, "bench", &ended, &places).await?;
        anyhow::ensure!(held.len() == batch, "{} of {batch} runs were still held", held.len());
        let notes: Vec<Note> = claimed.iter().map(|run| sample.note(run.run_id)).collect();
        let notes: Vec<Made<'_, Note>> = claimed
            .iter()
            .zip(&notes)
            .map(|(run, record)| Made { tenant_id: run.tenant_id, run_id: run.run_id, record })
            .collect();
        notes::insert(connection, now, &notes).await?;
        anyhow::Ok(())
    })
    .await
}

/// What every run of the cycle looks like: the bytes of one that the engine's own walk made.
struct Sample {
    tenants: Vec<TenantId>,
    workflow_id: WorkflowId,
    version_id: VersionId,
    contact_id: ContactId,
    state: Vec<u8>,
    steps: Vec<u8>,
}

impl Sample {
    fn walked() -> anyhow::Result<Self> {
        let tenants: Vec<TenantId> = (0..TENANTS).map(|_| TenantId(new_id())).collect();
        let (workflow_id, version_id) = (WorkflowId(new_id()), VersionId(new_id()));
        let contact_id = ContactId::derive(tenants[0], &subject(0));
        let now = wall_clock();
        let event = Event { data: json!({ "total": 80 }), ..builders::event("tenant-0", "raw") };
        let event = RecordedEvent { event_id: EventId::derive(now, event.key), received_at: now, event };
        let run = RunInput {
            run_id: RunId::derive(now, workflow_id, "ordered", event.event.key),
            event: Some(&event),
            contact: Some(Contact::new(contact_id, &subject(0))),
            tenant: TenantFacts::new("tenant-0", "UTC"),
            run_key: "raw",
            started_at: now,
            version: 1,
            now,
            limits: &Limits::default(),
            ladder: &Ladder::default(),
            is_paused: false,
            stored: &NothingStored,
            recorded: &NothingRecorded,
            watch: &Unwatched,
        };
        let started = RunEvent::Started { trigger: "ordered".to_owned() };
        let walked = advance(&Workload::Note.compile()?, RunState::default(), [started], run);
        anyhow::ensure!(
            walked.finished() && walked.changes().count() == 1,
            "the benchmark's workflow does not run"
        );
        let log: Vec<&Step> = walked.log().collect();
        let (state, steps) = (serde_json::to_vec(&walked.state)?, serde_json::to_vec(&log)?);
        Ok(Self { tenants, workflow_id, version_id, contact_id, state, steps })
    }

    fn run(&self, now: chrono::DateTime<chrono::Utc>, number: usize) -> NewRun {
        let key = EventKey::derive("raw", &new_id().to_string());
        NewRun {
            tenant_id: self.tenants[number % self.tenants.len()],
            run_id: RunId::derive(now, self.workflow_id, "ordered", key),
            workflow_id: self.workflow_id,
            version_id: self.version_id,
            trigger_id: "ordered".to_owned(),
            event_id: EventId::derive(now, key),
            contact_id: Some(self.contact_id),
            run_key: subject(number),
            priority: Priority::High,
            trace: None,
        }
    }

    fn note(&self, run: RunId) -> Note {
        Note {
            note_id: RecordId::derive(run, "act", 1),
            contact_id: self.contact_id,
            text: "Ordered for 80".to_owned(),
        }
    }
}
