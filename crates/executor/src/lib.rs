//! Claims runs and walks them.
//!
//! A worker takes nudges, claims the runs they name in one transaction, acknowledges, walks every run as far as it goes
//! without waiting, and commits what they came to in a second transaction. From the claim on, the database owes the
//! run: a worker that dies leaves a lease that runs out.

mod checkpoint;
mod claim;
mod death;
mod emit;
mod metrics;
mod versions;
mod worker;

use automation_broker::consumer::{
    Consumer, ConsumerConfig, ConsumerHealth, PRIORITY_WEIGHTS, QueueSpec, WeightedReceiver,
};
use automation_broker::topology::work_queue;
use automation_domain::limits::Limits;
use automation_domain::priority::Priority;
use automation_service_kit::health::{Component, Health};
use automation_store::{Db, DbRole, PoolSize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

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
}

/// What every worker shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) versions: versions::Versions,
    pub(crate) metrics: metrics::ExecutorMetrics,
    /// Whether the last batch could be claimed and committed.
    pub(crate) database: Component,
}

/// Runs until `drain` is cancelled, then finishes the batches under way.
///
/// # Errors
///
/// When the configuration is refused. A broker or database that is away is waited for.
pub async fn run(config: Config, health: Health, drain: CancellationToken) -> anyhow::Result<()> {
    let size = PoolSize { max: u32::try_from(config.workers).unwrap_or(8) + 1, ..PoolSize::default() };
    let db = Db::new(&config.database_url, DbRole::Worker, size)?;
    let prefetch = u16::try_from(worker::MOST_MESSAGES * (config.workers + 1)).unwrap_or(u16::MAX);
    let queues =
        Priority::ALL.map(|priority| QueueSpec { queue: work_queue(priority).to_owned(), prefetch }).to_vec();
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
    let shared = Arc::new(Shared {
        db,
        versions: versions::Versions::default(),
        metrics: metrics::ExecutorMetrics::new(),
        database: health.component("executor.work"),
        config,
    });
    shared.database.ready();
    let mut tasks = tokio::task::JoinSet::new();
    let (db, stop, database) = (shared.db.clone(), drain.clone(), health.component("executor.database"));
    tasks.spawn(async move { database.watch(stop, || db.ping()).await });
    for _ in 0..workers {
        tasks.spawn(worker::work(shared.clone(), receiver.clone(), drain.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    consumer.close().await;
    shared.db.close().await;
    Ok(())
}
