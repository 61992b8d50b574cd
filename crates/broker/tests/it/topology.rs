//! Declaring, checking and importing the topology.

use crate::support::Fixture;
use automation_broker::management::Management;
use automation_broker::topology::{ApplyError, Difference, Report, Topology, WORK};
use automation_test_support::broker::TestVhost;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

impl Fixture {
    async fn check(&self) -> Report {
        Topology::standard().check(&self.management, self.vhost.name()).await.unwrap()
    }
}

#[tokio::test]
async fn applying_twice_changes_nothing_and_the_check_is_clean() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.check().await, Report::default());
    Topology::standard().apply(fixture.vhost.amqp_url()).await.unwrap();
    assert_eq!(fixture.check().await, Report::default());
}

#[tokio::test]
async fn imported_definitions_are_the_same_topology() {
    let vhost = TestVhost::create().await.unwrap();
    let management = Management::new(vhost.management_url()).unwrap();
    management.import(&Topology::standard().export(vhost.name())).await.unwrap();
    let report = Topology::standard().check(&management, vhost.name()).await.unwrap();
    assert!(report.is_clean(), "{report}");
    // Arguments count by value: what was imported can be declared again.
    Topology::standard().apply(vhost.amqp_url()).await.unwrap();
}

#[tokio::test]
async fn the_check_finds_what_is_missing_different_or_too_much() {
    let fixture = Fixture::new().await;
    let channel = fixture.channel().await;
    for queue in ["automation.dead", "automation.work.low"] {
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(5));
    for queue in ["automation.dead", "automation.stray"] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments.clone()).await.unwrap();
    }
    channel
        .queue_unbind("automation.work.high".into(), WORK.into(), "high".into(), FieldTable::default())
        .await
        .unwrap();

    let report = fixture.check().await;
    let difference = Difference {
        object: "queue automation.dead".to_owned(),
        field: "x-delivery-limit".to_owned(),
        expected: json!(1_000_000),
        actual: json!(5),
    };
    assert_eq!(report.differences, [difference]);
    assert_eq!(report.unexpected, ["queue automation.stray"]);
    let missing = [
        "queue automation.work.low",
        "binding automation.dlx -[high]-> automation.dead",
        "binding automation.dlx -[low]-> automation.dead",
        "binding automation.dlx -[medium]-> automation.dead",
        "binding automation.work -[high]-> automation.work.high",
        "binding automation.work -[low]-> automation.work.low",
    ];
    assert_eq!(report.missing, missing);
}

#[tokio::test]
async fn the_check_finds_a_policy_that_would_destroy_messages() {
    let fixture = Fixture::new().await;
    let policy = json!({
        "policies": [{
            "vhost": fixture.vhost.name(), "name": "short-lived", "pattern": "^automation\\.dead$",
            "apply-to": "queues", "priority": 0, "definition": { "message-ttl": 1000 },
        }],
    });
    fixture.management.import(&policy).await.unwrap();
    let difference = Difference {
        object: "policy short-lived".to_owned(),
        field: "message-ttl".to_owned(),
        expected: Value::Null,
        actual: json!(1000),
    };
    assert_eq!(fixture.check().await.differences, [difference]);
}

#[tokio::test]
async fn a_queue_with_other_arguments_is_named_by_apply() {
    let vhost = TestVhost::create().await.unwrap();
    let fixture = lapin::Connection::connect(vhost.amqp_url(), Default::default()).await.unwrap();
    let channel = fixture.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel
        .queue_declare("automation.parking".into(), QueueDeclareOptions::durable(), arguments)
        .await
        .unwrap();
    let error = Topology::standard().apply(vhost.amqp_url()).await.unwrap_err();
    let ApplyError::Declare { object, source } = error else { panic!("{error}") };
    assert_eq!(object, "queue automation.parking");
    assert!(source.to_string().contains("PRECONDITION_FAILED"), "{source}");
}
