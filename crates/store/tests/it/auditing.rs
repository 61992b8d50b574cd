//! The audit log: appended in one signed chain per tenant, and whoever changes, cuts or forges it is found.

use crate::world::{AnyPool, World};
use automation_domain::audit::{Broken, Key, Keys, Walked, legacy};
use automation_domain::id::TenantId;
use automation_store::audit::{self, Auditor, Deed, Erase, Portion, Verified};
use automation_store::{Error, Scope};
use automation_test_support::builders;
use automation_test_support::builders::auditor;
use serde_json::json;

fn deed(subject: impl std::fmt::Display) -> Deed {
    Deed {
        action: "dead_letter.discard",
        subject: format!("dead_letter {subject}"),
        detail: json!({ "note": "ünïcode, \"quotes\", and 1.50", "z": 1, "a": null }),
    }
}

async fn append(world: &World, tenant: TenantId, who: &Auditor, deeds: &[Deed]) -> Result<(), Error> {
    world
        .api
        .tx(Scope::Tenant(tenant), async |connection| audit::append(connection, tenant, who, deeds).await)
        .await
}

async fn verified(world: &World, tenant: TenantId) -> Result<Verified, Broken> {
    let keys = auditor("ada").keys().clone();
    let verified = world
        .api
        .tx(Scope::Tenant(tenant), async |connection| audit::verify(connection, tenant, &keys).await)
        .await;
    verified.unwrap()
}

async fn verify(world: &World, tenant: TenantId) -> Result<Walked, Broken> {
    verified(world, tenant).await.map(|verified| verified.chain)
}

async fn erase(world: &World, which: Erase<'_>, upto: i64) -> Result<usize, Error> {
    let tenant = world.tenant;
    world
        .operator
        .tx(Scope::Tenant(tenant), async |connection| {
            audit::erase(
                connection,
                tenant,
                &auditor("bob"),
                which,
                Portion { upto, limit: 100 },
                Some("asked to"),
            )
            .await
        })
        .await
}

/// As somebody who may do everything, and stops the triggers that would refuse.
async fn tamper(world: &World, sql: &str) {
    let sql = format!("SET session_replication_role = replica; {sql}; SET session_replication_role = origin");
    world.database.execute(&sql).await.unwrap();
}

/// A log with so many entries.
async fn world_with(entries: i64) -> anyhow::Result<World> {
    let world = World::new().await?;
    let deeds: Vec<Deed> = (1..=entries).map(deed).collect();
    append(&world, world.tenant, &auditor("ada"), &deeds).await?;
    Ok(world)
}

#[tokio::test]
async fn deeds_of_many_at_once_form_one_chain_for_each_tenant() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    assert_eq!(verify(&world, world.tenant).await.unwrap().head.seq, 0);
    let (who, deeds) = (auditor("ada"), (0..3).map(deed).collect::<Vec<_>>());
    let writers = (0..8).map(|number| {
        let tenant = if number % 4 == 0 { other } else { world.tenant };
        append(&world, tenant, &who, &deeds)
    });
    futures_util::future::try_join_all(writers).await?;
    assert_eq!(verify(&world, world.tenant).await.unwrap().head.seq, 18);
    assert_eq!(verify(&world, other).await.unwrap().head.seq, 6);
    let listed = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            audit::list(connection, world.tenant, Some(18), 2).await
        })
        .await?;
    assert_eq!(listed.iter().map(|entry| entry.link.seq).collect::<Vec<_>>(), [17, 16]);
    let words = listed[0].words.as_ref().expect("nobody erased them");
    assert_eq!((words.actor.as_str(), listed[0].link.action.as_str()), ("ada", "dead_letter.discard"));
    assert_ne!(
        listed[0].words.as_ref().map(|one| one.salt),
        listed[1].words.as_ref().map(|other| other.salt)
    );
    Ok(())
}

#[tokio::test]
async fn whatever_is_changed_in_the_log_is_found_where_it_was_changed() -> anyhow::Result<()> {
    let world = world_with(6).await?;
    let tenant = world.tenant;
    for (change, undo, expected) in [
        (
            "UPDATE audit_words SET actor = 'eve' WHERE seq = 3",
            "UPDATE audit_words SET actor = 'ada'",
            Broken::WordsChanged(3),
        ),
        (
            "UPDATE audit_words SET detail = replace(detail, '1.50', '1.5') WHERE seq = 4",
            "UPDATE audit_words SET detail = replace(detail, '1.5\"', '1.50\"') WHERE seq = 4",
            Broken::WordsChanged(4),
        ),
        (
            "UPDATE audit_links SET at = at + interval '1 microsecond' WHERE seq = 2",
            "UPDATE audit_links SET at = at - interval '1 microsecond' WHERE seq = 2",
            Broken::Changed(2),
        ),
        (
            "UPDATE audit_links SET proof = '{\"erased\": [[1, 6]]}' WHERE seq = 5",
            "UPDATE audit_links SET proof = '{}' WHERE seq = 5",
            Broken::Changed(5),
        ),
        (
            "UPDATE audit_links SET seq = 9 WHERE seq = 4",
            "UPDATE audit_links SET seq = 4 WHERE seq = 9",
            Broken::Gap { expected: 4, found: 5 },
        ),
        ("UPDATE audit_heads SET seq = 5", "UPDATE audit_heads SET seq = 6", Broken::Head),
    ] {
        tamper(&world, change).await;
        assert_eq!(verify(&world, tenant).await, Err(expected), "{change}");
        tamper(&world, undo).await;
    }
    assert!(verify(&world, tenant).await.is_ok());
    tamper(&world, "DELETE FROM audit_words WHERE seq = 2").await;
    assert_eq!(verify(&world, tenant).await, Err(Broken::WordsGone(2)));
    Ok(())
}

#[tokio::test]
async fn a_log_that_was_cut_shows_it_and_is_not_gone_on_with() -> anyhow::Result<()> {
    let world = world_with(6).await?;
    let tenant = world.tenant;
    tamper(&world, "DELETE FROM audit_words WHERE seq > 4; DELETE FROM audit_links WHERE seq > 4").await;
    let cut = Broken::End { last: 4, head: 6 };
    assert_eq!(verify(&world, tenant).await, Err(cut.clone()));
    let refused = append(&world, tenant, &auditor("ada"), &[deed(7)]).await;
    assert!(matches!(refused, Err(Error::Audit(broken)) if broken == cut));
    // A head that is made to fit is not sealed.
    let fit = "UPDATE audit_heads h SET seq = 4, mac = l.mac FROM audit_links l WHERE l.seq = 4";
    tamper(&world, fit).await;
    assert_eq!(verify(&world, tenant).await, Err(Broken::Head));
    let refused = append(&world, tenant, &auditor("ada"), &[deed(5)]).await;
    assert!(matches!(refused, Err(Error::Audit(Broken::Head))));
    tamper(&world, "DELETE FROM audit_heads").await;
    assert_eq!(verify(&world, tenant).await, Err(Broken::End { last: 4, head: 0 }));
    Ok(())
}

#[tokio::test]
async fn whoever_has_the_database_and_no_key_writes_nothing_that_holds() -> anyhow::Result<()> {
    let world = world_with(2).await?;
    let tenant = world.tenant;
    let stranger = Auditor::new("ada", Keys::new(Key { id: "test".to_owned(), bytes: [9; 32] }, vec![]));
    // By the way that is meant for it, the end of the log is not accepted.
    assert!(matches!(append(&world, tenant, &stranger, &[deed(3)]).await, Err(Error::Audit(Broken::Head))));
    // By hand, in the role of people: the entry is there, and does not hold.
    let forge = "INSERT INTO audit_links SELECT tenant_id, 3, at, action, commitment, proof, key_id, mac
                   FROM audit_links WHERE seq = 2";
    world
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            sqlx::query(forge).execute(connection.bare()).await?;
            Ok::<_, Error>(())
        })
        .await?;
    assert_eq!(verify(&world, tenant).await, Err(Broken::Changed(3)));
    // A log that is written from its beginning by another key of the same name.
    tamper(&world, "DELETE FROM audit_words; DELETE FROM audit_links; DELETE FROM audit_heads").await;
    append(&world, tenant, &stranger, &[deed(1), deed(2)]).await?;
    assert_eq!(verify(&world, tenant).await, Err(Broken::Changed(1)));
    Ok(())
}

#[tokio::test]
async fn a_log_that_was_put_back_as_a_whole_lacks_the_head_that_was_kept() -> anyhow::Result<()> {
    let world = world_with(2).await?;
    let tenant = world.tenant;
    tamper(
        &world,
        "CREATE TABLE l AS TABLE audit_links; CREATE TABLE w AS TABLE audit_words; CREATE TABLE h AS TABLE audit_heads",
    )
    .await;
    append(&world, tenant, &auditor("ada"), &[deed(3)]).await?;
    let kept = verify(&world, tenant).await.unwrap().head;
    tamper(
        &world,
        "DELETE FROM audit_words; DELETE FROM audit_links; DELETE FROM audit_heads;
         INSERT INTO audit_links TABLE l; INSERT INTO audit_words TABLE w; INSERT INTO audit_heads TABLE h",
    )
    .await;
    assert_eq!(verify(&world, tenant).await.unwrap().head.seq, 2);
    let at = async |seq| {
        let work = async |connection: &mut _| audit::mac_at(connection, tenant, seq).await;
        world.api.tx(Scope::Tenant(tenant), work).await
    };
    assert_eq!(at(kept.seq).await?, None);
    append(&world, tenant, &auditor("eve"), &[deed("another")]).await?;
    assert_ne!(at(kept.seq).await?, Some(kept.mac));
    Ok(())
}

#[tokio::test]
async fn words_are_erased_and_the_chain_holds() -> anyhow::Result<()> {
    let world = world_with(4).await?;
    append(&world, world.tenant, &auditor("eve"), &[deed(1)]).await?;
    assert_eq!(erase(&world, Erase::Actor("eve"), 5).await?, 1);
    assert_eq!(erase(&world, Erase::Subject("dead_letter 2"), 6).await?, 1);
    assert_eq!(erase(&world, Erase::Entries(&[3, 99]), 7).await?, 1);
    assert_eq!(erase(&world, Erase::Actor("nobody"), 8).await?, 0);
    let walked = verify(&world, world.tenant).await.unwrap();
    assert_eq!((walked.head.seq, walked.erased), (8, 3));
    let left = world.database.count("SELECT count(*) FROM audit_words WHERE actor = 'eve'").await?;
    assert_eq!(left, 0);
    // Who erased is erased like anybody else, and what says so stays.
    assert_eq!(erase(&world, Erase::Actor("bob"), 8).await?, 3);
    assert_eq!(verify(&world, world.tenant).await.unwrap().erased, 6);
    // What is said of an erasure names nobody who was erased.
    let named = "SELECT count(*) FROM audit_words w, audit_links l WHERE w::text || l::text LIKE '%eve%'";
    assert_eq!(world.database.count(named).await?, 0);
    Ok(())
}

#[tokio::test]
async fn nobody_may_change_the_log() -> anyhow::Result<()> {
    let world = world_with(1).await?;
    for sql in [
        "UPDATE audit_links SET action = 'none'",
        "DELETE FROM audit_links",
        "TRUNCATE audit_links CASCADE",
        "UPDATE audit_words SET actor = 'eve'",
        "TRUNCATE audit_words",
        "UPDATE audit_heads SET seal = mac",
    ] {
        assert!(world.database.execute(sql).await.is_err(), "{sql}, even as superuser");
    }
    let attempt = async |db: &dyn AnyPool, sql: &str| db.attempt(Scope::Tenant(world.tenant), sql).await;
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.scheduler, &world.operator] {
        for sql in
            ["DELETE FROM audit_links", "DELETE FROM audit_heads", "UPDATE audit_words SET actor = 'eve'"]
        {
            assert!(attempt(db, sql).await.is_err(), "{sql}");
        }
    }
    // Erasing is for a person at the command line.
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.scheduler] {
        assert!(attempt(db, "DELETE FROM audit_words").await.is_err());
    }
    assert_eq!(verify(&world, world.tenant).await.unwrap().head.seq, 1);
    Ok(())
}

/// Entries as versions before the key wrote them.
async fn legacy_entries(world: &World, numbers: std::ops::RangeInclusive<i64>) -> anyhow::Result<()> {
    let tenant = world.tenant;
    let mut previous = legacy_head(world).await.hash;
    for seq in numbers {
        let entry = legacy::Entry {
            tenant_id: tenant,
            seq,
            at: chrono::DateTime::from_timestamp(1_790_000_000 + seq, 0).unwrap(),
            actor: "ada".to_owned(),
            action: "grant.give".to_owned(),
            subject: format!("publisher {seq}"),
            detail: "{}".to_owned(),
        };
        let hash = entry.hash(&previous);
        world
            .api
            .tx(Scope::Tenant(tenant), async |connection| {
                sqlx::query("INSERT INTO audit_log VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
                    .bind(tenant.0)
                    .bind(seq)
                    .bind(entry.at)
                    .bind(&entry.actor)
                    .bind(&entry.action)
                    .bind(&entry.subject)
                    .bind(&entry.detail)
                    .bind(previous.as_slice())
                    .bind(hash.as_slice())
                    .execute(connection.bare())
                    .await?;
                Ok::<_, Error>(())
            })
            .await?;
        previous = hash;
    }
    Ok(())
}

async fn legacy_head(world: &World) -> legacy::Head {
    let tenant = world.tenant;
    let verified = world
        .api
        .tx(Scope::Tenant(tenant), async |connection| audit::legacy::verify(connection, tenant).await)
        .await;
    verified.unwrap().unwrap()
}

#[tokio::test]
async fn the_log_from_before_there_was_a_key_is_sealed_by_what_is_written_next() -> anyhow::Result<()> {
    let world = World::new().await?;
    let tenant = world.tenant;
    legacy_entries(&world, 1..=3).await?;
    append(&world, tenant, &auditor("ada"), &[deed(1)]).await?;
    let first = verified(&world, tenant).await.unwrap();
    assert_eq!((first.chain.head.seq, first.legacy.seq), (2, 3));
    assert_eq!(first.chain.head.legacy, legacy_head(&world).await);
    // A command line of the version before still writes; what it wrote is sealed in turn.
    legacy_entries(&world, 4..=5).await?;
    let between = verified(&world, tenant).await.unwrap();
    assert_eq!((between.legacy.seq, between.chain.head.legacy.seq), (5, 3));
    append(&world, tenant, &auditor("ada"), &[deed(2)]).await?;
    let sealed = verified(&world, tenant).await.unwrap();
    assert_eq!((sealed.chain.sealed.len(), sealed.chain.head.legacy.seq), (2, 5));
    // Written anew from its beginning, as anybody could without a key: the seals tell.
    tamper(&world, "DELETE FROM audit_log").await;
    legacy_entries(&world, 1..=5).await?;
    assert!(verified(&world, tenant).await.is_ok(), "the same entries are the same chain");
    tamper(&world, "DELETE FROM audit_log WHERE seq > 2").await;
    assert_eq!(verified(&world, tenant).await, Err(Broken::Sealed(1)));
    assert!(matches!(
        append(&world, tenant, &auditor("ada"), &[deed(3)]).await,
        Err(Error::Audit(Broken::Sealed(_)))
    ));
    Ok(())
}
