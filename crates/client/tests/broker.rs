//! Against a real broker, in a virtual host of each test's own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use automation_client::{Config, EXCHANGE, Event, EventBuilder, Packing, PublishError, Publisher};
use automation_test_support::broker::TestVhost;
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicGetOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const QUEUE: &str = "inbox";

/// A virtual host with the exchange and one queue that takes everything.
struct Broker {
    vhost: TestVhost,
    // Closes its channel when it is dropped.
    _connection: Connection,
    channel: Channel,
}

impl Broker {
    async fn start() -> Self {
        Self::start_with(FieldTable::default()).await
    }

    async fn start_with(queue_arguments: FieldTable) -> Self {
        let broker = Self::without_a_queue().await;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        broker.channel.queue_declare(QUEUE.into(), durable, queue_arguments).await.unwrap();
        broker.bind().await;
        broker
    }

    async fn without_a_queue() -> Self {
        let vhost = TestVhost::create().await.unwrap();
        let connection =
            Connection::connect(vhost.amqp_url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let broker = Self { vhost, _connection: connection, channel };
        broker.declare_exchange().await;
        broker
    }

    async fn declare_exchange(&self) {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        self.channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await
            .unwrap();
    }

    async fn bind(&self) {
        self.channel
            .queue_bind(
                QUEUE.into(),
                EXCHANGE.into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .unwrap();
    }

    async fn publisher(&self) -> Publisher {
        Publisher::connect(self.vhost.amqp_url()).await.unwrap()
    }

    async fn messages(&self) -> Vec<BasicGetMessage> {
        let mut messages = Vec::new();
        while let Some(message) =
            self.channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await.unwrap()
        {
            messages.push(message);
        }
        messages
    }
}

fn event(event_type: &str, number: usize) -> Event {
    EventBuilder::new("acme", "shop", event_type)
        .subject("c-1")
        .data(&json!({ "number": number }))
        .build()
        .unwrap()
}

fn body(message: &BasicGetMessage) -> Value {
    serde_json::from_slice(&message.delivery.data).unwrap()
}

#[tokio::test]
async fn an_event_is_a_persistent_structured_message_with_the_urls_user() {
    let broker = Broker::start().await;
    let event = event("order.created", 1);
    broker.publisher().await.publish(&event).await.unwrap();
    let messages = broker.messages().await;
    assert_eq!(messages.len(), 1);
    let (delivery, properties) = (&messages[0].delivery, &messages[0].delivery.properties);
    assert_eq!(delivery.routing_key.as_str(), "order.created");
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/cloudevents+json");
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), event.id());
    let user = user_of(broker.vhost.amqp_url());
    assert_eq!(properties.user_id().as_ref().unwrap().as_str(), user);
    assert_eq!(body(&messages[0]), serde_json::to_value(&event).unwrap());
}

#[tokio::test]
async fn an_id_that_is_too_long_for_a_property_of_amqp_is_in_the_body_alone() {
    let broker = Broker::start().await;
    let event = EventBuilder::new("acme", "shop", "order.created").id(&"i".repeat(256)).build().unwrap();
    broker.publisher().await.publish(&event).await.unwrap();
    let messages = broker.messages().await;
    assert_eq!(*messages[0].delivery.properties.message_id(), None);
    assert_eq!(body(&messages[0])["id"], event.id());
}

fn user_of(url: &str) -> String {
    url.parse::<lapin::uri::AMQPUri>().unwrap().authority.userinfo.username
}

#[tokio::test]
async fn a_batch_is_one_message() {
    let broker = Broker::start().await;
    let events: Vec<Event> = (0..500).map(|number| event("page.visited", number)).collect();
    broker.publisher().await.publish_batch(&events).await.unwrap();
    let messages = broker.messages().await;
    assert_eq!(messages.len(), 1);
    let content_type = messages[0].delivery.properties.content_type().clone().unwrap();
    assert_eq!(content_type.as_str(), "application/cloudevents-batch+json");
    assert_eq!(body(&messages[0]), serde_json::to_value(&events).unwrap());
}

#[tokio::test]
async fn many_events_are_pipelined_in_order() {
    let broker = Broker::start().await;
    let events: Vec<Event> = (0..1_000).map(|number| event("page.visited", number)).collect();
    let outcomes = broker.publisher().await.publish_all(&events, Packing::Single).await;
    assert!(outcomes.len() == 1_000 && outcomes.iter().all(Result::is_ok));
    let numbers: Vec<Value> =
        broker.messages().await.iter().map(|message| body(message)["data"]["number"].clone()).collect();
    assert_eq!(numbers, (0..1_000).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn packed_events_all_arrive_in_few_messages() {
    let broker = Broker::start().await;
    let types = ["page.visited", "cart.abandoned", "order.created"];
    let events: Vec<Event> = (0..3_000).map(|number| event(types[number % 3], number)).collect();
    let outcomes = broker.publisher().await.publish_all(&events, Packing::Batches).await;
    assert!(outcomes.len() == 3_000 && outcomes.iter().all(Result::is_ok));
    let messages = broker.messages().await;
    assert_eq!(messages.len(), 6);
    let mut ids: Vec<String> = Vec::new();
    for message in &messages {
        for member in body(message).as_array().unwrap() {
            assert_eq!(member["type"], message.delivery.routing_key.as_str());
            ids.push(member["id"].as_str().unwrap().to_owned());
        }
    }
    let mut expected: Vec<String> = events.iter().map(|event| event.id().to_owned()).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn an_event_that_no_queue_takes_is_not_a_success() {
    let broker = Broker::without_a_queue().await;
    let error = broker.publisher().await.publish(&event("order.created", 1)).await.unwrap_err();
    let reason = "312 NO_ROUTE".to_owned();
    assert_eq!(error, PublishError::Unroutable { event_type: "order.created".to_owned(), reason });
}

#[tokio::test]
async fn a_nack_is_tried_once_more_with_the_same_id_and_then_reported() {
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let broker = Broker::start_with(full).await;
    let publisher = broker.publisher().await;
    publisher.publish(&event("order.created", 1)).await.unwrap();
    let error = publisher.publish(&event("order.created", 2)).await.unwrap_err();
    assert_eq!(error, PublishError::Unconfirmed("the broker answered with a nack".to_owned()));

    assert_eq!(broker.messages().await.len(), 1, "the first event has left room for another");
    publisher.publish(&event("order.created", 3)).await.unwrap();
}

#[tokio::test]
async fn a_refusal_closes_the_channel_and_the_next_event_gets_another() {
    let broker = Broker::start().await;
    let publisher = broker.publisher().await;
    broker.channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await.unwrap();
    let error = publisher.publish(&event("order.created", 1)).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused { code: 404, .. }), "{error:?}");

    broker.declare_exchange().await;
    broker.bind().await;
    publisher.publish(&event("order.created", 2)).await.unwrap();
    assert_eq!(broker.messages().await.len(), 1);
}

#[tokio::test]
async fn a_lost_connection_is_replaced_without_the_caller_noticing() {
    let broker = Broker::start().await;
    let proxy = Proxy::start(broker.vhost.amqp_url()).await;
    let publisher = Publisher::connect(&proxy.url).await.unwrap();
    publisher.publish(&event("order.created", 1)).await.unwrap();
    proxy.cut().await;
    publisher.publish(&event("order.created", 2)).await.unwrap();
    publisher.close().await;
    assert_eq!(broker.messages().await.len(), 2);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let config = Config { patience: Duration::from_secs(5), ..Config::default() };
    let error = Publisher::connect_with(&format!("amqp://{addr}/x"), config).await.unwrap_err();
    assert!(matches!(error, PublishError::Unavailable(_)), "{error:?}");
    let error = Publisher::connect("http://localhost").await.unwrap_err();
    assert!(matches!(error, PublishError::Url(_)), "{error:?}");
}

/// Forwards connections to the broker until it is told to cut them.
struct Proxy {
    url: String,
    cut: tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<()>>,
}

impl Proxy {
    async fn start(amqp_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (before, rest) = amqp_url.rsplit_once('@').unwrap();
        let (target, vhost) = rest.split_once('/').unwrap();
        let url = format!("{before}@{}/{vhost}", listener.local_addr().unwrap());
        let target = target.to_owned();
        let (cut, mut asked) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (mut near, _) = accepted.unwrap();
                        let mut far = TcpStream::connect(&target).await.unwrap();
                        connections.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
                    }
                    Some(done) = asked.recv() => {
                        connections.shutdown().await;
                        let _ = done.send(());
                    }
                }
            }
        });
        Self { url, cut }
    }

    async fn cut(&self) {
        let (done, waiting) = tokio::sync::oneshot::channel();
        self.cut.send(done).await.unwrap();
        waiting.await.unwrap();
    }
}
