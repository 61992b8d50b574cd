//! The program itself, against a real broker.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use automation_test_support::broker::TestVhost;
use lapin::options::{BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Output;
use tokio::process::Command;

const EXCHANGE: &str = "automation.events";
const QUEUE: &str = "inbox";

async fn connect(vhost: &TestVhost) -> (Connection, Channel) {
    let connection = Connection::connect(vhost.amqp_url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, none).await.unwrap();
    (connection, channel)
}

async fn listen(channel: &Channel) {
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::default(), FieldTable::default()).await.unwrap();
    let options = QueueBindOptions::default();
    channel
        .queue_bind(QUEUE.into(), EXCHANGE.into(), "#".into(), options, FieldTable::default())
        .await
        .unwrap();
}

async fn run(vhost: &TestVhost, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-shop"));
    command.args(arguments).env("AMQP_URL", vhost.amqp_url()).env("AUTOMATION_TENANT", "acme");
    command.output().await.unwrap()
}

async fn documents(channel: &Channel) -> (usize, Vec<Value>) {
    let (mut messages, mut documents) = (0, Vec::new());
    while let Some(message) = channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await.unwrap()
    {
        messages += 1;
        let body: Value = serde_json::from_slice(&message.delivery.data).unwrap();
        match body.as_array() {
            Some(members) => documents.extend_from_slice(members),
            None => documents.push(body),
        }
    }
    (messages, documents)
}

#[tokio::test]
async fn what_it_says_it_published_is_in_the_queue() {
    let vhost = TestVhost::create().await.unwrap();
    let (_connection, channel) = connect(&vhost).await;
    listen(&channel).await;
    let output = run(&vhost, &["--events", "300", "--json"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["published"], &report["confirmed"]), (&Value::from(300), &Value::from(300)));

    let (messages, documents) = documents(&channel).await;
    assert_eq!((messages, documents.len()), (300, 300));
    let ids: BTreeSet<&str> = documents.iter().map(|document| document["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 300);
    for (event_type, count) in report["types"].as_object().unwrap() {
        let found = documents.iter().filter(|document| document["type"] == event_type.as_str()).count();
        assert_eq!(count["confirmed"], found, "{event_type}");
    }
    assert!(documents.iter().all(|document| document["tenantid"] == "acme"));
}

#[tokio::test]
async fn batches_take_fewer_messages() {
    let vhost = TestVhost::create().await.unwrap();
    let (_connection, channel) = connect(&vhost).await;
    listen(&channel).await;
    let output = run(&vhost, &["--events", "500", "--batch", "500"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("page.visited"), "{text}");
    let (messages, documents) = documents(&channel).await;
    assert_eq!(documents.len(), 500);
    assert!(messages < 20, "{messages} messages");
}

#[tokio::test]
async fn an_event_that_nobody_takes_is_a_failure() {
    let vhost = TestVhost::create().await.unwrap();
    let (_connection, _channel) = connect(&vhost).await;
    let output = run(&vhost, &["--events", "3"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("first error: no queue takes events of type"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("3 of 3 events are not confirmed"));
}
