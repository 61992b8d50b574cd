//! A run is held by one worker at a time, by lease and epoch.

use crate::world::World;
use automation_domain::id::RunId;
use automation_domain::priority::Priority;
use automation_store::access::tenants;
use automation_store::role::Operator;
use automation_store::runs::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::{Scope, runs, workflows};
use automation_test_support::builders;
use chrono::TimeDelta;
use sqlx::Executor;

#[tokio::test]
async fn a_claim_gives_a_run_the_next_epoch_and_everything_it_was_made_with() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    let claimed = world.claim(&[started.run_id]).await?;
    let [run] = claimed.as_slice() else { panic!("{claimed:?}") };
    assert_eq!((run.epoch, run.abandoned, run.trigger_id.as_str()), (1, 0, "start"));
    assert_eq!((run.event_id, run.contact_id), (started.event_id, Some(started.contact_id)));
    assert_eq!((run.received_at, run.state.clone()), (started.received_at, None));
    Ok(())
}

#[tokio::test]
async fn a_claim_tells_the_zones_of_tenants_that_are_not_in_utc() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?;
    let zones = async || {
        let claim =
            async |connection: &mut _| runs::claim_here(connection, &[(world.tenant, run.run_id)]).await;
        let (claim, _) = world.worker.tx(world.scope(), claim).await?;
        assert_eq!(claim.runs.len(), 1);
        let standing = async |connection: &mut _| {
            workflows::standing(connection, &[(world.tenant, claim.runs[0].workflow_id)]).await
        };
        let standing = world.worker.tx(world.scope(), standing).await?;
        assert_eq!(standing.zones, claim.zones, "whoever holds a run looks at the same");
        anyhow::Ok(claim.zones.values().map(|zone| zone.name()).collect::<Vec<_>>())
    };
    assert_eq!(zones().await?, Vec::<&str>::new());
    let operator = world.database.store::<Operator>();
    operator
        .tx(Scope::Unscoped, async |connection| {
            tenants::set_zone(connection, world.tenant, "Asia/Tokyo").await
        })
        .await?;
    assert_eq!(zones().await?, ["Asia/Tokyo"]);
    Ok(())
}

#[tokio::test]
async fn of_many_workers_one_gets_a_run() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut runs = Vec::new();
    for id in 0..20 {
        runs.push(world.run(&id.to_string()).await?.run_id);
    }
    let (a, b, c, d) =
        tokio::join!(world.claim(&runs), world.claim(&runs), world.claim(&runs), world.claim(&runs));
    let mut claimed: Vec<_> =
        [a?, b?, c?, d?].into_iter().flatten().map(|run| (run.run_id, run.epoch)).collect();
    claimed.sort();
    let mut expected: Vec<_> = runs.into_iter().map(|run| (run, 1)).collect();
    expected.sort();
    assert_eq!(claimed, expected);
    Ok(())
}

#[tokio::test]
async fn a_claim_in_an_open_transaction_holds_up_nobody_and_leaves_nothing_when_it_is_rolled_back()
-> anyhow::Result<()> {
    let world = World::new().await?;
    let (first, second) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    let broken_off: anyhow::Result<()> = world
        .worker
        .tx(world.scope(), async |connection| {
            let (mine, _) = runs::claim_here(connection, &[(world.tenant, first)]).await?;
            assert_eq!(mine.runs.len(), 1);
            let others = world.claim(&[first, second]).await?;
            assert_eq!(others.iter().map(|run| run.run_id).collect::<Vec<_>>(), [second]);
            anyhow::bail!("the worker died")
        })
        .await;
    assert!(broken_off.is_err());
    let free = world.claim(&[first]).await?;
    assert_eq!(free.iter().map(|run| (run.epoch, run.abandoned)).collect::<Vec<_>>(), [(1, 0)]);
    Ok(())
}

/// Has a worker claim a run and leave it waiting on two branches, both ready.
async fn branch(world: &World, run_id: RunId) -> anyhow::Result<()> {
    world
        .worker
        .tx(world.scope(), async |connection| {
            let (claim, places) = runs::claim_here(connection, &[(world.tenant, run_id)]).await?;
            let ready = claim.now - TimeDelta::minutes(1);
            let next = Next::Waiting { wakeups: [0, 1].map(|token| Wakeup::timer(token, ready)).into() };
            let (tenant_id, priority) = (world.tenant, Priority::Medium);
            let waits = Checkpoint {
                tenant_id,
                run_id,
                epoch: 1,
                priority,
                next,
                state: b"{}".to_vec(),
                steps: Vec::new(),
            };
            let held = checkpoints::settle_here(connection, claim.now, "other", &[waits], &places).await?;
            assert_eq!(held.len(), 1);
            anyhow::Ok(())
        })
        .await
}

#[tokio::test]
async fn a_run_that_moves_on_while_it_is_being_claimed_is_left_alone() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut runs = [world.run("1").await?.run_id, world.run("2").await?.run_id];
    runs.sort_unstable();
    let [first, second] = runs;
    // The claim stops at the first run's wakeup, after its snapshot and before the second run.
    let mut blocker = world.database.superuser().await?;
    blocker.execute("BEGIN").await?;
    sqlx::query("SELECT 1 FROM wakeups WHERE run_id = $1 FOR UPDATE")
        .bind(first.0)
        .execute(&mut blocker)
        .await?;
    let meanwhile = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while world.database.count(waiting).await? == 0 {}
        branch(&world, second).await?;
        blocker.execute("COMMIT").await?;
        anyhow::Ok(())
    };
    let nudged = [first, second];
    let (claimed, meanwhile) = tokio::join!(world.claim(&nudged), meanwhile);
    meanwhile?;
    assert_eq!(claimed?.iter().map(|run| run.run_id).collect::<Vec<_>>(), [first]);
    assert_eq!(world.claim(&[second]).await?.iter().map(|run| run.epoch).collect::<Vec<_>>(), [2]);
    Ok(())
}

#[tokio::test]
async fn a_held_run_is_taken_over_when_its_lease_is_over_and_not_before() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    assert!(world.claim(&[run]).await?.is_empty());
    world.expire_leases().await?;
    let taken = world.claim(&[run]).await?;
    assert_eq!(taken.iter().map(|run| (run.epoch, run.abandoned)).collect::<Vec<_>>(), [(2, 1)]);
    Ok(())
}

#[tokio::test]
async fn an_early_nudge_moves_the_next_look_to_the_end_of_the_lease() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    world.database.execute("UPDATE wakeups SET due_at = now() + interval '1 day'").await?;
    assert!(world.claim(&[run]).await?.is_empty());
    let at_the_end = "SELECT count(*) FROM wakeups w JOIN runs_open r USING (tenant_id, run_id) WHERE w.due_at = r.lease_until";
    assert_eq!(world.database.count(at_the_end).await?, 1);
    Ok(())
}

#[tokio::test]
async fn nothing_is_claimed_before_it_is_ready() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.database.execute("UPDATE wakeups SET ready_at = now() + interval '1 hour'").await?;
    assert!(world.claim(&[run]).await?.is_empty());
    world.database.execute("UPDATE wakeups SET ready_at = now() - interval '1 second'").await?;
    assert_eq!(world.claim(&[run]).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn nudges_for_runs_that_are_not_there_claim_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let known = world.run("1").await?.run_id;
    let unknown = RunId(uuid::Uuid::from_u128(1));
    assert_eq!(world.claim(&[unknown, known]).await?.len(), 1);
    assert!(world.claim(&[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_worker_cannot_claim_a_run_outside_its_scope() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    let run = world.run("1").await?.run_id;
    let nudged = [(world.tenant, run)];
    let claimed = world
        .worker
        .tx(Scope::Tenants(&[other]), async |connection| {
            runs::claim(connection, &nudged, crate::world::LEASE).await
        })
        .await?;
    assert!(claimed.runs.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_run_that_exists_is_not_made_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    world.claim(&[started.run_id]).await?;
    let again = runs::NewRun {
        tenant_id: world.tenant,
        run_id: started.run_id,
        workflow_id: world.workflow.workflow_id,
        version_id: world.workflow.version_id,
        trigger_id: "start".to_owned(),
        event_id: started.event_id,
        contact_id: None,
        run_key: "ada".to_owned(),
        priority: automation_domain::priority::Priority::High,
        trace: None,
    };
    world
        .worker
        .tx(world.scope(), async |connection| {
            runs::insert(connection, started.received_at, builders::LOOK_AGAIN, &[again]).await
        })
        .await?;
    assert_eq!(world.database.count("SELECT count(*) FROM runs_open WHERE status = 'running'").await?, 1);
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_handed_back_is_free_at_once_and_nobody_is_charged() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    world.expire_leases().await?;
    let taken = world.claim(&[run]).await?;
    let epoch = taken[0].epoch;
    world.database.execute("UPDATE wakeups SET due_at = now() + interval '1 day', sweeps = 5").await?;
    let hand_back = async |epoch| {
        let claims = [(world.tenant, run, epoch)];
        world.worker.tx(world.scope(), async |connection| runs::hand_back(connection, &claims).await).await
    };
    hand_back(epoch - 1).await?;
    assert!(world.claim(&[run]).await?.is_empty(), "a claim that is over gives nothing back");
    hand_back(epoch).await?;
    let free =
        "SELECT count(*) FROM runs_open WHERE status = 'queued' AND lease_until IS NULL AND abandoned = 1";
    assert_eq!(world.database.count(free).await?, 1);
    assert_eq!(
        world.database.count("SELECT count(*) FROM wakeups WHERE due_at <= now() AND sweeps = 0").await?,
        1
    );
    let again = world.claim(&[run]).await?;
    assert_eq!(again.iter().map(|run| (run.epoch, run.abandoned)).collect::<Vec<_>>(), [(3, 1)]);
    Ok(())
}

#[tokio::test]
async fn a_claim_after_many_looks_brings_the_next_look_to_the_end_of_its_lease() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.database.execute("UPDATE wakeups SET due_at = now() + interval '21 minutes', sweeps = 8").await?;
    assert_eq!(world.claim(&[run]).await?.len(), 1);
    let at_the_end = "SELECT count(*) FROM wakeups w JOIN runs_open r USING (tenant_id, run_id)
                       WHERE w.due_at = r.lease_until AND w.sweeps = 0";
    assert_eq!(world.database.count(at_the_end).await?, 1);
    Ok(())
}
