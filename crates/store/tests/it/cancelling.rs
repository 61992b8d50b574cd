//! A person ends a run, whoever holds it.

use crate::world::World;
use automation_domain::id::RunId;
use automation_domain::interpreter::End;
use automation_store::Scope;
use automation_store::events::receipts;
use automation_store::runs::cancel::{Cancelled, cancel};
use automation_store::runs::checkpoints::{self, Checkpoint, Next};
use automation_store::runs::lists::{self, RunStatus};

async fn cancelled(world: &World, run: RunId) -> anyhow::Result<Cancelled> {
    let outcome = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            cancel(
                connection,
                world.tenant,
                run,
                &automation_test_support::builders::auditor("cli"),
                "no longer needed",
            )
            .await
        })
        .await?;
    Ok(outcome)
}

#[tokio::test]
async fn a_queued_run_ends_as_cancelled_with_a_line_in_its_history() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world
        .database
        .execute(&format!(
            "INSERT INTO enrolments SELECT tenant_id, workflow_id, run_key, run_id, true, 1, now() FROM runs_open WHERE run_id = '{run}'"
        ))
        .await?;
    assert_eq!(cancelled(&world, run).await?, Cancelled::Now);
    assert_eq!(cancelled(&world, run).await?, Cancelled::AlreadyEnded(RunStatus::Cancelled));
    let detail = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| lists::by_id(connection, world.tenant, run).await)
        .await?
        .unwrap();
    assert_eq!(detail.summary.status, RunStatus::Cancelled);
    assert_eq!(detail.state.unwrap().end, Some(End::Cancelled { reason: "no longer needed".to_owned() }));
    let [entry] = detail.log.as_slice() else { panic!("{:?}", detail.log) };
    assert_eq!((entry.seq, entry.worker.as_str(), entry.steps[0].action.as_str()), (1, "cli", "cancel"));
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups").await?, 0);
    assert_eq!(world.database.count("SELECT count(*) FROM enrolments WHERE open").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_a_worker_was_doing_with_the_run_is_void() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    assert_eq!(cancelled(&world, run).await?, Cancelled::Now);
    let checkpoint = Checkpoint {
        tenant_id: world.tenant,
        run_id: run,
        epoch: 1,
        priority: automation_domain::priority::Priority::Medium,
        next: Next::Finished { status: automation_domain::interpreter::EndStatus::Completed },
        state: b"{}".to_vec(),
        steps: Vec::new(),
    };
    let held = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await
        })
        .await?;
    assert!(held.is_empty());
    assert_eq!(
        world.database.count("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'").await?,
        1
    );
    assert!(world.claim(&[run]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_run_of_another_tenant_is_not_found() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let other = automation_test_support::builders::tenant(&world.operator, "rival").await?;
    let outcome = world
        .api
        .tx(Scope::Tenant(other), async |connection| {
            cancel(connection, world.tenant, run, &automation_test_support::builders::auditor("cli"), "")
                .await
        })
        .await?;
    assert_eq!(outcome, Cancelled::NotFound);
    assert_eq!(world.claim(&[run]).await?.len(), 1);
    Ok(())
}
