//! How deep queues are.

use crate::support::{Fixture, eventually, nudges};
use automation_broker::depths::{Depth, Depths};
use automation_broker::topology::work_queue;
use automation_domain::priority::Priority;
use std::collections::BTreeMap;

#[tokio::test]
async fn depths_are_of_the_moment_and_survive_a_queue_that_is_not_there() {
    let fixture = Fixture::new().await;
    fixture.publisher().await.publish_all(nudges(0..3)).await.unwrap();
    let queue = work_queue(Priority::High).to_owned();
    let (high, low) = (queue.clone(), work_queue(Priority::Low).to_owned());
    let nowhere = "automation.nowhere".to_owned();
    let mut depths = Depths::new(fixture.vhost.amqp_url(), "test", vec![high, nowhere, low.clone()]);
    let expected = [(queue, 3), (low, 0)].map(|(queue, ready)| (queue, Depth { ready, consumers: 0 }));
    let expected = BTreeMap::from(expected);
    // What was confirmed a moment ago may be counted a moment later.
    let seen = eventually(async || depths.read().await.ok().filter(|seen| *seen == expected)).await;
    assert!(seen.is_some(), "{:?}", depths.read().await);
    depths.close().await;
}
