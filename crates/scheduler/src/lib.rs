//! The clock of the fleet: schedules, the sweep over what is owed, the outbox relay, the recorders of what was parked
//! and of dead work messages, partitions.
//!
//! Any number of schedulers may run: rows are taken with locks that others skip, and everything may happen twice.

mod backlog;
mod dead_work;
mod metrics;
mod outbox_pack;
mod outbox_relay;
mod parking_recorder;
mod partitions;
mod schedules;
mod sweep;

use automation_broker::consumer::{Consumer, ConsumerConfig, ConsumerHealth, QueueSpec};
use automation_broker::publisher::Publisher;
use automation_broker::topology::{DEAD, PARKING};
use automation_domain::schedule::plan::Policy;
use automation_service_kit::health::{Component, Health};
use automation_service_kit::metrics::observe_connections;
use automation_store::role::Scheduler;
use automation_store::{Db, Error, PoolSize};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most parked messages in memory: each may have 16 MiB.
const MOST_PREFETCHED: u16 = 16;

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
    /// Days for which dead letters are kept; 7 at least.
    pub dead_letter_days: i32,
    /// Days for which parked messages are kept after they last came; 7 at least.
    pub parked_days: i32,
    /// Which slots of schedules were missed, and how many of them are made up for.
    pub catch_up: Policy,
}

/// What the tasks share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) db: Db<Scheduler>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: metrics::SchedulerMetrics,
    /// Whether the last transaction of some task could be committed.
    pub(crate) work: Component,
    pub(crate) drain: CancellationToken,
}

impl Shared {
    /// Notes how the database answered, and says whether it did.
    pub(crate) fn note<T>(&self, what: &str, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(done) => {
                self.work.ready();
                Some(done)
            }
            Err(error) => {
                self.work.failing(error.to_string());
                tracing::warn!(%error, "{what} failed and is tried again");
                None
            }
        }
    }

    /// Whether something can be published; else waits until the broker may be back, so that the caller looks again.
    ///
    /// Asked before rows are taken: taken rows that cannot be published would come back later than the broker does.
    pub(crate) async fn can_publish(&self) -> bool {
        let probed = tokio::select! {
            () = self.drain.cancelled() => return false,
            probed = self.publisher.probe() => probed,
        };
        if let Err(error) = &probed {
            tracing::warn!(%error, "waiting for the broker");
            self.pause(Duration::from_millis(500)).await;
        }
        probed.is_ok()
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
    let db = Db::new(&config.database_url, PoolSize { max: 5, ..PoolSize::of::<Scheduler>() })?;
    let seen = db.clone();
    observe_connections("scheduler", move || seen.connections());
    // Connects when it is used: whoever asks meanwhile is told that this process is not ready.
    let publisher = Publisher::lazy(&config.amqp_url, "scheduler")?;
    let queues = [PARKING, DEAD].map(|queue| QueueSpec::new(queue, MOST_PREFETCHED)).to_vec();
    let (consumer, inputs) =
        Consumer::spawn(ConsumerConfig::new(&config.amqp_url, "scheduler", queues), drain.clone());
    let consuming = consumer.health();
    health.register("scheduler.consumer", move || match *consuming.borrow() {
        ConsumerHealth::Consuming { .. } => Ok(()),
        ConsumerHealth::Connecting => Err("not consuming: connecting to the broker".to_owned()),
        ConsumerHealth::Draining | ConsumerHealth::Closed => Err("draining".to_owned()),
    });
    let publishing = publisher.clone();
    health.register("scheduler.publisher", move || publishing.health());
    let (database, work) = (health.component("scheduler.database"), health.component("scheduler.work"));
    work.ready();
    let shared =
        Arc::new(Shared { config, db, publisher, metrics: metrics::SchedulerMetrics::new(), work, drain });
    let mut tasks = tokio::task::JoinSet::new();
    let (db, stop) = (shared.db.clone(), shared.drain.clone());
    tasks.spawn(async move { database.watch(stop, || db.ping()).await });
    tasks.spawn(sweep::run(shared.clone()));
    tasks.spawn(schedules::run(shared.clone()));
    tasks.spawn(outbox_relay::run(shared.clone()));
    tasks.spawn(partitions::run(shared.clone()));
    tasks.spawn(backlog::run(shared.clone()));
    for input in inputs {
        match input.queue() == DEAD {
            true => tasks.spawn(dead_work::run(shared.clone(), input)),
            false => tasks.spawn(parking_recorder::run(shared.clone(), input)),
        };
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    consumer.close().await;
    shared.publisher.close().await;
    shared.db.close().await;
    Ok(())
}
