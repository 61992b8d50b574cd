//! Parked events are recorded many at once, counted, and handled by people.

use crate::world::World;
use automation_store::events::parked::{
    self, Change, Parked, ParkedBody, ParkedFilter, ParkedStatus, Publisher,
};
use automation_store::upkeep::usage;
use automation_store::{Error, Scope, audit};
use automation_test_support::builders;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

fn parked(number: u128, at: DateTime<Utc>) -> Parked {
    Parked {
        parked_id: Uuid::from_u128(number),
        tenant_id: None,
        reason: "not_granted".to_owned(),
        detail: "no grant".to_owned(),
        queue: "automation.ingest.high".to_owned(),
        routing_key: "form.submitted".to_owned(),
        content_type: None,
        amqp_user: Some("crm".to_owned()),
        headers: json!({ "traceparent": "00-1" }).as_object().cloned().unwrap(),
        body: ParkedBody::Kept(vec![0, 159, 146, 150]),
        occurrences: 1,
        first_seen_at: at,
        last_seen_at: at,
        status: ParkedStatus::Open,
        changed_at: None,
        changed_by: None,
        note: None,
    }
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

async fn record(world: &World, rows: &[Parked]) -> Result<(), Error> {
    world.scheduler.tx(Scope::Unscoped, async |connection| parked::record(connection, rows).await).await
}

async fn read(world: &World, number: u128) -> anyhow::Result<Parked> {
    let id = Uuid::from_u128(number);
    let found =
        world.operator.tx(Scope::Unscoped, async |connection| parked::by_id(connection, id).await).await?;
    Ok(found.unwrap())
}

async fn change(world: &World, found: &Parked, from: ParkedStatus, to: ParkedStatus) -> Result<bool, Error> {
    let change = Change { from, to, who: builders::ada(), note: Some("mended") };
    world
        .operator
        .tx(Scope::Tenant(found.audited_under()), async |connection| {
            parked::change(connection, found, change, Value::Null).await
        })
        .await
}

#[tokio::test]
async fn a_batch_is_recorded_once_each_and_counted_together_with_what_was_there() -> anyhow::Result<()> {
    let world = World::new().await?;
    record(&world, &[]).await?;
    record(&world, &[parked(1, at(0)), parked(2, at(0)), parked(1, at(0))]).await?;
    record(&world, &[parked(2, at(5)), parked(3, at(5))]).await?;
    let (one, two, three) = (read(&world, 1).await?, read(&world, 2).await?, read(&world, 3).await?);
    assert_eq!((one.occurrences, two.occurrences, three.occurrences), (2, 2, 1));
    assert_eq!((two.first_seen_at, two.last_seen_at), (at(0), at(5)));
    assert_eq!(
        (one.body.bytes().unwrap(), one.headers["traceparent"].as_str()),
        ([0, 159, 146, 150].as_slice(), Some("00-1"))
    );
    let list = async |filter: ParkedFilter| {
        let found = world
            .operator
            .tx(Scope::Unscoped, async |connection| parked::list(connection, &filter, None, 10).await)
            .await;
        found.unwrap().into_iter().map(|one| one.parked_id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(list(ParkedFilter::default()).await, [3, 2, 1]);
    assert_eq!(list(ParkedFilter { since: Some(at(5)), ..Default::default() }).await, [3, 2]);
    assert_eq!(list(ParkedFilter { until: Some(at(5)), ..Default::default() }).await, [1]);
    assert_eq!(list(ParkedFilter { reason: Some("no_user_id".to_owned()), ..Default::default() }).await, []);
    let by = |name: &str, speakers: &[&str]| {
        let (name, speakers) = (name.to_owned(), speakers.iter().map(|&user| user.to_owned()).collect());
        ParkedFilter { user: Some(Publisher { name, speakers }), ..Default::default() }
    };
    assert_eq!(list(by("crm", &[])).await.len(), 3);
    // Whoever publishes for somebody else is believed where he may.
    let mut spoken = parked(4, at(6));
    spoken.amqp_user = Some("door".to_owned());
    spoken.headers.insert("automation-on-behalf-of".to_owned(), json!("apikey:st"));
    record(&world, &[spoken]).await?;
    assert_eq!(list(by("apikey:st", &["engine", "door"])).await, [4]);
    assert_eq!(list(by("apikey:st", &["engine"])).await, []);
    assert_eq!(list(by("door", &["engine"])).await, [4]);
    Ok(())
}

#[tokio::test]
async fn what_comes_again_after_its_replay_is_open_again_and_what_was_discarded_stays_so()
-> anyhow::Result<()> {
    let world = World::new().await?;
    record(&world, &[parked(1, at(0)), parked(2, at(0))]).await?;
    let (one, two) = (read(&world, 1).await?, read(&world, 2).await?);
    assert!(change(&world, &one, ParkedStatus::Open, ParkedStatus::Replayed).await?);
    assert!(!change(&world, &one, ParkedStatus::Open, ParkedStatus::Replayed).await?, "once");
    assert!(change(&world, &two, ParkedStatus::Open, ParkedStatus::Discarded).await?);
    assert_eq!(read(&world, 1).await?.changed_by.as_deref(), Some("ada"));
    record(&world, &[parked(1, at(1)), parked(2, at(1))]).await?;
    assert_eq!(read(&world, 1).await?.status, ParkedStatus::Open);
    assert_eq!(read(&world, 2).await?.status, ParkedStatus::Discarded);
    // What was parked again since it was read is not marked as done.
    assert!(!change(&world, &one, ParkedStatus::Open, ParkedStatus::Replayed).await?);
    assert_eq!(read(&world, 1).await?.status, ParkedStatus::Open);
    let nobody = one.audited_under();
    let head = world
        .api
        .tx(Scope::Tenant(nobody), async |connection| {
            audit::verify(connection, nobody, builders::ada().keys()).await
        })
        .await?;
    assert_eq!(head.unwrap().chain.head.seq, 2);
    Ok(())
}

/// Lets the nil tenant keep so many bytes of parked messages.
async fn let_keep(world: &World, bytes: usize) -> anyhow::Result<()> {
    world
        .database
        .execute(&format!("UPDATE quotas SET max_bytes = {bytes} WHERE table_name = 'parked_events'"))
        .await
}

#[tokio::test]
async fn beyond_the_quota_a_message_leaves_its_hash_and_then_its_count_and_never_more() -> anyhow::Result<()>
{
    let world = World::new().await?;
    // A whole message and its row, three rows without bytes, and then nothing more.
    let_keep(&world, 15_000).await?;
    let large = |number: u128| Parked { body: ParkedBody::Kept(vec![b'x'; 14_000]), ..parked(number, at(0)) };
    let all: Vec<Parked> = (1..=7).map(large).collect();
    record(&world, &all[..1]).await?;
    record(&world, &all[1..]).await?;
    assert_eq!(read(&world, 1).await?.body, ParkedBody::Kept(vec![b'x'; 14_000]));
    for number in 2..=4 {
        let left = read(&world, number).await?;
        let ParkedBody::Left { bytes, sha256 } = &left.body else { panic!("{number} was kept: {left:?}") };
        assert_eq!((*bytes, sha256.len(), left.headers.len()), (14_000, 32, 0));
        assert_eq!((left.reason.as_str(), left.occurrences), ("not_granted", 1));
    }
    // The others are one row, whatever they were; each counts.
    let rows = "SELECT count(*) FROM parked_events";
    assert_eq!(world.database.count(rows).await?, 5);
    record(&world, &(8..=200).map(large).collect::<Vec<_>>()).await?;
    assert_eq!(world.database.count(rows).await?, 5);
    assert_eq!(world.database.count("SELECT sum(occurrences) FROM parked_events").await?, 200);
    // What came whole keeps its bytes when it comes again.
    record(&world, &all[..2]).await?;
    assert_eq!(read(&world, 1).await?.body.bytes().map(<[u8]>::len), Some(14_000));
    assert_eq!((read(&world, 2).await?.occurrences, read(&world, 2).await?.body.bytes()), (2, None));
    Ok(())
}

#[tokio::test]
async fn parked_messages_are_forgotten_after_their_days_and_make_room() -> anyhow::Result<()> {
    let world = World::new().await?;
    let_keep(&world, 15_000).await?;
    let large =
        |number: u128, at| Parked { body: ParkedBody::Kept(vec![b'x'; 14_000]), ..parked(number, at) };
    record(&world, &[large(1, DateTime::UNIX_EPOCH)]).await?;
    let expire = async || {
        world
            .scheduler
            .tx(Scope::Unscoped, async |connection| usage::expire_parked(connection, 30, 10).await)
            .await
    };
    assert_eq!(expire().await?, 1);
    assert_eq!(expire().await?, 0);
    record(&world, &[large(2, at(0))]).await?;
    assert_eq!(read(&world, 2).await?.body.bytes().map(<[u8]>::len), Some(14_000));
    Ok(())
}
