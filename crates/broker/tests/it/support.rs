//! What the tests share.

use automation_broker::consumer::{Acker, Consumer, ConsumerConfig, ConsumerHealth, Deliveries, QueueSpec};
use automation_broker::management::Management;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::{Topology, WORK, work_queue};
use automation_domain::priority::Priority;
use automation_test_support::broker::TestVhost;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

/// The longest to wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A virtual host with the standard topology, and ways to look into it.
pub struct Fixture {
    pub vhost: TestVhost,
    pub management: Management,
    connection: Connection,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(&Topology::standard()).await
    }

    pub async fn with(topology: &Topology) -> Self {
        let vhost = TestVhost::create().await.unwrap();
        topology.apply(vhost.amqp_url()).await.unwrap();
        let management = Management::new(vhost.management_url()).unwrap();
        let connection =
            Connection::connect(vhost.amqp_url(), ConnectionProperties::default()).await.unwrap();
        Self { vhost, management, connection }
    }

    pub async fn publisher(&self) -> Publisher {
        Publisher::connect(self.vhost.amqp_url(), "test publisher").await.unwrap()
    }

    /// A consumer of the high work queue that probes often.
    pub fn consumer(&self, prefetch: u16) -> (Consumer, Deliveries) {
        let (consumer, mut deliveries) = self.consumer_of(&[Priority::High], prefetch);
        (consumer, deliveries.remove(0))
    }

    pub fn consumer_of(&self, priorities: &[Priority], prefetch: u16) -> (Consumer, Vec<Deliveries>) {
        let queues =
            priorities.iter().map(|priority| QueueSpec::new(work_queue(*priority), prefetch)).collect();
        self.consumer_with(queues)
    }

    pub fn consumer_with(&self, queues: Vec<QueueSpec>) -> (Consumer, Vec<Deliveries>) {
        let config = ConsumerConfig {
            probe_interval: Duration::from_millis(200),
            ..ConsumerConfig::new(self.vhost.amqp_url(), "test consumer", queues)
        };
        Consumer::spawn(config, CancellationToken::new())
    }

    /// Messages that wait in a queue. AMQP counts exactly; the management API is seconds behind.
    pub async fn ready(&self, queue: &str) -> u32 {
        let channel = self.connection.create_channel().await.unwrap();
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap().message_count()
    }

    pub async fn channel(&self) -> lapin::Channel {
        self.connection.create_channel().await.unwrap()
    }

    pub async fn wait_until_ready(&self, queue: &str, count: u32) {
        let seen = eventually(async || (self.ready(queue).await == count).then_some(())).await;
        assert!(seen.is_some(), "{queue} holds {} messages, not {count}", self.ready(queue).await);
    }

    /// By the figures of the management API, which are some seconds old.
    pub async fn wait_until_unacknowledged(&self, queue: &str, count: u64) {
        let seen = eventually(async || {
            let queues = self.management.queues(self.vhost.name()).await.unwrap();
            let found = queues.into_iter().find(|found| found.name == queue)?;
            (found.messages_unacknowledged == count).then_some(())
        })
        .await;
        assert!(seen.is_some(), "{queue} never had {count} unacknowledged messages");
    }

    /// Closes the consumer's connection from the broker's side.
    pub async fn kill_consumer_connection(&self) {
        let name = eventually(async || {
            let connections = self.management.connections(self.vhost.name()).await.unwrap();
            connections
                .into_iter()
                .find(|connection| connection.user_provided_name.as_deref() == Some("test consumer"))
                .map(|connection| connection.name)
        })
        .await
        .expect("the consumer's connection is listed");
        self.management.close_connection(&name).await.unwrap();
    }
}

/// Asks until there is an answer, with pauses in between.
pub async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let mut ticks = interval(Duration::from_millis(50));
    timeout(PATIENCE, async {
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    })
    .await
    .ok()
}

pub async fn consuming(consumer: &Consumer) {
    let mut health = consumer.health();
    let reached = health.wait_for(|health| matches!(health, ConsumerHealth::Consuming { .. }));
    let reached = timeout(PATIENCE, reached).await;
    assert!(reached.is_ok_and(|reached| reached.is_ok()), "the consumer did not get to consume");
}

pub fn nudge(priority: Priority, number: usize) -> Message {
    Message {
        exchange: WORK.to_owned(),
        routing_key: priority.as_str().to_owned(),
        body: number.to_string().into_bytes(),
        content_type: "text/plain".to_owned(),
        message_id: number.to_string(),
        ..Message::default()
    }
}

pub fn nudges(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(|number| nudge(Priority::High, number)).collect()
}

/// Receives and acknowledges until every number below `count` was seen.
pub async fn receive_all(deliveries: &mut Deliveries, count: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let receiving = async {
        while seen.len() < count {
            let delivery = deliveries.recv().await.expect("the consumer goes on");
            seen.insert(number(&delivery.body));
            Acker::ack_all(vec![delivery]).await;
        }
    };
    let _ = timeout(PATIENCE, receiving).await;
    seen
}

pub fn number(body: &[u8]) -> usize {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}
