//! What users may and may not do.

use crate::support::{Fixture, PATIENCE, nudge};
use automation_broker::consumer::{Acker, Consumer, ConsumerConfig, ConsumerHealth, QueueSpec};
use automation_broker::permissions;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::retry::DELAY_HEADER;
use automation_broker::topology::{DEAD, EVENTS, PARKING, RETRY, Topology, ingest_queue};
use automation_domain::priority::Priority;
use std::collections::BTreeMap;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A user of the broker, named after the virtual host so that no two tests share one.
struct User<'a> {
    fixture: &'a Fixture,
    name: String,
    url: String,
}

impl<'a> User<'a> {
    async fn new(
        fixture: &'a Fixture,
        (rights, topic): (permissions::Permissions, permissions::TopicPermissions),
    ) -> Self {
        let (management, vhost) = (&fixture.management, fixture.vhost.name());
        let name = format!("user-{vhost}");
        management.create_user(&name, "secret").await.unwrap();
        management.set_permissions(vhost, &name, &rights).await.unwrap();
        management.set_topic_permissions(vhost, &name, &topic).await.unwrap();
        let url = fixture.vhost.amqp_url_as(&name, "secret").unwrap();
        Self { fixture, name, url }
    }

    async fn refused(&self, message: Message) -> bool {
        let publisher = Publisher::connect(&self.url, "test user").await.unwrap();
        let outcome = publisher.publish_all(vec![message]).await;
        publisher.close().await;
        outcome.is_err_and(|error| error.to_string().contains("ACCESS_REFUSED"))
    }

    async fn delete(self) {
        self.fixture.management.delete_user(&self.name).await.unwrap();
    }
}

fn to(exchange: &str, routing_key: &str) -> Message {
    Message { exchange: exchange.to_owned(), routing_key: routing_key.to_owned(), ..nudge(Priority::High, 0) }
}

#[tokio::test]
async fn a_publisher_may_send_its_own_events_and_nothing_else() {
    let fixture = Fixture::new().await;
    let user = User::new(&fixture, permissions::publisher(r"^deal\.")).await;
    let publisher = Publisher::connect(&user.url, "test user").await.unwrap();
    let own = Message { user_id: Some(user.name.clone()), ..to(EVENTS, "deal.won") };
    publisher.publish_all(vec![own]).await.unwrap();
    publisher.close().await;
    assert_eq!(fixture.ready(ingest_queue(Priority::High)).await, 1);

    for (exchange, routing_key) in [
        (EVENTS, "order.created"),
        ("automation.work", "high"),
        ("automation.retry", "high"),
        ("automation.commands", "popup.show"),
        ("automation.custom", ""),
        ("automation.dlx", "parking"),
        ("", "automation.ingest.high"),
        ("amq.topic", "deal.won"),
    ] {
        assert!(user.refused(to(exchange, routing_key)).await, "{exchange} {routing_key}");
    }
    assert!(Topology::standard().apply(&user.url).await.is_err(), "it may not declare");
    user.delete().await;
}

#[tokio::test]
async fn the_engine_may_publish_and_consume_but_not_declare() {
    let fixture = Fixture::new().await;
    let user = User::new(&fixture, permissions::engine()).await;
    let publisher = Publisher::connect(&user.url, "test user").await.unwrap();
    let messages = [
        (EVENTS, "deal.won"),
        ("automation.work", "high"),
        ("automation.dlx", "parking"),
        ("automation.commands", "popup.show"),
    ];
    publisher.publish_all(messages.map(|(exchange, key)| to(exchange, key)).to_vec()).await.unwrap();
    let minute = BTreeMap::from([(DELAY_HEADER.to_owned(), "60000".to_owned())]);
    publisher.publish_all(vec![Message { headers: minute, ..to(RETRY, "high") }]).await.unwrap();
    publisher.close().await;

    let queues = ["automation.ingest.high", "automation.work.high", DEAD, PARKING]
        .map(|queue| QueueSpec::new(queue, 1));
    let config = ConsumerConfig::new(&user.url, "test user", queues.to_vec());
    let (consumer, mut deliveries) = Consumer::spawn(config, CancellationToken::new());
    for index in [0, 1, 3] {
        let delivery = timeout(PATIENCE, deliveries[index].recv()).await.unwrap().unwrap();
        assert_eq!(Acker::ack_all(vec![delivery]).await.settled, 1);
    }
    consumer.close().await;
    assert!(Topology::standard().apply(&user.url).await.is_err(), "it may not declare");
    user.delete().await;
}

#[tokio::test]
async fn the_door_may_publish_events_and_nothing_else() {
    let fixture = Fixture::new().await;
    let user = User::new(&fixture, permissions::door()).await;
    let publisher = Publisher::connect(&user.url, "test user").await.unwrap();
    publisher.publish_all(vec![to(EVENTS, "deal.won"), to(EVENTS, "my.own")]).await.unwrap();
    publisher.close().await;
    for (exchange, routing_key) in [
        ("automation.work", "high"),
        ("automation.retry", "high"),
        ("automation.commands", "popup.show"),
        ("automation.dlx", "parking"),
        ("", "automation.ingest.high"),
    ] {
        assert!(user.refused(to(exchange, routing_key)).await, "{exchange} {routing_key}");
    }
    let queue = QueueSpec::new("automation.ingest.high", 1);
    let config = ConsumerConfig::new(&user.url, "test user", vec![queue]);
    let (consumer, _deliveries) = Consumer::spawn(config, CancellationToken::new());
    let mut health = consumer.health();
    let begins = health.wait_for(|health| matches!(health, ConsumerHealth::Consuming { .. }));
    assert!(timeout(std::time::Duration::from_secs(1), begins).await.is_err(), "it may not read");
    consumer.close().await;
    assert!(Topology::standard().apply(&user.url).await.is_err(), "it may not declare");
    user.delete().await;
}

#[tokio::test]
async fn exported_permissions_can_be_imported_once_the_users_exist() {
    let fixture = Fixture::new().await;
    let vhost = fixture.vhost.name();
    // Under names of their own: users belong to the whole broker, and other tests run beside this one.
    let mut export = Topology::standard().export_permissions(vhost).to_string();
    let users =
        [permissions::ENGINE_USER, permissions::DOOR_USER].map(|user| (user, format!("{user}-{vhost}")));
    for (user, name) in &users {
        fixture.management.create_user(name, "secret").await.unwrap();
        export = export.replace(&format!("\"{user}\""), &format!("\"{name}\""));
    }
    fixture.management.import(&serde_json::from_str(&export).unwrap()).await.unwrap();
    for (_, name) in users {
        let url = fixture.vhost.amqp_url_as(&name, "secret").unwrap();
        let publisher = Publisher::connect(&url, "test user").await.unwrap();
        publisher.publish_all(vec![to(EVENTS, "deal.won")]).await.unwrap();
        publisher.close().await;
        fixture.management.delete_user(&name).await.unwrap();
    }
}
