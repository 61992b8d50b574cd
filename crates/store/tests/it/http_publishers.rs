//! API keys and webhooks: found by what only their owner knows, and never written or read across tenants.

use crate::world::{AnyPool, TenantId, World};
use automation_domain::hook::{HookId, Verification};
use automation_domain::id::{ApiKeyId, HookSecretId};
use automation_store::access::api_keys::{self, NewApiKey};
use automation_store::access::hooks::{self, Hook, HookSecret};
use automation_store::access::tenants::{self, Grant};
use automation_store::events::receipts;
use automation_store::role::Door;
use automation_store::{Error, Scope};
use automation_test_support::builders;
use std::time::Duration;
use uuid::Uuid;

async fn make_key(world: &World, name: &str, hash: [u8; 32]) -> Result<bool, Error> {
    let types = ["form.*".to_owned()];
    let made = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            let key = NewApiKey {
                tenant_id: world.tenant,
                api_key_id: ApiKeyId(Uuid::new_v4()),
                name,
                prefix: "auto_live_abcdef",
                hash,
                event_types: &types,
                expires_at: Some(receipts::now(connection).await? + Duration::from_secs(60)),
            };
            api_keys::create(connection, &key).await
        })
        .await?;
    Ok(made.is_some())
}

fn hook(name: &str, byte: u8) -> Hook {
    Hook {
        hook_id: HookId::from_random(&[byte; 24]),
        name: name.to_owned(),
        verification: Verification::Standard,
        headers: vec!["user-agent".to_owned()],
        id_header: None,
    }
}

fn secret(key_id: &str) -> HookSecret {
    HookSecret { key_id: key_id.to_owned(), wrapped_key: b"wrapped".to_vec(), ciphertext: b"sealed".to_vec() }
}

async fn make_hook(world: &World, hook: &Hook) -> Result<bool, Error> {
    let id = HookSecretId(Uuid::new_v4());
    world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            hooks::create(connection, world.tenant, hook, id, &secret("first")).await
        })
        .await
}

#[tokio::test]
async fn a_key_is_found_by_its_hash_until_it_is_revoked_or_over() -> anyhow::Result<()> {
    let world = World::new().await?;
    let door = world.database.store::<Door>();
    assert!(make_key(&world, "shop", [1; 32]).await?);
    assert!(!make_key(&world, "shop", [2; 32]).await?, "the name is in use");
    let holder = api_keys::holder(&door, [1; 32]).await?.expect("the key is good");
    assert_eq!(
        (holder.tenant_id, holder.tenant.as_str(), holder.name.as_str()),
        (world.tenant, "shop", "shop")
    );
    assert_eq!(holder.event_types, ["form.*"]);
    assert_eq!(api_keys::holder(&door, [2; 32]).await?, None);
    assert_eq!(
        world.database.count("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL").await?,
        1
    );
    let grants = "SELECT count(*) FROM publisher_grants WHERE amqp_user = 'apikey:shop'";
    assert_eq!(world.database.count(grants).await?, 1);

    world.database.execute("UPDATE api_keys SET expires_at = now()").await?;
    assert_eq!(api_keys::holder(&door, [1; 32]).await?, None);
    let revoke = async || {
        let work = async |connection: &mut _| api_keys::revoke(connection, world.tenant, "shop").await;
        world.api.tx(Scope::Tenant(world.tenant), work).await
    };
    assert!(revoke().await? && !revoke().await?);
    assert_eq!(world.database.count(grants).await?, 0);
    assert!(make_key(&world, "shop", [3; 32]).await?, "the name of a revoked key is free");
    Ok(())
}

#[tokio::test]
async fn a_webhook_has_the_secrets_that_are_good_now() -> anyhow::Result<()> {
    let world = World::new().await?;
    let door = world.database.store::<Door>();
    let made = hook("stripe", 1);
    assert!(make_hook(&world, &made).await?);
    assert!(!make_hook(&world, &hook("stripe", 2)).await?, "the name is in use");
    let rotate = async |key_id: &str, overlap| {
        let id = HookSecretId(Uuid::new_v4());
        let work = async |connection: &mut _| {
            hooks::rotate(connection, world.tenant, &made.hook_id, id, &secret(key_id), overlap).await
        };
        world.api.tx(Scope::Tenant(world.tenant), work).await
    };
    let keys = async || {
        let called = hooks::called(&door, &made.hook_id).await?.expect("the webhook is there");
        assert_eq!((called.tenant_id, &called.hook), (world.tenant, &made));
        Ok::<_, Error>(called.secrets.into_iter().map(|(_, secret)| secret.key_id).collect::<Vec<_>>())
    };
    rotate("second", 3_600).await?;
    assert_eq!(keys().await?, ["second", "first"]);
    // A rotation without overlap: all that were there before are over at once.
    rotate("third", 0).await?;
    assert_eq!(keys().await?, ["third"]);
    assert_eq!(hooks::called(&door, &HookId::from_random(&[9; 24])).await?, None);
    hooks::used(&door, &made.hook_id).await?;
    assert!(!hooks::called(&door, &made.hook_id).await?.is_none_or(|called| called.used_long_ago));

    let delete = async |connection: &mut _| hooks::delete(connection, world.tenant, "stripe").await;
    assert!(world.api.tx(Scope::Tenant(world.tenant), delete).await?);
    assert_eq!(hooks::called(&door, &made.hook_id).await?, None);
    assert_eq!(world.database.count("SELECT count(*) FROM hook_secrets").await?, 0);
    assert_eq!(world.database.count("SELECT count(*) FROM publisher_grants").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_secret_is_sealed_anew_unless_it_is_gone() -> anyhow::Result<()> {
    let world = World::new().await?;
    let made = hook("stripe", 1);
    assert!(make_hook(&world, &made).await?);
    let scope = [world.tenant];
    let next =
        HookSecret { wrapped_key: b"anew".to_vec(), ciphertext: b"sealed anew".to_vec(), ..secret("next") };
    let (first, again) = world
        .worker
        .tx(Scope::Tenants(&scope), async |connection| {
            let read = hooks::sealed(connection, world.tenant, None, 10).await?;
            assert_eq!((&read[0].hook_id, read[0].terms), (&made.hook_id, made.terms()));
            let first = hooks::rewrap(connection, world.tenant, &read[0], &next).await?;
            Ok::<_, Error>((first, hooks::rewrap(connection, world.tenant, &read[0], &next).await?))
        })
        .await?;
    assert!(first && !again);
    let keys = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            hooks::wrapped_keys(connection, world.tenant, &made.hook_id).await
        })
        .await?;
    assert_eq!((keys.len(), &keys[0].wrapped_key[..]), (1, &b"anew"[..]));
    Ok(())
}

#[test]
fn everything_that_makes_an_event_of_a_call_is_part_of_a_webhooks_terms() {
    let one = hook("stripe", 1);
    let changed: [Hook; 6] = [
        Hook { hook_id: HookId::from_random(&[2; 24]), ..one.clone() },
        Hook { name: "shop".to_owned(), ..one.clone() },
        Hook { verification: Verification::Token, ..one.clone() },
        Hook { headers: vec![], ..one.clone() },
        Hook { headers: vec!["user-agent".to_owned(), "x-more".to_owned()], ..one.clone() },
        Hook { id_header: Some("user-agent".to_owned()), headers: vec![], ..one.clone() },
    ];
    for other in changed {
        assert_ne!(other.terms(), one.terms(), "{other:?}");
    }
    assert_eq!(one.clone().terms(), one.terms());
}

#[tokio::test]
async fn nobody_changes_a_webhook_or_makes_its_secret_last() -> anyhow::Result<()> {
    let world = World::new().await?;
    assert!(make_hook(&world, &hook("stripe", 1)).await?);
    world.database.execute("UPDATE hook_secrets SET expires_at = now() + interval '1 hour'").await?;
    for (statement, reason) in [
        ("UPDATE hooks SET headers = '{}'", "permission denied"),
        ("UPDATE hooks SET name = 'other'", "permission denied"),
        ("UPDATE hook_secrets SET ciphertext = ''", "permission denied"),
        ("UPDATE hook_secrets SET expires_at = NULL", "not later"),
        ("UPDATE hook_secrets SET expires_at = expires_at + interval '1 second'", "not later"),
    ] {
        for db in [&world.api as &dyn AnyPool, &world.operator] {
            let changed = db.attempt(Scope::Tenant(world.tenant), statement).await;
            assert!(changed.is_err_and(|error| error.to_string().contains(reason)), "{statement}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_may_grant_to_its_keys_and_webhooks_and_to_no_user_of_the_broker() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    let grant = async |tenant: TenantId, user: &str| {
        let grant = Grant {
            tenant_id: tenant,
            amqp_user: user.to_owned(),
            event_types: vec!["*".to_owned()],
            expires_at: None,
        };
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| tenants::grant(connection, &grant).await)
            .await
    };
    let refused = |outcome: Result<(), Error>| {
        outcome.is_err_and(|error| error.to_string().contains("row-level security"))
    };
    assert!(refused(grant(world.tenant, "crm").await));
    assert!(refused(grant(other, "apikey:shop").await));
    grant(world.tenant, "apikey:shop").await?;

    // Nor may it change or take what an operator granted.
    let crm = Grant {
        tenant_id: world.tenant,
        amqp_user: "crm".to_owned(),
        event_types: vec!["form.*".to_owned()],
        expires_at: None,
    };
    world.operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &crm).await).await?;
    let revoke = async |connection: &mut _| tenants::revoke(connection, world.tenant, "crm").await;
    assert!(!world.api.tx(Scope::Tenant(world.tenant), revoke).await?);
    assert!(grant(world.tenant, "crm").await.is_err());
    let kept = "SELECT count(*) FROM publisher_grants WHERE amqp_user = 'crm' AND event_types = '{form.*}'";
    assert_eq!(world.database.count(kept).await?, 1);
    Ok(())
}

#[tokio::test]
async fn whoever_makes_secrets_cannot_read_them_back() -> anyhow::Result<()> {
    let world = World::new().await?;
    for statement in ["SELECT hash FROM api_keys", "SELECT ciphertext FROM hook_secrets"] {
        let read = world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                sqlx::query(statement).fetch_all(connection.bare()).await?;
                Ok::<_, Error>(())
            })
            .await;
        assert!(read.is_err_and(|error| error.to_string().contains("permission denied")), "{statement}");
    }
    // The look-ups across tenants are for the door alone.
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.scheduler, &world.operator] {
        for look_up in ["door_key('')", "door_hook('')", "door_hook_used('')"] {
            let called = db.attempt(Scope::Unscoped, &format!("SELECT * FROM {look_up}")).await;
            assert!(called.is_err_and(|error| error.to_string().contains("permission denied")), "{look_up}");
        }
    }
    Ok(())
}
