//! Credentials: whoever sets a secret cannot read it, whoever uses it cannot change where it may go.

use crate::world::{AnyPool, World};
use automation_domain::credential::{AllowedHost, Scheme};
use automation_domain::id::{CredentialId, TenantId};
use automation_store::access::credentials::{self, Setting, StoredSecret};
use automation_store::events::receipts;
use automation_store::role::{Api, Owner, Worker};
use automation_store::{Conn, Db, Error, Scope};
use automation_test_support::builders;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

const CANARY: &[u8] = b"ciphertext-canary";

fn secret(key_id: &str, wrapped: &[u8]) -> StoredSecret {
    StoredSecret { key_id: key_id.to_owned(), wrapped_key: wrapped.to_vec(), ciphertext: CANARY.to_vec() }
}

fn hosts() -> Vec<AllowedHost> {
    vec!["api.example.com".parse().unwrap(), "*.example.org:8443".parse().unwrap()]
}

fn id(number: u128) -> CredentialId {
    CredentialId(Uuid::from_u128(number))
}

async fn set(
    db: &Db<Api>,
    tenant: TenantId,
    key: &str,
    credential_id: CredentialId,
    stored: &StoredSecret,
) -> Result<i32, Error> {
    let scheme = Scheme::Basic { username: "shop".to_owned() };
    let hosts = hosts();
    db.tx(Scope::Tenant(tenant), async |connection| {
        let setting = Setting {
            tenant_id: tenant,
            credential_id,
            key,
            scheme: &scheme,
            allowed_hosts: &hosts,
            secret: stored,
        };
        credentials::set(connection, &setting).await
    })
    .await
}

async fn used_at(world: &World) -> Result<Option<DateTime<Utc>>, Error> {
    let tenant = world.tenant;
    let credential = world
        .api
        .tx(Scope::Tenant(tenant), async |connection| credentials::by_key(connection, tenant, "crm").await)
        .await?;
    Ok(credential.unwrap().used_at)
}

#[tokio::test]
async fn a_credential_is_set_shown_rotated_and_deleted() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (api, tenant) = (&world.api, world.tenant);
    assert_eq!(set(api, tenant, "crm", id(1), &secret("k1", b"one")).await?, 1);
    assert_eq!(set(api, tenant, "crm", id(1), &secret("k1", b"two")).await?, 2);
    // The id is what the secret is sealed for: a second one cannot take the key.
    assert!(matches!(set(api, tenant, "crm", id(2), &secret("k1", b"x")).await, Err(Error::Refused(_))));
    api.tx(Scope::Tenant(tenant), async |connection| {
        assert_eq!(credentials::lock(connection, tenant, "crm").await?, Some(id(1)));
        assert_eq!(credentials::lock(connection, tenant, "other").await?, None);
        let version = credentials::rotate(connection, tenant, id(1), &secret("k2", b"three")).await?;
        assert_eq!(version, Some(3));
        assert_eq!(credentials::rotate(connection, tenant, id(9), &secret("k2", b"x")).await?, None);
        let listed = credentials::list(connection, tenant).await?;
        assert_eq!(listed.len(), 1);
        let shown = &listed[0];
        assert_eq!((shown.key.as_str(), shown.version, shown.key_id.as_str()), ("crm", 3, "k2"));
        assert_eq!(shown.scheme, Scheme::Basic { username: "shop".to_owned() });
        assert_eq!(shown.allowed_hosts, hosts());
        assert!(shown.rotated_at.is_some() && shown.used_at.is_none());
        assert!(credentials::delete(connection, tenant, "crm").await?);
        assert!(!credentials::delete(connection, tenant, "crm").await?);
        assert_eq!(credentials::by_key(connection, tenant, "crm").await?, None);
        Ok::<_, Error>(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_reads_the_secrets_of_its_tenants_by_key() -> anyhow::Result<()> {
    let world = World::new().await?;
    let rival = builders::tenant(&world.operator, "rival").await?;
    set(&world.api, world.tenant, "crm", id(1), &secret("k1", b"ours")).await?;
    set(&world.api, rival, "crm", id(2), &secret("k1", b"theirs")).await?;
    let wanted =
        [(world.tenant, "crm".to_owned()), (world.tenant, "none".to_owned()), (rival, "crm".to_owned())];
    let mine = world
        .worker
        .tx(world.scope(), async |connection| credentials::usable(connection, &wanted).await)
        .await?;
    assert_eq!(mine.len(), 1);
    let usable = &mine[&(world.tenant, "crm".to_owned())];
    assert_eq!((usable.credential_id, &usable.secret.ciphertext[..]), (id(1), CANARY));
    let both = [world.tenant, rival];
    let all = world
        .worker
        .tx(Scope::Tenants(&both), async |connection| credentials::usable(connection, &wanted).await)
        .await?;
    assert_eq!(all[&(rival, "crm".to_owned())].secret.wrapped_key, b"theirs");
    Ok(())
}

#[tokio::test]
async fn use_is_noted_once_a_minute() -> anyhow::Result<()> {
    let world = World::new().await?;
    set(&world.api, world.tenant, "crm", id(1), &secret("k1", b"one")).await?;
    let first = world.worker.tx(world.scope(), async |connection| receipts::now(connection).await).await?;
    for (later, noted) in [(0, 0), (59, 0), (61, 61)] {
        let now = first + TimeDelta::seconds(later);
        world
            .worker
            .tx(world.scope(), async |connection| {
                credentials::used(connection, now, &[(world.tenant, id(1)), (world.tenant, id(7))]).await
            })
            .await?;
        assert_eq!(used_at(&world).await?, Some(first + TimeDelta::seconds(noted)), "{later}");
    }
    Ok(())
}

#[tokio::test]
async fn secrets_are_sealed_anew_unless_they_changed_meanwhile() -> anyhow::Result<()> {
    let world = World::new().await?;
    for (number, key) in ["a", "b", "c"].into_iter().enumerate() {
        set(&world.api, world.tenant, key, id(number as u128 + 1), &secret("old", key.as_bytes())).await?;
    }
    let tenant = world.tenant;
    let read = async |connection: &mut Conn<Worker>, after: &str| {
        credentials::sealed(connection, tenant, after, 2).await
    };
    let page = world.worker.tx(world.scope(), async |connection| read(connection, "").await).await?;
    assert_eq!(page.iter().map(|sealed| sealed.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    set(&world.api, tenant, "b", id(2), &secret("new", b"rotated")).await?;
    let anew = StoredSecret { ciphertext: b"sealed anew".to_vec(), ..secret("new", b"a2") };
    world
        .worker
        .tx(world.scope(), async |connection| {
            assert!(credentials::rewrap(connection, tenant, &page[0], &anew).await?);
            assert!(!credentials::rewrap(connection, tenant, &page[1], &secret("new", b"b2")).await?);
            assert_eq!(read(connection, "").await?[0].secret, anew);
            let rest = read(connection, "b").await?;
            assert_eq!(rest.iter().map(|sealed| sealed.key.as_str()).collect::<Vec<_>>(), ["c"]);
            Ok::<_, Error>(())
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn where_a_secret_goes_changes_with_the_secret_alone() -> anyhow::Result<()> {
    let world = World::new().await?;
    set(&world.api, world.tenant, "crm", id(1), &secret("k1", b"one")).await?;
    let attempt = async |db: &dyn AnyPool, sql: &str| db.attempt(Scope::Tenant(world.tenant), sql).await;
    let owner = world.database.store::<Owner>();
    for db in [&world.api as &dyn AnyPool, &world.operator, &owner] {
        for change in [
            "allowed_hosts = '{evil.example:443}'",
            "allowed_hosts = array_append(allowed_hosts, 'evil.example:443')",
            "kind = 'bearer'",
            "fields = '{\"username\": \"eve\"}'",
            // Half a secret is none.
            "kind = 'bearer', wrapped_key = 'x'",
            "kind = 'bearer', ciphertext = 'x'",
        ] {
            let refused = attempt(db, &format!("UPDATE credentials SET {change}")).await;
            let told = refused.expect_err(change).to_string();
            assert!(told.contains("changes with its secret alone"), "{change}: {told}");
        }
        attempt(db, "UPDATE credentials SET used_at = now(), version = version").await.unwrap_or_else(
            |error| {
                assert!(error.to_string().contains("permission denied"), "{error}");
            },
        );
    }
    assert_eq!(
        set(
            &world.api,
            world.tenant,
            "crm",
            id(1),
            &StoredSecret { ciphertext: b"another".to_vec(), ..secret("k1", b"two") }
        )
        .await?,
        2
    );
    Ok(())
}

#[tokio::test]
async fn no_role_can_do_more_with_a_secret_than_it_must() -> anyhow::Result<()> {
    let world = World::new().await?;
    set(&world.api, world.tenant, "crm", id(1), &secret("k1", b"one")).await?;
    let refused = async |db: &dyn AnyPool, scope: Scope<'_>, sql: &str| {
        let outcome = db.attempt(scope, sql).await;
        outcome.is_err_and(|error| error.to_string().contains("permission denied"))
    };
    let api = Scope::Tenant(world.tenant);
    for sql in [
        "SELECT ciphertext FROM credentials",
        "SELECT * FROM credentials",
        "SELECT 1 FROM credentials WHERE ciphertext > 'a'",
        "UPDATE credentials SET version = 1 RETURNING ciphertext",
        "DELETE FROM credentials RETURNING ciphertext",
        "UPDATE credentials SET key = encode(ciphertext, 'hex')",
        "UPDATE credentials SET tenant_id = tenant_id",
        "UPDATE credentials SET key = 'other'",
    ] {
        assert!(refused(&world.api, api, sql).await, "{sql}");
    }
    for sql in [
        "UPDATE credentials SET allowed_hosts = '{evil.example:443}'",
        "UPDATE credentials SET fields = '{}'",
        "DELETE FROM credentials",
        "INSERT INTO credentials (tenant_id, credential_id, key, kind, allowed_hosts, key_id, wrapped_key, ciphertext)
         SELECT tenant_id, gen_random_uuid(), 'x', kind, allowed_hosts, key_id, wrapped_key, ciphertext FROM credentials",
    ] {
        assert!(refused(&world.worker, world.scope(), sql).await, "{sql}");
    }
    assert!(refused(&world.scheduler, Scope::Unscoped, "SELECT key FROM credentials").await);
    // An operator acts as the api: no more than that, and nothing without a tenant.
    assert!(refused(&world.operator, api, "SELECT ciphertext FROM credentials").await);
    let unscoped = world.operator.try_sql(Scope::Unscoped, "SELECT count(key) FROM credentials");
    assert_eq!(unscoped.await, Ok(0));
    Ok(())
}
