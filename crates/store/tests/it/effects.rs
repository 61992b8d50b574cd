//! The ledger of effects: stored once, changed by whoever holds the run, and kept with it.

use crate::world::World;
use automation_domain::effect::{HttpRequest, Request, Response};
use automation_domain::id::{IdempotencyKey, RunId};
use automation_domain::priority::Priority;
use automation_domain::workflow::Delivery;
use automation_store::events::receipts;
use automation_store::runs::checkpoints::{self, Checkpoint, Next, WakeReason, Wakeup};
use automation_store::runs::effects::{
    self, EffectKey, EffectStatus, MOST_TRIES, Mark, NewEffect, StoredEffect, Tried, Try,
};
use automation_store::{Error, Scope, runs};
use chrono::DateTime;
use std::collections::BTreeMap;
use std::time::Duration;

fn request(body: &str) -> Request {
    Request::Http(HttpRequest {
        method: "POST".to_owned(),
        url: "https://crm.example.com/contacts".to_owned(),
        headers: vec![("Idempotency-Key".to_owned(), "k".to_owned())],
        body: Some(body.to_owned()),
        credential: Some("crm".to_owned()),
        timeout_ms: 10_000,
        redirects: 0,
        save: BTreeMap::new(),
    })
}

fn key(world: &World, run_id: RunId, node: &str) -> EffectKey {
    EffectKey { tenant_id: world.tenant, run_id, node: node.to_owned(), visit: 1 }
}

pub fn new(key: EffectKey, starts: bool) -> NewEffect {
    NewEffect {
        idempotency_key: IdempotencyKey::derive(key.run_id, &key.node, key.visit),
        key,
        action: "http_request".to_owned(),
        delivery: Delivery::AtMostOnce,
        // What JSON escapes, and what a database's own JSON type would refuse.
        request: request("{\"text\": \"\u{0}ü\"}"),
        starts,
    }
}

fn tried(key: EffectKey, number: u32, status: EffectStatus) -> Tried {
    let response = Response { status: 500, headers: Vec::new(), body: number.to_string(), truncated: false };
    Tried {
        key,
        status,
        tried: Try {
            number,
            attempt: number,
            at: DateTime::from_timestamp(1_800_000_000 + i64::from(number), 0).unwrap(),
            took_ms: 12,
            code: Some("http_status".to_owned()),
            message: Some("500".to_owned()),
            status: Some(500),
        },
        response: (number % 2 == 1).then_some(response),
    }
}

async fn insert(world: &World, effects: &[NewEffect]) -> Result<(), Error> {
    let effects: Vec<&NewEffect> = effects.iter().collect();
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            effects::insert(connection, now, &effects).await
        })
        .await
}

async fn read(world: &World, keys: &[EffectKey]) -> Result<BTreeMap<EffectKey, StoredEffect>, Error> {
    world.worker.tx(world.scope(), async |connection| effects::read(connection, keys).await).await
}

#[tokio::test]
async fn an_effect_is_read_back_as_it_was_stored_and_stored_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (one, two) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    let batch = [
        new(key(&world, one, "a"), true),
        new(key(&world, two, "a"), false),
        new(key(&world, two, "b"), true),
    ];
    insert(&world, &batch).await?;
    assert!(insert(&world, &batch[..1]).await.is_err_and(|error| !error.is_transient()));
    let keys: Vec<EffectKey> = batch.iter().map(|effect| effect.key.clone()).collect();
    let stored = read(&world, &[keys.clone(), vec![key(&world, one, "c")]].concat()).await?;
    assert_eq!(stored.len(), 3);
    for effect in &batch {
        let stored = &stored[&effect.key];
        assert_eq!((&stored.request, stored.idempotency_key), (&effect.request, effect.idempotency_key));
        assert_eq!((stored.delivery, stored.action.as_str()), (Delivery::AtMostOnce, "http_request"));
        let status = if effect.starts { EffectStatus::Started } else { EffectStatus::Pending };
        assert_eq!(
            (stored.status, stored.attempts, stored.started_at.is_some()),
            (status, u32::from(effect.starts), effect.starts)
        );
        assert_eq!((stored.tries.len(), &stored.response), (0, &None));
    }
    let of_run = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            effects::of_run(connection, world.tenant, two).await
        })
        .await?;
    assert_eq!(of_run.iter().map(|effect| effect.key.node.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn tries_are_kept_in_order_and_the_oldest_of_too_many_go() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (run, other) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    let (key, other) = (key(&world, run, "a"), key(&world, other, "a"));
    insert(&world, &[new(key.clone(), true), new(other.clone(), false)]).await?;
    let most = u32::try_from(MOST_TRIES)?;
    for number in 1..=most + 3 {
        let tried = tried(key.clone(), number, EffectStatus::Pending);
        world
            .worker
            .tx(world.scope(), async |connection| {
                let now = receipts::now(connection).await?;
                effects::record(connection, &[&tried]).await?;
                effects::mark(connection, now, &[(&tried.key, Mark::Begins(number + 1))]).await
            })
            .await?;
    }
    let stored = read(&world, &[key.clone(), other.clone()]).await?;
    let numbers: Vec<u32> = stored[&key].tries.iter().map(|one| one.number).collect();
    assert_eq!(numbers, (4..=most + 3).collect::<Vec<_>>());
    assert_eq!((stored[&key].status, stored[&key].attempts), (EffectStatus::Started, most + 4));
    let last = stored[&key].response.as_ref().map(|response| response.body.clone());
    assert_eq!(last, Some((most + 3).to_string()), "a try without a response keeps the one before");
    assert_eq!((stored[&other].tries.len(), stored[&other].status), (0, EffectStatus::Pending));
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            effects::mark(connection, now, &[(&key, Mark::Waits)]).await
        })
        .await?;
    let stored = read(&world, std::slice::from_ref(&key)).await?;
    assert_eq!((stored[&key].status, stored[&key].attempts), (EffectStatus::Pending, most + 4));
    // Also one that never began may be left unsent for good.
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            effects::mark(connection, now, &[(&key, Mark::Skipped), (&other, Mark::Skipped)]).await
        })
        .await?;
    let stored = read(&world, &[key.clone(), other.clone()]).await?;
    let skipped =
        |key: &EffectKey| (stored[key].status, stored[key].attempts, stored[key].started_at.is_some());
    assert_eq!(skipped(&key), (EffectStatus::Skipped, most + 4, true));
    assert_eq!(skipped(&other), (EffectStatus::Skipped, 0, false));
    Ok(())
}

/// Settles one claim as one whose request is on its way; says whether it held.
async fn send(world: &World, run_id: RunId, epoch: i32, progress: bool) -> anyhow::Result<bool> {
    let now = world.worker.tx(world.scope(), receipts::now).await?;
    let lease = Duration::from_secs(600);
    let wakeup =
        Wakeup { token: 0, ready_at: Some(now), due_at: Some(now + lease), reason: WakeReason::Retry };
    let next = Next::Sending { lease, progress, wakeups: vec![wakeup] };
    let checkpoint = Checkpoint {
        tenant_id: world.tenant,
        run_id,
        epoch,
        priority: Priority::Medium,
        next,
        state: b"{}".to_vec(),
        steps: Vec::new(),
    };
    let held = world
        .worker
        .tx(world.scope(), async |connection| {
            checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await
        })
        .await?;
    Ok(!held.is_empty())
}

#[tokio::test]
async fn a_run_whose_request_is_on_its_way_stays_claimed_under_the_next_epoch() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    assert!(send(&world, run, 1, true).await?);
    assert!(!send(&world, run, 1, true).await?, "what was committed once is not committed again");
    assert!(world.claim(&[run]).await?.is_empty());
    let renew = async |epoch| {
        world
            .worker
            .tx(world.scope(), async |connection| {
                runs::renew(connection, &[(world.tenant, run, epoch)], Duration::from_secs(60)).await
            })
            .await
    };
    assert!(renew(1).await?.is_empty());
    assert_eq!(renew(2).await?.len(), 1);
    let soon = "SELECT count(*) FROM runs_open WHERE lease_until < now() + interval '61 seconds'";
    assert_eq!(world.database.count(soon).await?, 1);
    world.expire_leases().await?;
    let taken = world.claim(&[run]).await?;
    assert_eq!(taken.iter().map(|run| (run.epoch, run.abandoned)).collect::<Vec<_>>(), [(3, 1)]);
    assert!(renew(2).await?.is_empty(), "the first worker finds out");
    Ok(())
}

#[tokio::test]
async fn sending_again_for_a_vanished_worker_is_no_progress() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    let mut epoch = 1;
    for abandoned in 1..=3 {
        assert!(send(&world, run, epoch, false).await?);
        world.expire_leases().await?;
        let taken = world.claim(&[run]).await?;
        assert_eq!(taken[0].abandoned, abandoned);
        epoch = taken[0].epoch;
    }
    assert!(send(&world, run, epoch, true).await?);
    assert_eq!(world.database.count("SELECT abandoned::int8 FROM runs_open").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_is_not_stored_is_neither_marked_nor_recorded() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let key = key(&world, run, "a");
    let marked = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            effects::mark(connection, now, &[(&key, Mark::Begins(2))]).await
        })
        .await;
    assert!(marked.is_err_and(|error| !error.is_transient()));
    let tried = tried(key, 1, EffectStatus::Done);
    let recorded =
        world.worker.tx(world.scope(), async |connection| effects::record(connection, &[&tried]).await).await;
    assert!(recorded.is_err());
    assert_eq!(world.database.count("SELECT count(*) FROM effects").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_batch_reads_its_own_effects_only() -> anyhow::Result<()> {
    const ALL: usize = 400;
    const BATCH: usize = 40;
    let world = World::new().await?;
    // The planner believes in no rows at all.
    world.database.execute("ANALYZE effects").await?;
    let mut stored = Vec::new();
    for id in 0..ALL {
        stored.push(new(key(&world, world.run(&id.to_string()).await?.run_id, "a"), true));
    }
    insert(&world, &stored).await?;
    let fetched = "SELECT coalesce(sum(idx_tup_fetch), 0)::int8 FROM pg_stat_user_tables WHERE relname LIKE 'effects\\_%'";
    let before = world.database.count(fetched).await?;
    let batch: Vec<EffectKey> = stored.iter().step_by(ALL / BATCH).map(|effect| effect.key.clone()).collect();
    let tries: Vec<Tried> = batch.iter().map(|key| tried(key.clone(), 1, EffectStatus::Pending)).collect();
    let read = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            effects::record(connection, &tries.iter().collect::<Vec<_>>()).await?;
            let marks: Vec<_> = batch.iter().map(|key| (key, Mark::Begins(2))).collect();
            effects::mark(connection, now, &marks).await?;
            let read = effects::read(connection, &batch).await?;
            sqlx::query("SELECT pg_stat_force_next_flush()").execute(connection.bare()).await?;
            Ok::<_, anyhow::Error>(read)
        })
        .await?;
    assert_eq!(read.values().filter(|effect| effect.attempts == 2).count(), BATCH);
    let rows = world.database.count(fetched).await? - before;
    let (least, most) = (i64::try_from(BATCH)?, i64::try_from(4 * BATCH)?);
    assert!(rows >= least && rows <= most, "{rows} rows were read for {BATCH} effects");
    Ok(())
}

#[tokio::test]
async fn effects_of_open_runs_outlive_their_day() -> anyhow::Result<()> {
    use automation_store::upkeep::partitions;
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let at = |text: &str| automation_domain::id::lower_bound(text.parse().unwrap());
    let (low, high) = (at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z"));
    let (open, ended) = (RunId(at("2026-01-05T12:00:00Z")), RunId(at("2026-01-05T13:00:00Z")));
    world
        .database
        .execute(&format!(
            "CREATE TABLE effects_20260105 (LIKE effects INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
             ALTER TABLE effects_20260105 OWNER TO automation_owner;
             ALTER TABLE effects ATTACH PARTITION effects_20260105 FOR VALUES FROM ('{low}') TO ('{high}');
             DELETE FROM wakeups; UPDATE runs_open SET run_id = '{open}' WHERE run_id = '{run}'"
        ))
        .await?;
    let keys = [key(&world, open, "a"), key(&world, ended, "a")];
    insert(&world, &keys.clone().map(|key| new(key, true))).await?;
    assert_eq!(world.database.count("SELECT count(*) FROM effects_20260105").await?, 2);
    let retired = world.scheduler.tx(Scope::Unscoped, partitions::retire).await?;
    assert_eq!(retired.as_deref(), Some("effects_20260105"));
    assert_eq!(read(&world, &keys).await?.into_keys().collect::<Vec<_>>(), keys[..1]);
    Ok(())
}
