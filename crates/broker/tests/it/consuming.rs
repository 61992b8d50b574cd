//! Consuming, acknowledging, draining and coming back.

use crate::support::{Fixture, PATIENCE, consuming, nudge, nudges, number, receive_all};
use automation_broker::consumer::{
    Acker, Batch, Consumer, ConsumerHealth, Deliveries, Delivery, HeldBytes, PRIORITY_WEIGHTS, QueueSpec,
    Settled, WeightedReceiver,
};
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::{Topology, work_queue};
use automation_domain::priority::Priority;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

const QUEUE: &str = "automation.work.high";

#[tokio::test]
async fn a_consumer_whose_connection_is_killed_comes_back_and_gets_everything() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let (consumer, mut deliveries) = fixture.consumer(20);
    publisher.publish_all(nudges(0..200)).await.unwrap();
    let mut seen = BTreeSet::new();
    let mut held = Vec::new();
    for _ in 0..10 {
        let delivery = deliveries.recv().await.unwrap();
        seen.insert(number(&delivery.body));
        held.push(delivery);
    }
    fixture.kill_consumer_connection().await;
    publisher.publish_all(nudges(200..400)).await.unwrap();
    let mut health = consumer.health();
    timeout(PATIENCE, health.wait_for(|_| consumer.reconnects() > 0)).await.unwrap().unwrap();

    // What was held across the loss cannot be acknowledged, and that is no error.
    assert_eq!(Acker::ack_all(held).await, Settled { settled: 0, redelivered: 10 });
    let again = receive_all(&mut deliveries, 400).await;
    assert_eq!(again, (0..400).collect());
    assert!(again.is_superset(&seen));
    consumer.close().await;
    assert_eq!(fixture.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn a_consumer_notices_that_its_queue_is_gone_and_comes_back_when_it_is_declared() {
    let fixture = Fixture::new().await;
    let (consumer, mut deliveries) = fixture.consumer(20);
    consuming(&consumer).await;
    let channel = fixture.channel().await;
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await.unwrap();
    let mut health = consumer.health();
    let noticed = health.wait_for(|health| *health == ConsumerHealth::Connecting);
    timeout(PATIENCE, noticed).await.unwrap().unwrap();

    Topology::standard().apply(fixture.vhost.amqp_url()).await.unwrap();
    consuming(&consumer).await;
    fixture.publisher().await.publish_all(nudges(0..10)).await.unwrap();
    assert_eq!(receive_all(&mut deliveries, 10).await.len(), 10);
    assert!(consumer.reconnects() > 0);
}

#[tokio::test]
async fn an_acknowledgement_of_some_leaves_the_others_to_be_delivered_again() {
    let fixture = Fixture::new().await;
    fixture.publisher().await.publish_all(nudges(0..10)).await.unwrap();
    let (consumer, mut deliveries) = fixture.consumer(10);
    let mut all = Vec::new();
    while all.len() < 10 {
        all.push(deliveries.recv().await.unwrap());
    }
    // The first three go in one frame; 5 and 7 stand behind open ones.
    let (done, open): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|delivery| [0, 1, 2, 5, 7].contains(&number(&delivery.body)));
    assert_eq!(Acker::ack_all(done).await, Settled { settled: 5, redelivered: 0 });
    let (requeued, kept): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|delivery| number(&delivery.body) == 3);
    assert_eq!(Acker::nack_requeue(requeued).await, Settled { settled: 1, redelivered: 0 });
    let back = deliveries.recv().await.unwrap();
    assert_eq!((number(&back.body), back.redelivered), (3, true));
    assert_eq!(kept.len(), 4);
    consumer.close().await;
    fixture.wait_until_ready(QUEUE, 5).await;
}

#[tokio::test]
async fn what_is_done_is_acknowledged_together_with_others_and_at_the_latest_when_the_consumer_is_closed() {
    let fixture = Fixture::new().await;
    fixture.publisher().await.publish_all(nudges(0..50)).await.unwrap();
    let (consumer, mut deliveries) = fixture.consumer(20);
    // More than may be outstanding: the last ones come only because the first are acknowledged.
    for _ in 0..50 {
        let delivery = timeout(PATIENCE, deliveries.recv()).await.unwrap().unwrap();
        Acker::ack_soon(vec![delivery]).await;
    }
    consumer.close().await;
    assert_eq!(fixture.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn what_is_done_is_acknowledged_soon_although_nothing_follows() {
    let fixture = Fixture::new().await;
    fixture.publisher().await.publish_all(nudges(0..1)).await.unwrap();
    let (_consumer, mut deliveries) = fixture.consumer(100);
    let delivery = deliveries.recv().await.unwrap();
    fixture.wait_until_unacknowledged(QUEUE, 1).await;
    Acker::ack_soon(vec![delivery]).await;
    fixture.wait_until_unacknowledged(QUEUE, 0).await;
}

/// Holds four deliveries of any size, and up to a hundred within 64,000 bytes.
fn consumer_by_bytes(fixture: &Fixture) -> (Consumer, Deliveries) {
    let held_bytes = Some(HeldBytes { most: 64_000, any_size: 4 });
    let queues = vec![QueueSpec { queue: QUEUE.to_owned(), prefetch: 100, held_bytes }];
    let (consumer, mut deliveries) = fixture.consumer_with(queues);
    (consumer, deliveries.remove(0))
}

/// Nudges of 16,000 bytes.
fn large_nudges(numbers: std::ops::Range<usize>) -> Vec<Message> {
    let mut messages = nudges(numbers);
    for message in &mut messages {
        message.body = format!("{:0>16000}", number(&message.body)).into_bytes();
    }
    messages
}

/// Fifty small messages that are not acknowledged, after as many as it takes to fetch them ahead.
async fn small_ones_in_hand(publisher: &Publisher, deliveries: &mut Deliveries) -> Vec<Delivery> {
    publisher.publish_all(nudges(0..150)).await.unwrap();
    assert_eq!(receive_all(deliveries, 100).await.len(), 100);
    let mut in_hand = Vec::new();
    while in_hand.len() < 50 {
        in_hand.push(timeout(PATIENCE, deliveries.recv()).await.unwrap().unwrap());
    }
    in_hand
}

#[tokio::test]
async fn many_small_messages_are_fetched_ahead_and_few_large_ones() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let (consumer, mut deliveries) = consumer_by_bytes(&fixture);
    publisher.publish_all(large_nudges(0..20)).await.unwrap();
    fixture.wait_until_ready(QUEUE, 16).await;
    assert_eq!(receive_all(&mut deliveries, 20).await.len(), 20);

    publisher.publish_all(nudges(0..400)).await.unwrap();
    assert_eq!(receive_all(&mut deliveries, 150).await.len(), 150);
    fixture.wait_until_ready(QUEUE, 150).await;
    assert_eq!(receive_all(&mut deliveries, 250).await.len(), 250);

    // There is room for all of them, by number. Too many bytes give all but the four back.
    publisher.publish_all(large_nudges(0..40)).await.unwrap();
    fixture.wait_until_unacknowledged(QUEUE, 4).await;
    assert_eq!(fixture.ready(QUEUE).await, 36);
    assert_eq!(receive_all(&mut deliveries, 40).await.len(), 40);

    // As many small ones as may be fetched ahead, and they are fetched ahead again.
    publisher.publish_all(nudges(0..300)).await.unwrap();
    assert_eq!(receive_all(&mut deliveries, 200).await.len(), 200);
    fixture.wait_until_ready(QUEUE, 0).await;
    assert_eq!(receive_all(&mut deliveries, 100).await.len(), 100);
    assert_eq!(consumer.reconnects(), 0);
    consumer.close().await;
    assert_eq!(fixture.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn what_was_in_hand_when_messages_became_large_comes_again_and_nothing_is_lost() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let (consumer, mut deliveries) = consumer_by_bytes(&fixture);
    let in_hand = small_ones_in_hand(&publisher, &mut deliveries).await;
    publisher.publish_all(large_nudges(150..190)).await.unwrap();
    // Of the few, some may be in hand.
    fixture.wait_until_unacknowledged(QUEUE, 4).await;

    let numbers: Vec<_> = in_hand.iter().map(|delivery| number(&delivery.body)).collect();
    let Settled { settled, redelivered } = Acker::ack_all(in_hand).await;
    assert!(settled <= 4, "{settled} were acknowledged");
    assert_eq!(settled + redelivered, 50);
    let again = receive_all(&mut deliveries, redelivered + 40).await;
    assert_eq!(again.len(), redelivered + 40);
    assert!((150..190).all(|number| again.contains(&number)));
    assert_eq!(numbers.iter().filter(|number| again.contains(number)).count(), redelivered);
    assert_eq!(consumer.reconnects(), 0);
    consumer.close().await;
    assert_eq!(fixture.ready(QUEUE).await, 0);
}

#[tokio::test]
async fn a_drain_ends_what_is_fetched_ahead_too() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let (consumer, mut deliveries) = consumer_by_bytes(&fixture);
    let in_hand = small_ones_in_hand(&publisher, &mut deliveries).await;
    consumer.drain();
    let mut health = consumer.health();
    health.wait_for(|health| *health == ConsumerHealth::Draining).await.unwrap();
    publisher.publish_all(nudges(150..160)).await.unwrap();
    assert_eq!(fixture.ready(QUEUE).await, 10);
    let (soon, now) = in_hand.into_iter().partition(|delivery| number(&delivery.body).is_multiple_of(5));
    Acker::ack_soon(soon).await;
    assert_eq!(Acker::ack_all(now).await, Settled { settled: 40, redelivered: 0 });
    consumer.close().await;
    fixture.wait_until_ready(QUEUE, 10).await;
}

#[tokio::test]
async fn a_message_has_the_same_headers_however_often_it_is_delivered() {
    let fixture = Fixture::new().await;
    let mut message = nudge(Priority::High, 1);
    message.headers.insert("cloudevents:id".to_owned(), "e-1".to_owned());
    fixture.publisher().await.publish_all(vec![message]).await.unwrap();
    let (_consumer, mut deliveries) = fixture.consumer(1);
    let first = deliveries.recv().await.unwrap();
    let headers = first.headers.clone();
    assert_eq!(headers["cloudevents:id"], "e-1");
    Acker::nack_requeue(vec![first]).await;
    let second = deliveries.recv().await.unwrap();
    assert!(second.redelivered);
    assert_eq!(second.headers, headers);
}

#[tokio::test]
async fn what_a_publisher_says_in_the_brokers_types_is_read_as_text() {
    let fixture = Fixture::new().await;
    let mut headers = FieldTable::default();
    headers.insert("cloudEvents:time".into(), AMQPValue::Timestamp(1_790_000_000));
    headers.insert("cloudEvents:id".into(), AMQPValue::ByteArray(b"e-1".to_vec().into()));
    headers.insert("cloudEvents:causationdepth".into(), AMQPValue::LongLongInt(3));
    headers.insert("cloudEvents:subject".into(), AMQPValue::FieldArray(FieldArray::default()));
    let properties = BasicProperties::default().with_headers(headers).with_content_encoding("gzip".into());
    let channel = fixture.channel().await;
    let sent =
        channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), b"{}", properties);
    sent.await.unwrap().await.unwrap();
    let (_consumer, mut deliveries) = fixture.consumer(1);
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!(delivery.content_encoding.as_deref(), Some("gzip"));
    let header = |name: &str| delivery.headers.get(&format!("cloudevents:{name}")).map(String::as_str);
    assert_eq!(header("time"), Some("2026-09-21T14:13:20Z"));
    assert_eq!((header("id"), header("causationdepth"), header("subject")), (Some("e-1"), Some("3"), None));
    assert_eq!(delivery.opaque_headers["cloudevents:subject"], "a list");
}

#[tokio::test]
async fn settling_from_many_tasks_at_once_settles_each_delivery_once() {
    let fixture = Fixture::new().await;
    fixture.publisher().await.publish_all(nudges(0..600)).await.unwrap();
    let (consumer, mut deliveries) = fixture.consumer(600);
    let mut hands: Vec<Vec<_>> = (0..6).map(|_| Vec::new()).collect();
    for turn in 0..600 {
        hands[turn * 7 % 6].push(deliveries.recv().await.unwrap());
    }
    let tasks = hands.into_iter().flat_map(|mut hand| {
        let rest = hand.split_off(hand.len() / 2);
        [hand, rest].map(|part| tokio::spawn(Acker::ack_all(part)))
    });
    let outcomes = futures_util::future::try_join_all(tasks).await.unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.settled).sum::<usize>(), 600);
    assert_eq!(consumer.reconnects(), 0);
    consumer.close().await;
    fixture.wait_until_ready(QUEUE, 0).await;
}

#[tokio::test]
async fn a_drain_leaves_exactly_the_unprocessed_messages_in_the_queue() {
    let fixture = Fixture::new().await;
    fixture.publisher().await.publish_all(nudges(0..50)).await.unwrap();
    let (consumer, mut deliveries) = fixture.consumer(10);
    let mut in_hand = Vec::new();
    for _ in 0..3 {
        in_hand.push(deliveries.recv().await.unwrap());
    }
    consumer.drain();
    assert!(deliveries.recv().await.is_none(), "what was fetched ahead is not handed out any more");
    let mut health = consumer.health();
    let draining = health.wait_for(|health| *health == ConsumerHealth::Draining);
    timeout(PATIENCE, draining).await.unwrap().unwrap();
    assert_eq!(Acker::ack_all(in_hand).await, Settled { settled: 3, redelivered: 0 });
    consumer.close().await;
    fixture.wait_until_ready(QUEUE, 47).await;
}

#[tokio::test]
async fn a_batch_takes_what_is_there_and_closes_at_once() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let (_consumer, mut deliveries) = fixture.consumer(100);
    publisher.publish_all(nudges(0..30)).await.unwrap();
    let full = Batch::collect(&mut deliveries, 20, PATIENCE).await.unwrap();
    assert_eq!(full.len(), 20);
    let lingering = Batch::collect(&mut deliveries, 10, PATIENCE).await.unwrap();
    assert_eq!(lingering.len(), 10);
    publisher.publish_all(nudges(30..31)).await.unwrap();
    let alone =
        timeout(PATIENCE, Batch::collect(&mut deliveries, 20, Duration::ZERO)).await.unwrap().unwrap();
    assert_eq!(alone.len(), 1);
}

#[tokio::test]
async fn a_flood_of_high_priority_does_not_starve_low() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let flood = |priority| (0..100).map(move |number| nudge(priority, number));
    publisher.publish_all(Priority::ALL.into_iter().flat_map(flood).collect()).await.unwrap();
    let (consumer, deliveries) = fixture.consumer_of(&Priority::ALL, 100);
    for priority in Priority::ALL {
        fixture.wait_until_ready(work_queue(priority), 0).await;
    }
    let mut receiver = WeightedReceiver::new(deliveries, PRIORITY_WEIGHTS);
    let mut of_low = 0;
    let mut taken = 0;
    while taken < 300 {
        let batch = timeout(PATIENCE, receiver.recv_batch(17)).await.unwrap().unwrap();
        taken += batch.len();
        if taken <= 119 {
            of_low += batch.iter().filter(|delivery| delivery.queue == work_queue(Priority::Low)).count();
        }
        Acker::ack_all(batch).await;
    }
    assert!(of_low > 0);
    consumer.drain();
    assert!(receiver.recv_batch(17).await.is_none());
}

#[tokio::test]
async fn a_delivery_tells_what_was_published() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let message = Message {
        headers: [("Traceparent".to_owned(), "00-1".to_owned()), ("x-death".to_owned(), "forged".to_owned())]
            .into(),
        timestamp: Some(1_700_000_000),
        ..nudge(Priority::High, 7)
    };
    publisher.publish_all(vec![message]).await.unwrap();
    let (_consumer, mut deliveries) = fixture.consumer(1);
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!(delivery.queue, QUEUE);
    assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("automation.work", "high"));
    assert_eq!(delivery.content_type.as_deref(), Some("text/plain"));
    assert_eq!(delivery.message_id.as_deref(), Some("7"));
    assert_eq!(delivery.headers, [("traceparent".to_owned(), "00-1".to_owned())].into());
    assert_eq!((delivery.user_id.as_deref(), delivery.redelivered), (None, false));
    assert!(delivery.deaths.is_empty());
}
