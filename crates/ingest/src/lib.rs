//! Turns events into recorded facts and runs.
//!
//! A worker takes a micro-batch from the three ingest queues, reads it, and in one transaction writes receipts, events,
//! contacts and the runs that match. After the commit it publishes the nudges and what is to be parked, and only then
//! acknowledges.

mod admission;
mod batch;
mod bisect;
mod care;
mod counting;
mod directory;
mod enrol;
pub mod evaluation;
mod goals;
mod intake;
mod listeners;
mod matching;
mod metrics;
mod over_budget;
mod parking;
mod reading;
mod stopped;
mod traces;
mod trigger_index;
mod worker;

use automation_broker::consumer::{
    Consumer, ConsumerConfig, ConsumerHealth, HeldBytes, PRIORITY_WEIGHTS, QueueSpec, WeightedReceiver,
};
use automation_broker::publisher::Publisher;
use automation_broker::topology::ingest_queue;
use automation_domain::event::admission::BrokerUsers;
use automation_domain::limits::Limits;
use automation_domain::priority::Priority;
use automation_service_kit::health::Health;
use automation_service_kit::metrics::observe_connections;
use automation_store::role::Worker;
use automation_store::upkeep::usage::Usage;
use automation_store::{Db, PoolSize};
use intake::Intake;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// So many messages of a queue may be in memory whatever they weigh; and as many bytes as that many batches of the largest
/// size have (docs/adr/0014).
const OF_ANY_SIZE: u16 = 16;

/// How ingest is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Postgres; the login must be, or be a member of, `automation_worker`.
    pub database_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// Broker users who may use the engine's source and publish on behalf of others.
    pub users: BrokerUsers,
    /// Limits on events.
    pub limits: Limits,
    /// Batches under way at once.
    pub workers: usize,
    /// Most messages in a batch, and most that are unacknowledged per queue and worker.
    pub batch_messages: u16,
    /// How long after a run is made the sweep looks whether its nudge was lost.
    pub first_look: Duration,
}

/// What every worker shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: Db<Worker>,
    pub(crate) publisher: Publisher,
    pub(crate) directory: directory::Directory,
    pub(crate) care: care::Care,
    pub(crate) metrics: metrics::IngestMetrics,
    pub(crate) over_budget: over_budget::OverBudget,
    /// What tenants keep more of.
    pub(crate) usage: Usage,
    /// Whether the last batch could be committed.
    pub(crate) work: automation_service_kit::health::Component,
}

/// Runs until `drain` is cancelled, then finishes the batches under way.
///
/// # Errors
///
/// When the configuration is refused. A broker or database that is away is waited for.
pub async fn run(config: Config, health: Health, drain: CancellationToken) -> anyhow::Result<()> {
    // For each worker its batch and, when something comes back, a hold and a mark; one for the health check.
    let size =
        PoolSize { max: u32::try_from(3 * config.workers).unwrap_or(24) + 1, ..PoolSize::of::<Worker>() };
    let db = Db::new(&config.database_url, size)?;
    let seen = db.clone();
    observe_connections("ingest", move || seen.connections());
    // Connects when it is used: whoever asks meanwhile is told that this process is not ready.
    let publisher = Publisher::lazy(&config.amqp_url, "ingest")?;
    // A batch for each worker, and one ahead.
    let prefetch = config.batch_messages.saturating_mul(u16::try_from(config.workers + 1).unwrap_or(2));
    let most = config.limits.batch_bytes.saturating_mul(usize::from(OF_ANY_SIZE));
    let held_bytes = Some(HeldBytes { most, any_size: OF_ANY_SIZE });
    let queues = Priority::ALL
        .map(|priority| QueueSpec { queue: ingest_queue(priority).to_owned(), prefetch, held_bytes })
        .to_vec();
    let (consumer, inputs) =
        Consumer::spawn(ConsumerConfig::new(&config.amqp_url, "ingest", queues), drain.clone());
    register(&health, &consumer, &publisher);
    let database = health.component("ingest.database");
    let work = health.component("ingest.work");
    work.ready();
    let intake = Arc::new(Mutex::new(Intake::new(WeightedReceiver::new(inputs, PRIORITY_WEIGHTS))));
    let workers = config.workers;
    let shared = Arc::new(Shared {
        care: care::Care::new(db.clone()),
        db,
        publisher: publisher.clone(),
        directory: directory::Directory::new(),
        metrics: metrics::IngestMetrics::new(),
        over_budget: over_budget::OverBudget::default(),
        usage: Usage::default(),
        work,
        config,
    });
    let mut tasks = tokio::task::JoinSet::new();
    let (db, stop) = (shared.db.clone(), drain.clone());
    tasks.spawn(async move { database.watch(stop, || db.ping()).await });
    tasks.spawn(publisher.clone().keep_connected(drain.clone()));
    for _ in 0..workers {
        tasks.spawn(worker::work(shared.clone(), intake.clone(), drain.clone()));
    }
    // Sums are handed over until the last worker has ended.
    let (worked, counting) = (CancellationToken::new(), shared.clone());
    let stop = worked.clone();
    let summed = tokio::spawn(async move { counting.usage.hand_over(&counting.db, stop.cancelled()).await });
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    worked.cancel();
    summed.await?;
    consumer.close().await;
    publisher.close().await;
    shared.db.close().await;
    Ok(())
}

fn register(health: &Health, consumer: &Consumer, publisher: &Publisher) {
    let consuming = consumer.health();
    health.register("ingest.consumer", move || match *consuming.borrow() {
        ConsumerHealth::Consuming { .. } => Ok(()),
        ConsumerHealth::Connecting => Err("not consuming: connecting to the broker".to_owned()),
        ConsumerHealth::Draining | ConsumerHealth::Closed => Err("draining".to_owned()),
    });
    let publisher = publisher.clone();
    health.register("ingest.publisher", move || publisher.health());
}
