//! Nudges that are due later, and commands that nobody takes.

use crate::support::{Fixture, eventually};
use automation_broker::consumer::Acker;
use automation_broker::publisher::{Message, PublishError};
use automation_broker::topology::{COMMANDS, RETRY, Topology, UNCLAIMED, WORK, wait_queue, work_queue};
use automation_broker::{nudge, retry};
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::priority::Priority;
use automation_domain::rungs::Rungs;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

fn rungs(text: &str) -> Rungs {
    text.parse().unwrap()
}

fn run(number: u128) -> RunKey {
    (TenantId(Uuid::from_u128(1)), RunId(Uuid::from_u128(number)))
}

fn messages(rungs: &Rungs, runs: &[(Priority, u64)]) -> Vec<Message> {
    let runs: Vec<_> = runs
        .iter()
        .enumerate()
        .map(|(number, (priority, millis))| {
            let (tenant, run) = run(number as u128);
            (*priority, Duration::from_millis(*millis), tenant, run)
        })
        .collect();
    retry::messages(rungs, &runs, || Uuid::new_v4().to_string())
}

#[tokio::test]
async fn a_nudge_waits_on_its_rung_and_comes_back_to_work_with_its_priority() {
    let rungs = rungs("300ms,1s");
    let fixture = Fixture::with(&Topology::with_rungs(&rungs)).await;
    let publisher = fixture.publisher().await;
    let (consumer, mut deliveries) = fixture.consumer_of(&Priority::ALL, 10);
    let begun = Instant::now();
    let runs = [(Priority::Low, 1000), (Priority::High, 300), (Priority::Medium, 300)];
    publisher.publish_all(messages(&rungs, &runs)).await.unwrap();

    let mut came = Vec::new();
    for (index, priority) in Priority::ALL.into_iter().enumerate() {
        let delivery = eventually(async || deliveries[index].try_recv()).await.unwrap();
        assert_eq!(
            (delivery.queue.as_str(), delivery.routing_key.as_str()),
            (work_queue(priority), priority.as_str())
        );
        came.push((nudge::decode(&delivery.body).unwrap(), begun.elapsed()));
        Acker::ack_all(vec![delivery]).await;
    }
    let runs: Vec<_> = came.iter().map(|(runs, _)| runs.clone()).collect();
    assert_eq!(runs, [vec![run(1)], vec![run(2)], vec![run(0)]]);
    assert!(came[0].1 >= Duration::from_millis(300) && came[2].1 >= Duration::from_secs(1), "{came:?}");
    consumer.close().await;
    for delay in rungs.delays() {
        assert_eq!(fixture.ready(&wait_queue(*delay)).await, 0);
    }
}

#[tokio::test]
async fn a_nudge_for_a_rung_that_the_broker_does_not_have_is_returned() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let unknown = messages(&rungs("7s"), &[(Priority::High, 7_000)]);
    let error = publisher.publish_all(unknown).await.unwrap_err();
    let PublishError::Unconfirmed(unconfirmed) = &error else { panic!("{error}") };
    assert_eq!(unconfirmed.returned, [0]);
}

#[tokio::test]
async fn a_nudge_whose_target_is_gone_stays_in_its_wait_queue() {
    let rungs = rungs("200ms");
    let fixture = Fixture::with(&Topology::with_rungs(&rungs)).await;
    let channel = fixture.channel().await;
    let (queue, key) = (work_queue(Priority::High), "high");
    channel.queue_unbind(queue.into(), WORK.into(), key.into(), FieldTable::default()).await.unwrap();
    let publisher = fixture.publisher().await;
    publisher.publish_all(messages(&rungs, &[(Priority::High, 200)])).await.unwrap();

    let wait = wait_queue(Duration::from_millis(200));
    let kept = eventually(async || {
        let queues = fixture.management.queues(fixture.vhost.name()).await.unwrap();
        let queue = queues.into_iter().find(|queue| queue.name == wait)?;
        (queue.messages_dlx == 1).then_some(queue)
    });
    let kept = kept.await.expect("the dead letter is kept, and counted");
    assert!(!kept.is_empty());
    assert_eq!(fixture.ready(queue).await, 0);
}

#[tokio::test]
async fn the_check_finds_a_wait_queue_with_another_time_and_a_binding_with_another_delay() {
    let rungs = rungs("1s,2s");
    let topology = Topology::with_rungs(&rungs);
    let fixture = Fixture::with(&topology).await;
    let channel = fixture.channel().await;
    let wait = wait_queue(Duration::from_secs(1));
    channel.queue_delete(wait.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-exchange", WORK),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(1_500));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000_000));
    channel.queue_declare(wait.as_str().into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    let mut headers = FieldTable::default();
    headers.insert("automation-delay-ms".into(), AMQPValue::LongString("1500".into()));
    headers.insert("x-match".into(), AMQPValue::LongString("all".into()));
    channel
        .queue_bind(wait.as_str().into(), RETRY.into(), "".into(), Default::default(), headers)
        .await
        .unwrap();

    let report = topology.check(&fixture.management, fixture.vhost.name()).await.unwrap();
    let different: Vec<_> = report
        .differences
        .iter()
        .map(|one| (one.object.as_str(), one.field.as_str(), one.expected.clone(), one.actual.clone()))
        .collect();
    assert_eq!(different, [("queue automation.wait.1000", "x-message-ttl", json!(1_000), json!(1_500))]);
    let line = |millis| {
        format!("binding automation.retry -[automation-delay-ms={millis} x-match=all]-> automation.wait.1000")
    };
    assert_eq!(report.missing, [line(1_000)]);
    assert_eq!(report.unexpected, [line(1_500)]);
}

#[tokio::test]
async fn a_ladder_that_changed_drains_its_old_rungs_and_deletes_them_when_they_are_empty() {
    let (old, new) = (rungs("1s,3s"), rungs("1s,2s"));
    let fixture = Fixture::with(&Topology::with_rungs(&old)).await;
    let publisher = fixture.publisher().await;
    publisher.publish_all(messages(&old, &[(Priority::High, 3_000)])).await.unwrap();

    let topology = Topology::with_rungs(&new);
    topology.apply(fixture.vhost.amqp_url()).await.unwrap();
    let retire = async || {
        topology.retire(&fixture.management, fixture.vhost.name(), fixture.vhost.amqp_url()).await.unwrap()
    };
    let first = retire().await;
    assert_eq!(
        (first.draining.as_slice(), first.deleted.len()),
        (["automation.wait.3000".to_owned()].as_slice(), 0)
    );
    let refused = publisher.publish_all(messages(&old, &[(Priority::High, 3_000)])).await;
    assert!(refused.is_err(), "nothing comes into a rung that is retired");

    let deleted = eventually(async || {
        let round = retire().await;
        (!round.deleted.is_empty()).then_some(round.deleted)
    });
    assert_eq!(deleted.await.unwrap(), ["automation.wait.3000"]);
    // What waited came back to work first.
    assert_eq!(fixture.ready(work_queue(Priority::High)).await, 1);
    let report = topology.check(&fixture.management, fixture.vhost.name()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn commands_go_to_the_queue_of_a_module_and_else_to_the_unclaimed_ones() {
    let fixture = Fixture::new().await;
    let channel = fixture.channel().await;
    channel
        .queue_declare("screens".into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await
        .unwrap();
    channel
        .queue_bind(
            "screens".into(),
            COMMANDS.into(),
            "popup.*".into(),
            Default::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let command = |key: &str| Message {
        exchange: COMMANDS.to_owned(),
        routing_key: key.to_owned(),
        content_type: "application/cloudevents+json".to_owned(),
        message_id: key.to_owned(),
        ..Message::default()
    };
    let publisher = fixture.publisher().await;
    publisher.publish_all(vec![command("popup.show"), command("funnel.redirect")]).await.unwrap();
    assert_eq!((fixture.ready("screens").await, fixture.ready(UNCLAIMED).await), (1, 1));
    // A module's own binding is no drift.
    let report = Topology::standard().check(&fixture.management, fixture.vhost.name()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
