//! What RabbitMQ alone takes and gives: the same messages through the same queue, a quorum queue, and nothing done with
//! them.

use crate::effort::Effort;
use crate::load::{Ids, Load, Matching, Packing, Renderer};
use crate::process;
use anyhow::Context;
use automation_broker::consumer::{Acker, Batch, Consumer, ConsumerConfig, Deliveries, QueueSpec};
use automation_broker::publisher::{Publisher, PublisherConfig};
use automation_broker::topology::{Topology, ingest_queue};
use automation_domain::priority::Priority;
use automation_service_kit::clock::wall_clock;
use automation_test_support::broker::TestVhost;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Messages published and confirmed together.
const CHUNK: u64 = 500;
const PUBLISHERS: usize = 2;
/// Most deliveries that are not acknowledged, and how many are acknowledged together.
const PREFETCH: u16 = 1_000;
const ACKNOWLEDGED: usize = 500;

/// What was measured of the broker by itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RawBroker {
    /// How events were put into messages.
    pub(crate) load: &'static str,
    /// Published and confirmed, nothing being consumed.
    pub(crate) published_per_second: f64,
    /// Consumed and acknowledged, nothing being published.
    pub(crate) consumed_per_second: f64,
    /// Through the queue, both going on.
    pub(crate) through_per_second: f64,
    /// Microseconds of the broker's CPU per event that went through.
    pub(crate) broker_us_per_event: f64,
    /// Microseconds of this client's CPU per event that went through.
    pub(crate) client_us_per_event: f64,
}

/// Measures both packings.
pub(crate) async fn measure(effort: Effort) -> anyhow::Result<Vec<RawBroker>> {
    let mut measured = Vec::new();
    for (name, packing, size) in [("batches of 50", Packing::FIFTY, 50), ("one by one", Packing::Single, 1)] {
        let bench = Bench::new(packing, size).await?;
        let (published_per_second, consumed_per_second) = bench.in_turns(effort.raw_search).await?;
        let figures = bench.through(effort.raw_again).await?;
        let figures = RawBroker { load: name, published_per_second, consumed_per_second, ..figures };
        eprintln!("    {}", figures.line());
        measured.push(figures);
        bench.vhost.close().await?;
    }
    Ok(measured)
}

/// A virtual host, and what to send through it.
struct Bench {
    vhost: TestVhost,
    load: Load,
    /// Events in each message.
    size: u64,
    /// Messages that may lie in the queue: it keeps them in memory.
    most: u64,
}

impl Bench {
    async fn new(packing: Packing, size: u64) -> anyhow::Result<Self> {
        let vhost = TestVhost::create().await?;
        Topology::standard().apply(vhost.amqp_url()).await?;
        let user = vhost.amqp_url().split_once("://").and_then(|(_, rest)| rest.split(':').next());
        let load = Load {
            packing,
            ids: Ids::Ordered,
            matching: Matching::All,
            contacts: 20_000,
            user: user.context("the broker's URL names no user")?.to_owned(),
            source: "shop",
        };
        // About 100 MB either way.
        let most = if size == 1 { 100_000 } else { 5_000 };
        Ok(Self { vhost, load, size, most })
    }

    /// Fills the queue, empties it, and so on, until either took so long; events per second of each.
    async fn in_turns(&self, duration: Duration) -> anyhow::Result<(f64, f64)> {
        let publisher = self.publisher().await?;
        let (mut publishing, mut consuming, mut events) = (Duration::ZERO, Duration::ZERO, 0);
        while publishing < duration || consuming < duration {
            let begun = Instant::now();
            self.publish(&publisher, Arc::default(), Some(self.most), &CancellationToken::new()).await?;
            publishing += begun.elapsed();
            let (consumer, mut deliveries) = self.consumer()?;
            let first = deliveries.recv().await.context("nothing to consume")?;
            let begun = Instant::now();
            Acker::ack_all(vec![first]).await;
            let mut left = usize::try_from(self.most)? - 1;
            while left > 0 {
                left -= consume(&mut deliveries).await?;
            }
            consuming += begun.elapsed();
            consumer.close().await;
            events += self.most * self.size;
        }
        publisher.close().await;
        Ok((events as f64 / publishing.as_secs_f64(), events as f64 / consuming.as_secs_f64()))
    }

    /// Publishes and consumes at once.
    async fn through(&self, duration: Duration) -> anyhow::Result<RawBroker> {
        let publisher = self.publisher().await?;
        let (consumer, mut deliveries) = self.consumer()?;
        let broker = [process::rabbitmq_pid(self.vhost.management_url()).await?];
        let own = [std::process::id()];
        let (consumed, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let publishing = self.publish(&publisher, consumed.clone(), None, &stop);
        let consuming = async {
            let warm_up = Instant::now();
            while warm_up.elapsed() < Duration::from_secs(1) {
                consumed.fetch_add(consume(&mut deliveries).await? as u64, Ordering::Relaxed);
            }
            let (broker_before, own_before) = (process::times(&broker), process::times(&own));
            let (begun, mut messages) = (Instant::now(), 0);
            while begun.elapsed() < duration {
                let some = consume(&mut deliveries).await? as u64;
                consumed.fetch_add(some, Ordering::Relaxed);
                messages += some;
            }
            let seconds = begun.elapsed().as_secs_f64();
            let broker_us = process::between(&broker_before, &process::times(&broker));
            let own_us = process::between(&own_before, &process::times(&own));
            stop.cancel();
            anyhow::Ok((messages * self.size, seconds, broker_us, own_us))
        };
        let ((), (events, seconds, broker_us, own_us)) = tokio::try_join!(publishing, consuming)?;
        consumer.close().await;
        publisher.close().await;
        let events = events as f64;
        Ok(RawBroker {
            load: "",
            published_per_second: 0.0,
            consumed_per_second: 0.0,
            through_per_second: events / seconds,
            broker_us_per_event: broker_us as f64 / events,
            client_us_per_event: own_us as f64 / events,
        })
    }

    /// Publishes `count` messages, or until it is stopped, and never more than the queue may hold.
    async fn publish(
        &self,
        publisher: &Publisher,
        consumed: Arc<AtomicU64>,
        count: Option<u64>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let published = Arc::new(AtomicU64::new(0));
        let mut publishers = JoinSet::new();
        let (size, most) = (self.size, self.most);
        for _ in 0..PUBLISHERS {
            let (publisher, load, stop) = (publisher.clone(), self.load.clone(), stop.clone());
            let (published, consumed) = (published.clone(), consumed.clone());
            publishers.spawn(async move {
                let mut renderer = Renderer::new();
                while !stop.is_cancelled() {
                    let limit = count.unwrap_or(consumed.load(Ordering::Relaxed) + most);
                    let reserved = published.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                        (before + CHUNK <= limit).then_some(before + CHUNK)
                    });
                    match reserved {
                        Ok(first) => {
                            let now = wall_clock();
                            let numbers = first * size..(first + CHUNK) * size;
                            publisher.publish_all(load.messages(&mut renderer, numbers, |_| now)).await?;
                        }
                        Err(_full) if count.is_some() => break,
                        Err(_full) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = publishers.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn publisher(&self) -> anyhow::Result<Publisher> {
        Ok(Publisher::connect_with(PublisherConfig::new(self.vhost.amqp_url(), "bench")).await?)
    }

    fn consumer(&self) -> anyhow::Result<(Consumer, Deliveries)> {
        let queues = vec![QueueSpec::new(ingest_queue(Priority::High), PREFETCH)];
        let config = ConsumerConfig::new(self.vhost.amqp_url(), "bench", queues);
        let (consumer, mut deliveries) = Consumer::spawn(config, CancellationToken::new());
        Ok((consumer, deliveries.pop().context("a queue was asked for")?))
    }
}

/// Takes what is there, and acknowledges it; says how many messages.
async fn consume(deliveries: &mut Deliveries) -> anyhow::Result<usize> {
    let batch = Batch::collect(deliveries, ACKNOWLEDGED, Duration::ZERO).await;
    let batch = batch.context("the consumer has ended")?;
    let count = batch.len();
    Acker::ack_all(batch).await;
    Ok(count)
}
