//! Publishing with confirms.

use crate::support::{Fixture, nudge, nudges, receive_all};
use automation_broker::publisher::{Message, PublishError, PublisherState, Unconfirmed};
use automation_broker::topology::{CUSTOM, EVENTS, ingest_queue, work_queue};
use automation_domain::catalogue;
use automation_domain::priority::Priority;

#[tokio::test]
async fn a_thousand_published_messages_arrive_once_each() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    publisher.publish_all(nudges(0..1000)).await.unwrap();
    assert_eq!(fixture.ready(work_queue(Priority::High)).await, 1000);

    let (consumer, mut deliveries) = fixture.consumer(100);
    assert_eq!(receive_all(&mut deliveries, 1000).await.len(), 1000);
    consumer.close().await;
    assert_eq!(fixture.ready(work_queue(Priority::High)).await, 0);
    publisher.close().await;
    assert_eq!(publisher.state(), PublisherState::Closed);
}

#[tokio::test]
async fn a_message_that_no_queue_takes_is_a_failure_and_the_rest_of_its_batch_is_confirmed() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let mut batch = nudges(0..5);
    batch[3].routing_key = "nobody".to_owned();
    let error = publisher.publish_all(batch).await.unwrap_err();
    assert_eq!(error.unconfirmed(5), [3]);
    let PublishError::Unconfirmed(Unconfirmed { returned, .. }) = error else { panic!("{error}") };
    assert_eq!(returned, [3]);
    assert_eq!(fixture.ready(work_queue(Priority::High)).await, 4);
    publisher.publish_all(nudges(5..6)).await.unwrap();
}

#[tokio::test]
async fn an_exchange_that_does_not_exist_leaves_everything_unknown_and_the_publisher_usable() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let lost = Message { exchange: "automation.nowhere".to_owned(), ..nudge(Priority::High, 0) };
    let error = publisher.publish_all(vec![lost.clone(), lost]).await.unwrap_err();
    assert_eq!(error.unconfirmed(2), [0, 1]);
    assert!(error.to_string().contains("no exchange"), "{error}");
    publisher.publish_all(nudges(0..1)).await.unwrap();
}

#[tokio::test]
async fn a_user_id_other_than_the_connections_is_refused() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let forged = Message { user_id: Some("somebody".to_owned()), ..nudge(Priority::High, 0) };
    assert!(publisher.publish_all(vec![forged]).await.is_err());
    assert_eq!(fixture.ready(work_queue(Priority::High)).await, 0);
}

#[tokio::test]
async fn events_go_to_the_queue_of_their_type_and_unknown_types_to_medium() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let event = |event_type: &str| Message {
        exchange: EVENTS.to_owned(),
        routing_key: event_type.to_owned(),
        content_type: "application/cloudevents+json".to_owned(),
        ..Message::default()
    };
    let known = catalogue::triggers().iter().map(|trigger| event(trigger.key));
    publisher.publish_all(known.chain([event("acme.rocket_launched")]).collect()).await.unwrap();
    for priority in Priority::ALL {
        let of_priority = catalogue::triggers().iter().filter(|trigger| trigger.priority == priority).count();
        let custom = usize::from(priority == Priority::Medium);
        let ready = fixture.ready(ingest_queue(priority)).await;
        assert_eq!(ready as usize, of_priority + custom, "{priority}, with {CUSTOM}");
    }
}

#[tokio::test]
async fn concurrent_batches_share_the_lanes() {
    let fixture = Fixture::new().await;
    let publisher = fixture.publisher().await;
    let batches = (0..10).map(|batch| {
        let publisher = publisher.clone();
        async move { publisher.publish_all(nudges(batch * 50..(batch + 1) * 50)).await }
    });
    futures_util::future::try_join_all(batches).await.unwrap();
    assert_eq!(fixture.ready(work_queue(Priority::High)).await, 500);
    assert_eq!(publisher.state(), PublisherState::Connected);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_reported_in_time() {
    use automation_broker::publisher::{Publisher, PublisherConfig};
    // Nothing listens on the discard port.
    let config = PublisherConfig {
        timeout: std::time::Duration::from_millis(500),
        ..PublisherConfig::new("amqp://nobody:nothing@127.0.0.1:9/none", "test publisher")
    };
    let error = Publisher::connect_with(config).await.err().unwrap();
    assert!(matches!(error, PublishError::Unavailable(_)), "{error}");
}
