//! What happened to contacts, read for conditions that count it.

use crate::world::World;
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::FieldPath;
use automation_domain::id::{ContactId, EventId, EventKey, TenantId};
use automation_domain::past::{MOST_EVENTS, OfType, PastEvent, Values};
use automation_store::events::history::{self, Histories, Window};
use automation_store::events::{NewEvent, of_contacts};
use automation_store::role::Worker;
use automation_store::workflows::watched;
use automation_store::{Conn, Db, Error, Scope};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};

const TYPE: &str = "order.completed";

fn at(seconds: i64) -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6) - TimeDelta::seconds(seconds)
}

/// An order of somebody.
fn order(
    world: &World,
    who: &str,
    id: &str,
    time: DateTime<Utc>,
    data: Value,
) -> (TenantId, ContactId, RecordedEvent) {
    let key = EventKey::derive("shop", id);
    let event = Event {
        key,
        id: id.to_owned(),
        source: "shop".to_owned(),
        event_type: TYPE.to_owned(),
        tenant: "shop".to_owned(),
        time,
        subject: Some(who.to_owned()),
        correlation_id: None,
        causation_id: None,
        causation_depth: 0,
        traceparent: None,
        tracestate: None,
        data,
        body_hash: [0; 32],
    };
    let recorded = RecordedEvent { event_id: EventId::derive(time, key), received_at: time, event };
    (world.tenant, ContactId::derive(world.tenant, who), recorded)
}

fn paths(texts: &[&str]) -> Vec<FieldPath> {
    texts.iter().map(|text| FieldPath::parse(text, "").unwrap()).collect()
}

/// Records events, and keeps of them what stands at these paths.
async fn record(
    world: &World,
    events: &[(TenantId, ContactId, RecordedEvent)],
    kept: Option<&[FieldPath]>,
) -> Result<(), Error> {
    let new: Vec<NewEvent<'_>> = events
        .iter()
        .map(|(tenant_id, contact, recorded)| NewEvent {
            tenant_id: *tenant_id,
            contact_id: Some(*contact),
            recorded,
        })
        .collect();
    world
        .worker
        .tx(world.scope(), async |connection| {
            automation_store::events::insert(connection, &new).await?;
            if let Some(kept) = kept {
                let kept: Vec<_> =
                    new.iter().map(|new| (new, Values::of(&new.recorded.event, kept))).collect();
                of_contacts::insert(connection, &kept).await?;
            }
            Ok(())
        })
        .await
}

fn window(world: &World, who: &str, from: DateTime<Utc>) -> Window {
    let contact_id = ContactId::derive(world.tenant, who);
    Window { tenant_id: world.tenant, contact_id, event_type: TYPE.to_owned(), from, until: None }
}

async fn read(db: &Db<Worker>, scope: Scope<'_>, windows: &[Window]) -> Result<Histories, Error> {
    db.tx(scope, async |connection: &mut Conn<Worker>| history::read(connection, windows).await).await
}

async fn of(world: &World, who: &str, from: DateTime<Utc>) -> Result<OfType, Error> {
    let mut histories = read(&world.worker, world.scope(), &[window(world, who, from)]).await?;
    let history = histories.remove(&(world.tenant, ContactId::derive(world.tenant, who))).unwrap();
    Ok(history.of_type(TYPE).unwrap().clone())
}

#[tokio::test]
async fn what_happened_to_each_contact_is_read_with_what_is_kept_of_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let paths = paths(&["event.data.total", "event.source"]);
    let events = [
        order(&world, "ada", "1", at(30), json!({ "total": 19.99, "secret": "x" })),
        order(&world, "ada", "2", at(7_200), json!({ "total": 5 })),
        order(&world, "bob", "3", at(10), json!({})),
    ];
    record(&world, &events, Some(&paths)).await?;
    let ada = of(&world, "ada", at(3_600)).await?;
    let expected = PastEvent::of(&events[0].2, &paths);
    assert_eq!((ada.events, ada.has_more), (vec![expected], false));
    assert_eq!(of(&world, "ada", at(10_000)).await?.events.len(), 2);
    assert_eq!(of(&world, "bob", at(3_600)).await?.events[0].values, Values::of(&events[2].2.event, &paths));
    assert_eq!(of(&world, "cid", at(3_600)).await?, OfType::default(), "nothing is known to have happened");
    Ok(())
}

#[tokio::test]
async fn of_a_contact_to_whom_very_much_happened_the_latest_are_read_and_that_there_are_more()
-> anyhow::Result<()> {
    let world = World::new().await?;
    let contact = ContactId::derive(world.tenant, "ada");
    world
        .database
        .execute(&format!(
            "INSERT INTO contact_events SELECT '{}', '{}', '{TYPE}', now() - n * interval '1 second', gen_random_uuid(), now(), NULL
               FROM generate_series(1, {}) AS n",
            world.tenant,
            contact.0,
            MOST_EVENTS + 1
        ))
        .await?;
    let ada = of(&world, "ada", at(86_400)).await?;
    assert_eq!((ada.events.len(), ada.has_more), (MOST_EVENTS, true));
    let oldest = ada.events.iter().map(|event| event.at).min().unwrap();
    assert!(oldest >= at(MOST_EVENTS as i64 + 5));
    let part = of(&world, "ada", at(MOST_EVENTS as i64 / 2)).await?;
    assert!(!part.has_more && part.events.len() < MOST_EVENTS);
    Ok(())
}

#[tokio::test]
async fn a_field_that_is_read_for_the_first_time_is_filled_in_as_if_it_had_been_kept() -> anyhow::Result<()> {
    let world = World::new().await?;
    let long = "x".repeat(3_000);
    let events = [
        order(
            &world,
            "ada",
            "1",
            at(50),
            json!({ "total": 19.99, "items": [{ "sku": "a" }], "odd": { "-1": 1, "01": [2] } }),
        ),
        order(&world, "ada", "2", at(40), json!({ "total": "80", "items": [], "url": long, "none": null })),
        order(&world, "ada", "3", at(30), json!({ "total": 1e300, "items": [[1, 2]] })),
        order(&world, "ada", "4", at(20), json!({})),
    ];
    let early = paths(&["event.data.total"]);
    // Of the first it was kept to whom it happened, of the second a field, of the others nothing.
    record(&world, &events[..1], Some(&[])).await?;
    record(&world, &events[1..2], Some(&early)).await?;
    record(&world, &events[2..], None).await?;
    let all = paths(&[
        "event.data.total",
        "event.data.items[0].sku",
        "event.data.items[0]",
        "event.data.url",
        "event.data.none",
        "event.data.odd[\"-1\"]",
        "event.data.odd[\"01\"][0]",
        "event.id",
        "event.source",
    ]);
    let asked: Vec<&FieldPath> = all.iter().collect();
    let fill = async || {
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                watched::fill(connection, world.tenant, (TYPE, &asked), (at(3_600), at(-60))).await
            })
            .await
    };
    assert_eq!(fill().await?, 4);
    let mut known = of(&world, "ada", at(3_600)).await?.events;
    known.sort_by_key(|event| event.at);
    let expected: Vec<PastEvent> =
        events.iter().map(|(_, _, recorded)| PastEvent::of(recorded, &all)).collect();
    assert_eq!(known, expected);
    assert_eq!(fill().await?, 0, "once is enough");
    Ok(())
}

#[tokio::test]
async fn a_type_and_its_fields_are_watched_from_when_they_are_asked_for_or_filled_in() -> anyhow::Result<()> {
    let world = World::new().await?;
    let scope = Scope::Tenant(world.tenant);
    let watch = async |paths: &[&str]| {
        let types = [(TYPE, paths.to_vec())].into();
        world.api.tx(scope, async |connection| watched::watch(connection, world.tenant, &types).await).await
    };
    let known = async || {
        let known =
            world.api.tx(scope, async |connection| watched::known(connection, world.tenant, &[TYPE]).await);
        known.await.map(|mut known| known.remove(TYPE).unwrap())
    };
    let version = "SELECT catalogue_version FROM tenants WHERE key = 'shop'";
    watch(&["event.data.total"]).await?;
    let (first, seen) = (known().await?, world.database.count(version).await?);
    watch(&["event.data.total"]).await?;
    watch(&[]).await?;
    assert_eq!(
        (known().await?, world.database.count(version).await?),
        (first.clone(), seen),
        "nothing is new"
    );
    watch(&["event.data.kind"]).await?;
    let second = known().await?;
    assert_eq!(world.database.count(version).await?, seen + 1, "ingest is told");
    assert_eq!(second.paths["event.data.total"], first.paths["event.data.total"]);
    assert!(second.paths["event.data.kind"] > first.since);
    let earlier = first.since - TimeDelta::days(7);
    let kind = FieldPath::parse("event.data.kind", "").unwrap();
    world
        .api
        .tx(scope, async |connection| {
            watched::filled(connection, world.tenant, (TYPE, &[&kind]), earlier).await
        })
        .await?;
    let third = known().await?;
    assert_eq!((third.since, third.paths["event.data.kind"]), (earlier, earlier));
    assert_eq!(third.paths["event.data.total"], first.paths["event.data.total"]);
    Ok(())
}

#[tokio::test]
async fn of_two_transactions_that_decide_about_a_contact_one_waits_for_the_other() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (ada, events) =
        (ContactId::derive(world.tenant, "ada"), [order(&world, "ada", "1", at(5), json!({}))]);
    let (first, second) = (world.database.store::<Worker>(), world.database.store::<Worker>());
    let (scope, windows) = (world.scope(), [window(&world, "ada", at(60))]);
    let (began, begins) = tokio::sync::oneshot::channel();
    let one = first.tx(scope, async |connection: &mut Conn<Worker>| {
        history::take_turns(connection, [ada]).await?;
        let _ = began.send(());
        let new = NewEvent { tenant_id: world.tenant, contact_id: Some(ada), recorded: &events[0].2 };
        of_contacts::insert(connection, &[(&new, Values::default())]).await
    });
    let other = async {
        let _ = begins.await;
        second
            .tx(scope, async |connection: &mut Conn<Worker>| {
                history::take_turns(connection, [ada]).await?;
                history::read(connection, &windows).await
            })
            .await
    };
    let (one, other) = tokio::join!(one, other);
    one?;
    let seen = other?[&(world.tenant, ada)].of_type(TYPE).unwrap().events.len();
    assert_eq!(seen, 1, "what the first recorded, whose transaction began before");
    Ok(())
}
