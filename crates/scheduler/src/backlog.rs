//! The backlog of the fleet, as metrics: what waits in the queues and in the database. Every scheduler shows the same.

use crate::Shared;
use automation_broker::depths::Depths;
use automation_broker::topology::{Topology, WAIT_PREFIX};
use automation_service_kit::clock;
use automation_service_kit::metrics::meter;
use automation_store::Scope;
use automation_store::blame::suspended_parts;
use automation_store::upkeep::lag::{self, Backlog, Waiting};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks: as often as metrics are usually scraped.
const EVERY: Duration = Duration::from_secs(15);

/// What shows the backlog.
struct Gauges {
    ready: Gauge<u64>,
    consumers: Gauge<u64>,
    items: Gauge<u64>,
    oldest: Gauge<f64>,
    /// A gauge keeps its last value: when that was read has to be told.
    read_at: Gauge<f64>,
}

/// Looks again and again, until the process drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let gauges = Gauges::new();
    // Those of the retry ladder hold nudges that are not due; how many is in `wakeups`.
    let queues: Vec<String> = Topology::standard()
        .queues()
        .map(|queue| queue.name.to_string())
        .filter(|queue| !queue.starts_with(WAIT_PREFIX))
        .collect();
    let count = queues.len();
    let mut depths = Depths::new(&shared.config.amqp_url, "scheduler.depths", queues);
    loop {
        let read = shared.db.tx(Scope::Unscoped, lag::backlog).await;
        if let Some(backlog) = shared.note("reading the backlog", read) {
            gauges.show(&backlog);
            gauges.was_read("database");
        }
        let read = shared.db.tx(Scope::Unscoped, suspended_parts::of_fleet).await;
        if let Some((count, age)) = shared.note("reading what is suspended", read) {
            gauges.waiting("suspended_parts", Waiting { count, age });
        }
        let read = tokio::select! {
            () = shared.drain.cancelled() => return,
            read = depths.read() => read,
        };
        match read {
            Ok(read) => {
                // Of one that is left out, the gauge shows what was.
                if read.len() == count {
                    gauges.was_read("broker");
                }
                for (queue, depth) in read {
                    let queue = [KeyValue::new("queue", queue)];
                    gauges.ready.record(u64::from(depth.ready), &queue);
                    gauges.consumers.record(u64::from(depth.consumers), &queue);
                }
            }
            Err(error) => tracing::warn!(%error, "the queues' depths cannot be read"),
        }
        if !shared.pause(EVERY).await {
            depths.close().await;
            return;
        }
    }
}

impl Gauges {
    fn new() -> Self {
        let meter = meter();
        Self {
            ready: meter
                .u64_gauge("queue.messages.ready")
                .with_description("Messages that wait in a queue and are with no consumer")
                .build(),
            consumers: meter.u64_gauge("queue.consumers").with_description("Consumers of a queue").build(),
            items: meter
                .u64_gauge("backlog.items")
                .with_description("What waits in the database, by kind; counted to 10,000")
                .build(),
            oldest: meter
                .f64_gauge("backlog.oldest.age")
                .with_unit("s")
                .with_description("How long the oldest of it has waited")
                .build(),
            read_at: meter
                .f64_gauge("backlog.read.timestamp")
                .with_unit("s")
                .with_description("When the backlog was last read, since 1970")
                .build(),
        }
    }

    fn was_read(&self, source: &'static str) {
        let at = clock::wall_clock().timestamp_millis();
        self.read_at.record(
            Duration::from_millis(u64::try_from(at).unwrap_or(0)).as_secs_f64(),
            &[KeyValue::new("source", source)],
        );
    }

    fn show(&self, backlog: &Backlog) {
        for (kind, waiting) in [
            ("wakeups", backlog.wakeups),
            ("outbox", backlog.outbox),
            ("parked", backlog.parked),
            ("dead_letters", backlog.dead_letters),
        ] {
            self.waiting(kind, waiting);
        }
    }

    fn waiting(&self, kind: &'static str, Waiting { count, age }: Waiting) {
        let kind = [KeyValue::new("kind", kind)];
        self.items.record(u64::try_from(count).unwrap_or(0), &kind);
        self.oldest.record(age.as_secs_f64(), &kind);
    }
}
