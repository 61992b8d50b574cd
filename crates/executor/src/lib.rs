//! Claims runs and walks them.
//!
//! A worker takes nudges, claims the runs they name in one transaction, acknowledges, walks every run as far as it goes
//! without waiting, and commits what they came to in a second transaction. From the claim on, the database owes the
//! run: a worker that dies leaves a lease that runs out.
//!
//! A run that asks for something outside keeps its claim: the checkpoint stores the request as started, then it is sent,
//! beside everything else and outside any transaction. What comes back is gathered into batches, which are walked and
//! committed the same way.

mod answers;
mod at_once;
mod care;
mod checkpoint;
mod claim;
mod edge;
mod emit;
mod inputs;
mod kept;
mod letters;
mod look_ups;
mod metrics;
mod outside;
mod plan;
mod retries;
mod rooms;
mod settle;
mod traces;
mod under_way;
mod versions;
mod worker;

use automation_broker::consumer::{
    Consumer, ConsumerConfig, ConsumerHealth, PRIORITY_WEIGHTS, QueueSpec, WeightedReceiver,
};
use automation_broker::publisher::Publisher;
use automation_broker::topology::work_queue;
use automation_domain::limits::Limits;
use automation_domain::outbound::Outbound;
use automation_domain::priority::Priority;
use automation_domain::retry::Ladder;
use automation_service_kit::clock;
use automation_service_kit::config::Secret;
use automation_service_kit::health::{Component, Health};
use automation_service_kit::metrics::observe_connections;
use automation_store::role::Worker;
use automation_store::upkeep::usage::Usage;
use automation_store::{Db, PoolSize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How an executor is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Postgres; the login must be, or be a member of, `automation_worker`.
    pub database_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// Limits on runs.
    pub limits: Limits,
    /// Batches under way at once.
    pub workers: usize,
    /// Most runs in a batch.
    pub batch_runs: usize,
    /// How long a claim is good for.
    pub lease: Duration,
    /// What the run's history says who did it.
    pub name: String,
    /// How long after a run is due the sweep looks whether its nudge was lost.
    pub first_look: Duration,
    /// When failed steps are tried again; the broker has a queue for each of its rungs.
    pub ladder: Ladder,
    /// What goes to the world outside.
    pub requests: Requests,
    /// How long requests that are on their way are waited for when the process drains.
    pub drain: Duration,
}

/// Requests to the world outside.
#[derive(Clone, Debug)]
pub struct Requests {
    /// Most of them at once. Default 256.
    pub at_once: usize,
    /// Most of them of one tenant. Default 64.
    pub per_tenant: usize,
    /// Most of them to one host and port; half of these of one tenant. Default 32.
    pub per_host: usize,
    /// Where they may go, and what they may use up.
    pub outbound: Outbound,
    /// What credentials are encrypted with; without it none can be used.
    pub encryption_keys: Option<Secret>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            at_once: 256,
            per_tenant: 64,
            per_host: 32,
            outbound: Outbound::default(),
            encryption_keys: None,
        }
    }
}

impl Config {
    /// Whether the broker keeps nudges for this long.
    pub(crate) fn has_queue(&self, delay: Duration) -> bool {
        self.ladder.rungs.delays().contains(&delay)
    }
}

/// What every worker shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: Db<Worker>,
    pub(crate) versions: versions::Versions,
    pub(crate) care: care::Care,
    pub(crate) metrics: metrics::ExecutorMetrics,
    /// What tenants keep more of.
    pub(crate) usage: Usage,
    /// Whether the last batch could be claimed and committed.
    pub(crate) database: Component,
    pub(crate) publisher: Publisher,
    pub(crate) outside: outside::Outside,
    pub(crate) rooms: rooms::Rooms,
    pub(crate) under_way: under_way::UnderWay,
    /// What nobody waits for until the process ends.
    pub(crate) background: TaskTracker,
}

/// Runs until `drain` is cancelled, then finishes the batches under way and waits, for a while, for requests.
///
/// # Errors
///
/// When the configuration is refused. A broker or database that is away is waited for.
pub async fn run(config: Config, health: Health, drain: CancellationToken) -> anyhow::Result<()> {
    // One for each worker; the others are for answers, renewals, what is suspended, and the health check.
    let size = PoolSize { max: u32::try_from(config.workers).unwrap_or(8) + 4, ..PoolSize::of::<Worker>() };
    let db = Db::new(&config.database_url, size)?;
    let seen = db.clone();
    observe_connections("executor", move || seen.connections());
    let Some(publisher) = connect(&config.amqp_url, &drain).await else { return Ok(()) };
    let prefetch = u16::try_from(worker::MOST_MESSAGES * (config.workers + 1)).unwrap_or(u16::MAX);
    let queues = Priority::ALL.map(|priority| QueueSpec::new(work_queue(priority), prefetch)).to_vec();
    let (consumer, inputs) =
        Consumer::spawn(ConsumerConfig::new(&config.amqp_url, "executor", queues), drain.clone());
    let consuming = consumer.health();
    health.register("executor.consumer", move || match *consuming.borrow() {
        ConsumerHealth::Consuming { .. } => Ok(()),
        ConsumerHealth::Connecting => Err("not consuming: connecting to the broker".to_owned()),
        ConsumerHealth::Draining | ConsumerHealth::Closed => Err("draining".to_owned()),
    });
    let receiver = Arc::new(Mutex::new(WeightedReceiver::new(inputs, PRIORITY_WEIGHTS)));
    let workers = config.workers;
    let (under_way, answers) = under_way::UnderWay::new();
    let shared = Arc::new(Shared {
        publisher,
        outside: outside::Outside::new(&config)?,
        rooms: rooms::Rooms::new(&config.requests),
        under_way,
        background: TaskTracker::new(),
        care: care::Care::new(db.clone()),
        db,
        versions: versions::Versions::new(),
        metrics: metrics::ExecutorMetrics::new(),
        usage: Usage::default(),
        database: health.component("executor.work"),
        config,
    });
    shared.database.ready();
    let closing = CancellationToken::new();
    let mut beside = JoinSet::new();
    beside.spawn(answers::take_in(shared.clone(), answers, closing.clone()));
    beside.spawn(under_way::renew(shared.clone(), closing.clone()));
    beside.spawn(care::Care::refresh(shared.clone(), closing.clone()));
    let (counting, stop) = (shared.clone(), closing.clone());
    beside.spawn(async move { counting.usage.hand_over(&counting.db, stop.cancelled()).await });
    let mut tasks = JoinSet::new();
    let (db, stop, database) = (shared.db.clone(), drain.clone(), health.component("executor.database"));
    tasks.spawn(async move { database.watch(stop, || db.ping()).await });
    for _ in 0..workers {
        tasks.spawn(worker::work(shared.clone(), receiver.clone(), drain.clone()));
    }
    // What ends before it was asked to has failed.
    tokio::select! {
        () = drain.cancelled() => {}
        Some(ended) = beside.join_next() => ended?,
        Some(ended) = tasks.join_next() => ended?,
    }
    shared.rooms.close();
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    wait_for_answers(&shared).await;
    closing.cancel();
    while let Some(ended) = beside.join_next().await {
        ended?;
    }
    shared.under_way.abandon();
    consumer.close().await;
    shared.background.close();
    shared.background.wait().await;
    shared.publisher.close().await;
    shared.db.close().await;
    Ok(())
}

/// Lets requests come back that are on their way. What takes longer is taken over by others, as if this process had died.
async fn wait_for_answers(shared: &Shared) {
    let until = clock::timer_now() + shared.config.drain;
    while shared.under_way.len() > 0 {
        if clock::timer_now() >= until {
            tracing::warn!(
                runs = shared.under_way.len(),
                "requests did not come back in time; others take over"
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the broker; `None` when the process drains first.
async fn connect(url: &str, drain: &CancellationToken) -> Option<Publisher> {
    loop {
        match Publisher::connect(url, "executor").await {
            Ok(publisher) => return Some(publisher),
            Err(error) => tracing::warn!(%error, "waiting for the broker"),
        }
        tokio::select! {
            () = drain.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
