//! A person holds a run, and lets it go on.

use crate::world::World;
use automation_domain::id::RunId;
use automation_domain::priority::Priority;
use automation_store::events::receipts;
use automation_store::runs::cancel::{self, Cancelled};
use automation_store::runs::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::runs::hold::{self, Changed};
use automation_store::runs::lists::RunStatus;
use automation_store::{Error, Scope, workflows};
use automation_test_support::builders::ada;
use chrono::TimeDelta;

async fn pause(world: &World, run: RunId) -> Result<Changed, Error> {
    world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            hold::pause(connection, (world.tenant, run), ada(), "wait").await
        })
        .await
}

async fn resume(world: &World, run: RunId) -> Result<Changed, Error> {
    world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            hold::resume(connection, (world.tenant, run), ada(), "go on").await
        })
        .await
}

/// Ends a claim of the first epoch.
async fn settle(world: &World, run_id: RunId, next: Next) -> anyhow::Result<usize> {
    let checkpoint = Checkpoint {
        tenant_id: world.tenant,
        run_id,
        epoch: 1,
        priority: Priority::Medium,
        next,
        state: b"{}".to_vec(),
        steps: b"[]".to_vec(),
    };
    let held = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await
        })
        .await?;
    Ok(held.len())
}

async fn set_state(world: &World, state: &str) -> anyhow::Result<()> {
    let workflow = world.workflow.workflow_id;
    world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            workflows::set_state(connection, world.tenant, workflow, state).await?;
            workflows::release_held(connection, world.tenant, workflow, None, 10).await
        })
        .await?;
    Ok(())
}

async fn status(world: &World) -> anyhow::Result<Vec<String>> {
    let mut connection = world.database.superuser().await?;
    Ok(sqlx::query_scalar("SELECT status FROM runs_open ORDER BY run_id").fetch_all(&mut connection).await?)
}

#[tokio::test]
async fn a_held_run_is_not_claimed_and_nothing_looks_after_it_until_it_is_resumed() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    assert_eq!(pause(&world, run).await?, Changed::Now);
    assert_eq!(pause(&world, run).await?, Changed::Already);
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups WHERE due_at < 'infinity'").await?, 0);
    assert!(world.claim(&[run]).await?.is_empty());
    assert_eq!(resume(&world, run).await?, Changed::Now);
    assert_eq!(resume(&world, run).await?, Changed::Already);
    assert_eq!(status(&world).await?, ["queued"]);
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups WHERE due_at <= now()").await?, 1);
    assert_eq!(world.claim(&[run]).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_held_while_a_worker_has_it_is_paused_when_the_claim_ends() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    assert_eq!(pause(&world, run).await?, Changed::Now);
    assert_eq!(status(&world).await?, ["running"]);
    let past = chrono::DateTime::UNIX_EPOCH;
    let waiting = Next::Waiting { wakeups: vec![Wakeup::timer(0, past)] };
    assert_eq!(settle(&world, run, waiting).await?, 1, "what the worker did counts");
    assert_eq!(status(&world).await?, ["paused"]);
    assert!(world.claim(&[run]).await?.is_empty());
    assert_eq!(resume(&world, run).await?, Changed::Now);
    let claimed = world.claim(&[run]).await?;
    assert_eq!(claimed.iter().map(|run| run.is_held).collect::<Vec<_>>(), [false]);
    Ok(())
}

#[tokio::test]
async fn a_held_run_whose_worker_vanished_is_claimed_as_held() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    pause(&world, run).await?;
    world.expire_leases().await?;
    let claimed = world.claim(&[run]).await?;
    assert_eq!(claimed.iter().map(|run| run.is_held).collect::<Vec<_>>(), [true]);
    Ok(())
}

#[tokio::test]
async fn a_resumed_run_keeps_a_time_that_is_to_come_and_is_late_for_one_that_passed() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    let run = started.run_id;
    world.claim(&[run]).await?;
    let at = |hours| started.received_at + TimeDelta::hours(hours);
    let wakeups = vec![Wakeup::timer(0, at(-1)), Wakeup::timer(1, at(1))];
    settle(&world, run, Next::Waiting { wakeups }).await?;
    pause(&world, run).await?;
    resume(&world, run).await?;
    assert_eq!(status(&world).await?, ["waiting"]);
    for (token, when) in
        [(0, "due_at BETWEEN now() - interval '1 minute' AND now()"), (1, "due_at = ready_at")]
    {
        let sql = format!("SELECT count(*) FROM wakeups WHERE token = {token} AND {when}");
        assert_eq!(world.database.count(&sql).await?, 1, "{token}");
    }
    Ok(())
}

#[tokio::test]
async fn a_run_goes_on_when_neither_a_person_nor_its_workflow_holds_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (held, other) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    set_state(&world, "paused").await?;
    for run in [held, other] {
        world.claim(&[run]).await?;
        settle(&world, run, Next::Paused).await?;
    }
    assert_eq!(pause(&world, held).await?, Changed::Now);
    set_state(&world, "active").await?;
    assert!(world.claim(&[held]).await?.is_empty());
    assert_eq!(world.claim(&[other]).await?.len(), 1);
    // Resumed while its workflow is paused, it is for whoever takes it up to hold it for that.
    set_state(&world, "paused").await?;
    assert_eq!(resume(&world, held).await?, Changed::Now);
    let claimed = world.claim(&[held]).await?;
    assert_eq!(claimed.iter().map(|run| run.is_held).collect::<Vec<_>>(), [false]);
    Ok(())
}

#[tokio::test]
async fn a_held_run_is_cancelled_like_any_other() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    pause(&world, run).await?;
    let cancelled = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            cancel::cancel(connection, world.tenant, run, ada(), "enough").await
        })
        .await?;
    assert_eq!(cancelled, Cancelled::Now);
    assert_eq!(resume(&world, run).await?, Changed::Ended(RunStatus::Cancelled));
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_run_that_ended_is_neither_held_nor_let_go() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    settle(&world, run, Next::Finished { status: automation_domain::interpreter::EndStatus::Completed })
        .await?;
    assert_eq!(pause(&world, run).await?, Changed::Ended(RunStatus::Completed));
    assert_eq!(resume(&world, run).await?, Changed::Ended(RunStatus::Completed));
    assert_eq!(pause(&world, RunId(uuid::Uuid::nil())).await?, Changed::NotFound);
    assert_eq!(world.database.count("SELECT count(*) FROM audit_links").await?, 0);
    Ok(())
}
