//! The clock of the fleet: the sweep over what is owed, the outbox relay, the recorder of parked events, partitions.
//!
//! Any number of schedulers may run: rows are taken with locks that others skip, and everything may happen twice.

mod metrics;
mod outbox_relay;
mod parking_recorder;
mod partitions;
mod sweep;

use automation_broker::consumer::{Consumer, ConsumerConfig, ConsumerHealth, QueueSpec};
use automation_broker::publisher::Publisher;
use automation_broker::topology::{DEAD, PARKING};
use automation_service_kit::health::{Component, Health};
use automation_store::{Db, DbRole, Error, PoolSize};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How a scheduler is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Postgres; the login must be, or be a member of, `automation_scheduler`.
    pub database_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// The user of `amqp_url`: what the broker vouches for on events of the engine.
    pub amqp_user: String,
    /// Most wakeups or outbox rows taken at once.
    pub batch: i64,
    /// How long after it fell due a wakeup is looked at again; doubles each time.
    pub first_look: Duration,
    /// Days of partitions made ahead.
    pub partitions_ahead: i32,
    /// Days for which an event is known after it was received; 7 at least.
    pub dedupe_days: i32,
}

/// What the tasks share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: metrics::SchedulerMetrics,
    pub(crate) database: Component,
    pub(crate) drain: CancellationToken,
}

impl Shared {
    /// Notes how the database answered, and says whether it did.
    pub(crate) fn note<T>(&self, what: &str, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(done) => {
                self.database.ready();
                Some(done)
            }
            Err(error) => {
                self.database.failing(error.to_string());
                tracing::warn!(%error, "{what} failed and is tried again");
                None
            }
        }
    }

    /// Waits, or less long when the process drains; `false` then.
    pub(crate) async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.drain.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

/// Runs until `drain` is cancelled.
///
/// # Errors
///
/// When the configuration is refused. A broker or database that is away is waited for.
pub async fn run(config: Config, health: Health, drain: CancellationToken) -> anyhow::Result<()> {
    let db = Db::new(&config.database_url, DbRole::Scheduler, PoolSize { max: 5, ..PoolSize::default() })?;
    let Some(publisher) = connect(&config.amqp_url, &drain).await else { return Ok(()) };
    let queues = [PARKING, DEAD].map(|queue| QueueSpec { queue: queue.to_owned(), prefetch: 50 }).to_vec();
    let (consumer, inputs) =
        Consumer::spawn(ConsumerConfig::new(&config.amqp_url, "scheduler", queues), drain.clone());
    let consuming = consumer.health();
    health.register("scheduler.consumer", move || match *consuming.borrow() {
        ConsumerHealth::Consuming { .. } => Ok(()),
        ConsumerHealth::Connecting => Err("not consuming: connecting to the broker".to_owned()),
        ConsumerHealth::Draining | ConsumerHealth::Closed => Err("draining".to_owned()),
    });
    let blocked = publisher.clone();
    health.register("scheduler.publisher", move || {
        if blocked.is_blocked() { Err("the broker is refusing messages (alarm)".to_owned()) } else { Ok(()) }
    });
    let database = health.component("scheduler.database");
    match db.ping().await {
        Ok(()) => database.ready(),
        Err(error) => database.failing(error.to_string()),
    }
    let shared = Arc::new(Shared {
        config,
        db,
        publisher,
        metrics: metrics::SchedulerMetrics::new(),
        database,
        drain,
    });
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(sweep::run(shared.clone()));
    tasks.spawn(outbox_relay::run(shared.clone()));
    tasks.spawn(partitions::run(shared.clone()));
    for input in inputs {
        tasks.spawn(parking_recorder::run(shared.clone(), input));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    consumer.close().await;
    shared.publisher.close().await;
    shared.db.close().await;
    Ok(())
}

/// Waits for the broker; `None` when the process drains first.
async fn connect(url: &str, drain: &CancellationToken) -> Option<Publisher> {
    loop {
        match Publisher::connect(url, "scheduler").await {
            Ok(publisher) => return Some(publisher),
            Err(error) => tracing::warn!(%error, "waiting for the broker"),
        }
        tokio::select! {
            () = drain.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
