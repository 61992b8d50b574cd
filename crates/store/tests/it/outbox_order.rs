//! Events leave in the order of their run, each leased by one relay at a time.

use crate::world::World;
use automation_domain::id::RunId;
use automation_store::Scope;
use automation_store::events::outbox::{self, Frontier, Leased, NewOutboxEvent};
use std::time::Duration;
use uuid::Uuid;

async fn put(world: &World, run: u128, bodies: &[&str]) -> anyhow::Result<()> {
    let events: Vec<_> = bodies
        .iter()
        .map(|body| NewOutboxEvent {
            is_command: false,
            tenant_id: world.tenant,
            run_id: RunId(Uuid::from_u128(run)),
            event_type: "contact.tag_added".to_owned(),
            body: body.as_bytes().to_vec(),
        })
        .collect();
    world.worker.tx(world.scope(), async |connection| outbox::insert(connection, &events).await).await?;
    Ok(())
}

async fn lease(world: &World, limit: i64) -> anyhow::Result<Vec<Leased>> {
    let leased = world
        .scheduler
        .tx(Scope::Unscoped, async |connection| {
            outbox::lease(connection, &mut Frontier::default(), limit, Duration::from_secs(600)).await
        })
        .await?;
    Ok(leased)
}

fn bodies(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|event| std::str::from_utf8(&event.body).unwrap()).collect()
}

#[tokio::test]
async fn events_are_leased_in_order_and_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    put(&world, 1, &["a", "b", "c"]).await?;
    put(&world, 2, &["d"]).await?;
    let leased = lease(&world, 10).await?;
    assert_eq!(bodies(&leased), ["a", "b", "c", "d"]);
    assert!(lease(&world, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_event_waits_while_an_earlier_one_of_its_run_is_leased() -> anyhow::Result<()> {
    let world = World::new().await?;
    put(&world, 1, &["a"]).await?;
    let first = lease(&world, 1).await?;
    put(&world, 1, &["b"]).await?;
    put(&world, 2, &["c"]).await?;
    assert_eq!(bodies(&lease(&world, 10).await?), ["c"]);
    let published: Vec<_> = first.iter().map(|event| (event.tenant_id, event.outbox_id)).collect();
    world
        .scheduler
        .tx(Scope::Unscoped, async |connection| outbox::delete(connection, &published).await)
        .await?;
    assert_eq!(bodies(&lease(&world, 10).await?), ["b"]);
    Ok(())
}

#[tokio::test]
async fn what_a_lost_relay_held_is_leased_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    put(&world, 1, &["a", "b"]).await?;
    lease(&world, 10).await?;
    world.database.execute("UPDATE outbox SET leased_until = now() - interval '1 second'").await?;
    assert_eq!(bodies(&lease(&world, 10).await?), ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn relays_at_once_lease_each_event_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    for run in 0..10 {
        put(&world, run, &["a", "b", "c"]).await?;
    }
    let mut ids = Vec::new();
    // A relay whose turn it is not gets nothing: it comes again.
    while ids.len() < 30 {
        let (a, b) = tokio::join!(lease(&world, 7), lease(&world, 7));
        let (a, b) = (a?, b?);
        assert!(!(a.is_empty() && b.is_empty()), "both had no turn, with {} of 30 leased", ids.len());
        let published: Vec<_> = a.iter().chain(&b).map(|event| (event.tenant_id, event.outbox_id)).collect();
        ids.extend(published.iter().map(|(_, id)| *id));
        world
            .scheduler
            .tx(Scope::Unscoped, async |connection| outbox::delete(connection, &published).await)
            .await?;
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 30);
    Ok(())
}
