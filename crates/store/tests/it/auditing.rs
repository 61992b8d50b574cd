//! The audit log: appended in one chain per tenant, and whoever changes it is found.

use crate::world::World;
use automation_domain::audit::{Broken, Head};
use automation_domain::id::TenantId;
use automation_store::audit::{self, Deed};
use automation_store::{Error, Scope};
use automation_test_support::builders;
use serde_json::json;

fn deed(subject: impl std::fmt::Display) -> Deed {
    Deed {
        actor: "ada".to_owned(),
        action: "dead_letter.discard",
        subject: format!("dead_letter {subject}"),
        detail: json!({ "note": "ünïcode, \"quotes\", and 1.50", "z": 1, "a": null }),
    }
}

async fn append(world: &World, tenant: TenantId, deeds: &[Deed]) -> Result<(), Error> {
    world
        .api
        .tx(Scope::Tenant(tenant), async |connection| audit::append(connection, tenant, deeds).await)
        .await
}

async fn verify(world: &World, tenant: TenantId) -> Result<Head, Broken> {
    let verified =
        world.api.tx(Scope::Tenant(tenant), async |connection| audit::verify(connection, tenant).await).await;
    verified.unwrap()
}

/// As somebody who may do everything, and stops the trigger that would refuse.
async fn tamper(world: &World, sql: &str) {
    let sql = format!("SET session_replication_role = replica; {sql}; SET session_replication_role = origin");
    world.database.execute(&sql).await.unwrap();
}

#[tokio::test]
async fn deeds_of_many_at_once_form_one_chain_for_each_tenant() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    assert_eq!(verify(&world, world.tenant).await, Ok(Head::BEGINNING));
    let deeds: Vec<Deed> = (0..3).map(deed).collect();
    let writers = (0..8).map(|number| {
        let tenant = if number % 4 == 0 { other } else { world.tenant };
        append(&world, tenant, &deeds)
    });
    futures_util::future::try_join_all(writers).await?;
    assert_eq!(verify(&world, world.tenant).await.unwrap().seq, 18);
    assert_eq!(verify(&world, other).await.unwrap().seq, 6);
    let listed = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            audit::list(connection, world.tenant, Some(18), 2).await
        })
        .await?;
    assert_eq!(listed.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [17, 16]);
    assert_eq!((listed[0].actor.as_str(), listed[0].action.as_str()), ("ada", "dead_letter.discard"));
    Ok(())
}

#[tokio::test]
async fn whatever_is_changed_in_the_log_is_found_where_it_was_changed() -> anyhow::Result<()> {
    let world = World::new().await?;
    let tenant = world.tenant;
    append(&world, tenant, &(1..=6).map(deed).collect::<Vec<_>>()).await?;
    let whole = verify(&world, tenant).await.unwrap();
    for (change, undo, expected) in [
        (
            "UPDATE audit_log SET actor = 'eve' WHERE seq = 3",
            "UPDATE audit_log SET actor = 'ada'",
            Broken::Content(3),
        ),
        (
            "UPDATE audit_log SET at = at + interval '1 microsecond' WHERE seq = 2",
            "UPDATE audit_log SET at = at - interval '1 microsecond' WHERE seq = 2",
            Broken::Content(2),
        ),
        (
            "UPDATE audit_log SET detail = replace(detail, '1.50', '1.5') WHERE seq = 4",
            "UPDATE audit_log SET detail = replace(detail, '1.5\"', '1.50\"') WHERE seq = 4",
            Broken::Content(4),
        ),
        (
            "UPDATE audit_log SET seq = 9 WHERE seq = 4",
            "UPDATE audit_log SET seq = 4 WHERE seq = 9",
            Broken::Gap { expected: 4, found: 5 },
        ),
    ] {
        tamper(&world, change).await;
        assert_eq!(verify(&world, tenant).await, Err(expected), "{change}");
        tamper(&world, undo).await;
    }
    tamper(&world, "DELETE FROM audit_log WHERE seq IN (4, 5)").await;
    assert_eq!(verify(&world, tenant).await, Err(Broken::Gap { expected: 4, found: 6 }));
    // A cut end does not break the chain: that is what a kept head is for.
    tamper(&world, "DELETE FROM audit_log WHERE seq > 3").await;
    let cut = verify(&world, tenant).await.unwrap();
    assert_eq!(cut.seq, 3);
    let kept = world
        .api
        .tx(Scope::Tenant(tenant), async |connection| audit::hash_at(connection, tenant, whole.seq).await)
        .await?;
    assert_eq!(kept, None);
    Ok(())
}

#[tokio::test]
async fn nobody_may_change_the_log() -> anyhow::Result<()> {
    let world = World::new().await?;
    append(&world, world.tenant, &[deed(1)]).await?;
    for sql in ["UPDATE audit_log SET actor = 'eve'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        let refused = world.database.execute(sql).await;
        assert!(refused.is_err(), "{sql}, even as superuser");
    }
    for db in [&world.api, &world.worker, &world.scheduler, &world.operator] {
        let changed = db
            .tx(Scope::Tenant(world.tenant), async |connection| {
                sqlx::query("DELETE FROM audit_log").execute(connection).await?;
                Ok::<_, Error>(())
            })
            .await;
        assert!(changed.is_err());
    }
    assert_eq!(verify(&world, world.tenant).await.unwrap().seq, 1);
    Ok(())
}
