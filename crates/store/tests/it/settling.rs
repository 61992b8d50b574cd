//! Checkpoints: only who holds the claim changes anything, and a run ends once.

use crate::world::{LEASE, World};
use automation_domain::id::RunId;
use automation_domain::priority::Priority;
use automation_store::events::receipts;
use automation_store::runs::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::{Scope, runs};
use chrono::TimeDelta;

fn checkpoint(world: &World, run_id: RunId, epoch: i32, next: Next) -> Checkpoint {
    let steps = br#"[{"node":"tag","action":"add_tag","visit":1,"outcome":"completed"}]"#.to_vec();
    Checkpoint {
        tenant_id: world.tenant,
        run_id,
        epoch,
        priority: Priority::Medium,
        next,
        state: b"{}".to_vec(),
        steps,
    }
}

fn completed(world: &World, run_id: RunId, epoch: i32) -> Checkpoint {
    checkpoint(
        world,
        run_id,
        epoch,
        Next::Finished { status: automation_domain::interpreter::EndStatus::Completed },
    )
}

/// Settles and logs what was held, and says how many that were.
async fn settle(world: &World, checkpoints: &[Checkpoint]) -> anyhow::Result<usize> {
    let held = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            checkpoints::settle(connection, now, "worker-1", checkpoints).await
        })
        .await?;
    Ok(held.len())
}

#[tokio::test]
async fn a_finished_run_is_in_one_place_and_owed_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    assert_eq!(settle(&world, &[completed(&world, run, 1)]).await?, 1);
    assert_eq!(settle(&world, &[completed(&world, run, 1)]).await?, 0);
    for (table, rows) in [
        ("runs_open", 0),
        ("runs_finished", 1),
        ("wakeups", 0),
        ("workflow_runs", 1),
        ("workflow_run_logs", 1),
    ] {
        assert_eq!(world.database.count(&format!("SELECT count(*) FROM {table}")).await?, rows, "{table}");
    }
    assert!(world.claim(&[run]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn runs_claimed_and_settled_in_one_transaction_end_up_as_in_two() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut runs = Vec::new();
    for id in ["1", "2", "3", "4"] {
        runs.push(world.run(id).await?.run_id);
    }
    let [ends, waits, left, sends] = runs[..] else { anyhow::bail!("four runs") };
    let nudged = [ends, waits, left, sends].map(|run| (world.tenant, run));
    let held = world
        .worker
        .tx(world.scope(), async |connection| {
            let (claim, places) = runs::claim_here(connection, &nudged).await?;
            assert_eq!(claim.runs.iter().map(|run| run.epoch).collect::<Vec<_>>(), [1, 1, 1, 1]);
            runs::write_claims(connection, &[(world.tenant, left)], LEASE).await?;
            let wakeups = vec![Wakeup::timer(1, claim.now - TimeDelta::seconds(1))];
            let sending = vec![Wakeup { due_at: None, ..Wakeup::timer(0, claim.now) }];
            let all = [
                completed(&world, ends, 1),
                checkpoint(
                    &world,
                    sends,
                    1,
                    Next::Sending { lease: LEASE, progress: true, wakeups: sending },
                ),
                checkpoint(&world, waits, 1, Next::Waiting { wakeups }),
                checkpoint(&world, RunId(uuid::Uuid::nil()), 1, Next::Paused),
            ];
            checkpoints::settle_here(connection, claim.now, "worker-1", &all, &places).await
        })
        .await?;
    assert_eq!(held, [ends, waits, sends].map(|run| (world.tenant, run)).into());
    for (what, rows) in [
        ("runs_finished WHERE epoch = 1", 1),
        ("workflow_run_logs WHERE seq = 1", 3),
        ("runs_open WHERE epoch = 1 AND status = 'waiting' AND lease_until IS NULL", 1),
        ("runs_open WHERE epoch = 1 AND status = 'running' AND lease_until > now()", 1),
        ("runs_open WHERE epoch = 2 AND status = 'running' AND lease_until > now()", 1),
        ("wakeups WHERE token = 1", 1),
        ("wakeups WHERE token = 0", 2),
    ] {
        assert_eq!(world.database.count(&format!("SELECT count(*) FROM {what}")).await?, rows, "{what}");
    }
    let again = world.claim(&[ends, waits, left, sends]).await?;
    assert_eq!(again.iter().map(|run| (run.run_id, run.epoch)).collect::<Vec<_>>(), [(waits, 2)]);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_lost_its_claim_changes_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    world.expire_leases().await?;
    world.claim(&[run]).await?;
    let late = world.database.count("SELECT extract(epoch FROM ready_at)::int8 FROM wakeups").await?;
    let waiting = Next::Waiting {
        wakeups: vec![Wakeup::timer(0, chrono::DateTime::from_timestamp(2_000_000_000, 0).unwrap())],
    };
    for stale in [
        completed(&world, run, 1),
        checkpoint(&world, run, 1, waiting),
        checkpoint(&world, run, 1, Next::Paused),
    ] {
        assert_eq!(settle(&world, &[stale]).await?, 0);
    }
    let untouched = "SELECT count(*) FROM runs_open WHERE status = 'running' AND epoch = 2 AND state IS NULL";
    assert_eq!(world.database.count(untouched).await?, 1);
    assert_eq!(world.database.count("SELECT extract(epoch FROM ready_at)::int8 FROM wakeups").await?, late);
    assert_eq!(world.database.count("SELECT count(*) FROM workflow_run_logs").await?, 0);
    assert_eq!(settle(&world, &[completed(&world, run, 2)]).await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_two_workers_that_finish_at_once_one_does() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    let finish = [completed(&world, run, 1)];
    let (a, b, c) = tokio::join!(settle(&world, &finish), settle(&world, &finish), settle(&world, &finish));
    assert_eq!(a? + b? + c?, 1);
    Ok(())
}

#[tokio::test]
async fn a_batch_settles_what_it_holds_and_leaves_the_rest() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (held, lost) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    world.claim(&[held, lost]).await?;
    let batch = [completed(&world, held, 1), completed(&world, lost, 0)];
    assert_eq!(settle(&world, &batch).await?, 1);
    assert_eq!(world.database.count("SELECT count(*) FROM runs_open WHERE status = 'running'").await?, 1);
    assert_eq!(world.database.count("SELECT count(*) FROM runs_finished").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_waiting_run_is_owed_a_wakeup_for_each_of_its_branches() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    world.claim(&[started.run_id]).await?;
    let at = |hours| started.received_at + TimeDelta::hours(hours);
    let waits = |wakeups| checkpoint(&world, started.run_id, 1, Next::Waiting { wakeups });
    assert_eq!(settle(&world, &[waits(vec![Wakeup::timer(1, at(1)), Wakeup::timer(2, at(2))])]).await?, 1);
    let tokens =
        "SELECT count(*) FROM wakeups WHERE token IN (1, 2) AND due_at = ready_at AND reason = 'timer'";
    assert_eq!(world.database.count(tokens).await?, 2);
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups").await?, 2);
    // Not before the first of the times.
    assert!(world.claim(&[started.run_id]).await?.is_empty());
    world.database.execute("UPDATE wakeups SET ready_at = now() WHERE token = 1").await?;
    let claimed = world.claim(&[started.run_id]).await?;
    assert_eq!(claimed.iter().map(|run| (run.epoch, run.abandoned)).collect::<Vec<_>>(), [(2, 0)]);
    Ok(())
}

#[tokio::test]
async fn a_paused_run_sleeps_until_its_workflow_is_resumed() -> anyhow::Result<()> {
    use automation_store::workflows;
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    let set = async |state| {
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                let workflow = world.workflow.workflow_id;
                let changed = workflows::set_state(connection, world.tenant, workflow, state).await?;
                let released = workflows::release_held(connection, world.tenant, workflow, None, 10).await?;
                assert!(released.is_none() || state == "active");
                Ok::<_, automation_store::Error>(changed)
            })
            .await
    };
    assert!(set("paused").await?);
    assert!(!set("paused").await?);
    assert_eq!(settle(&world, &[checkpoint(&world, run, 1, Next::Paused)]).await?, 1);
    assert!(world.claim(&[run]).await?.is_empty());
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups WHERE due_at = 'infinity'").await?, 1);
    assert!(set("active").await?);
    assert_eq!(world.claim(&[run]).await?.len(), 1);
    Ok(())
}
