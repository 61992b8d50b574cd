//! Receipts decide what was seen before, also between two transactions at once.

use crate::world::{TenantId, World};
use automation_domain::id::EventKey;
use automation_store::Scope;
use automation_store::events::receipts::{self, Claim, Seen};
use std::collections::BTreeMap;

type AllSeen = BTreeMap<(TenantId, EventKey), Seen>;

async fn accept(world: &World, claims: &[Claim]) -> anyhow::Result<AllSeen> {
    let seen = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            receipts::accept(connection, now, claims).await
        })
        .await?;
    Ok(seen)
}

fn is_known(seen: Option<&Seen>) -> bool {
    matches!(seen, Some(Seen::Before { received_at: Some(_) }))
}

fn claim(world: &World, id: &str, body: u8) -> Claim {
    Claim { tenant_id: world.tenant, event_key: EventKey::derive("test", id), body_hash: [body; 32] }
}

#[tokio::test]
async fn an_event_is_new_once_then_seen_then_in_conflict_with_another_body() -> anyhow::Result<()> {
    let world = World::new().await?;
    let key = (world.tenant, EventKey::derive("test", "1"));
    assert_eq!(accept(&world, &[claim(&world, "1", 7)]).await?[&key], Seen::New);
    assert!(is_known(accept(&world, &[claim(&world, "1", 7)]).await?.get(&key)));
    assert_eq!(accept(&world, &[claim(&world, "1", 8)]).await?[&key], Seen::Conflict);
    // A conflict leaves the receipt as it was.
    assert!(is_known(accept(&world, &[claim(&world, "1", 7)]).await?.get(&key)));
    Ok(())
}

#[tokio::test]
async fn the_same_id_of_two_tenants_is_two_events() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = automation_test_support::builders::tenant(&world.operator, "rival").await?;
    for tenant in [world.tenant, other] {
        let claim = Claim { tenant_id: tenant, ..claim(&world, "1", 7) };
        let seen = world
            .worker
            .tx(Scope::Tenants(&[tenant]), async |connection| {
                let now = receipts::now(connection).await?;
                receipts::accept(connection, now, &[claim]).await
            })
            .await?;
        assert_eq!(seen[&(tenant, claim.event_key)], Seen::New);
    }
    Ok(())
}

#[tokio::test]
async fn of_many_transactions_with_the_same_events_each_event_is_new_in_one() -> anyhow::Result<()> {
    let world = World::new().await?;
    let claims: Vec<Claim> = (0..200).map(|id| claim(&world, &id.to_string(), 7)).collect();
    // Each hands its batch over in another order: locks are taken in the order of keys all the same.
    let batches = (0..6_usize).map(|shift| {
        let mut claims = claims.clone();
        claims.rotate_left(shift * 31);
        claims
    });
    let batches: Vec<Vec<Claim>> = batches.collect();
    let (a, b, c, d, e, f) = tokio::join!(
        accept(&world, &batches[0]),
        accept(&world, &batches[1]),
        accept(&world, &batches[2]),
        accept(&world, &batches[3]),
        accept(&world, &batches[4]),
        accept(&world, &batches[5]),
    );
    let mut new = BTreeMap::new();
    for (key, seen) in [a, b, c, d, e, f].into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        assert_ne!(seen, Seen::Conflict);
        *new.entry(key).or_insert(0) += i32::from(seen == Seen::New);
    }
    assert_eq!(new.len(), 200);
    assert!(new.values().all(|count| *count == 1), "{new:?}");
    Ok(())
}

#[tokio::test]
async fn receipts_are_forgotten_after_their_window_and_not_before() -> anyhow::Result<()> {
    use automation_store::upkeep::partitions::expire_receipts;
    let world = World::new().await?;
    accept(&world, &[claim(&world, "old", 7), claim(&world, "new", 7)]).await?;
    let key = EventKey::derive("test", "old");
    world
        .database
        .execute(&format!(
            "UPDATE event_receipts SET received_at = now() - interval '8 days' WHERE event_key = '{key}'"
        ))
        .await?;
    let expire = async |days| {
        world
            .scheduler
            .tx(Scope::Unscoped, async |connection| expire_receipts(connection, days, 100).await)
            .await
    };
    assert!(expire(1).await.is_err(), "a window of a day would let repeated events in");
    assert_eq!(expire(7).await?, 1);
    assert!(is_known(accept(&world, &[claim(&world, "new", 7)]).await?.values().next()));
    assert_eq!(accept(&world, &[claim(&world, "old", 7)]).await?.into_values().next(), Some(Seen::New));
    Ok(())
}
