//! What waiting runs are to hear: kept until a checkpoint took it in, and not a moment longer.

use crate::world::World;
use automation_domain::id::{EventId, RunId};
use automation_domain::interpreter::InboxInput;
use automation_domain::priority::Priority;
use automation_store::events::receipts;
use automation_store::runs::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::runs::{self, Claim, inbox};
use automation_store::{Error, Scope};
use chrono::TimeDelta;
use uuid::Uuid;

fn cancel(reason: &str) -> InboxInput {
    InboxInput::Cancel { reason: reason.to_owned() }
}

async fn put(world: &World, run: RunId, reasons: &[&str]) -> Result<usize, Error> {
    let inputs: Vec<_> = reasons.iter().map(|reason| (world.tenant, run, cancel(reason))).collect();
    let scope = Scope::Tenant(world.tenant);
    world.api.tx(scope, async |connection| Ok(inbox::put(connection, &inputs).await?.len())).await
}

/// Claims the run, if it may be, and gives what it has to hear.
async fn claim(world: &World, run: RunId) -> Result<Option<(i32, Vec<inbox::Queued>)>, Error> {
    let key = (world.tenant, run);
    world
        .worker
        .tx(world.scope(), async |connection| {
            let Claim { runs, called, .. } = runs::claim(connection, &[key], crate::world::LEASE).await?;
            let mut queued = inbox::read(connection, &called.into_iter().collect::<Vec<_>>()).await?;
            Ok(runs.first().map(|run| (run.epoch, queued.remove(&key).unwrap_or_default())))
        })
        .await
}

/// Ends a claim so, taking this out of the inbox.
async fn settle(world: &World, run: RunId, epoch: i32, next: Next, heard: &[i64]) -> Result<bool, Error> {
    let is_end = matches!(next, Next::Finished { .. });
    let (tenant_id, priority) = (world.tenant, Priority::Medium);
    let (state, steps) = (b"{}".to_vec(), Vec::new());
    let checkpoint = Checkpoint { tenant_id, run_id: run, epoch, priority, next, state, steps };
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            let held = checkpoints::settle(connection, now, "w", std::slice::from_ref(&checkpoint)).await?;
            let heard: Vec<_> = heard.iter().map(|sequence| (tenant_id, run, *sequence)).collect();
            let ended = if is_end { vec![(tenant_id, run)] } else { Vec::new() };
            inbox::take_out(connection, &heard, &ended).await?;
            Ok(!held.is_empty())
        })
        .await
}

/// A run that waits for an hour.
async fn waiting(world: &World) -> anyhow::Result<RunId> {
    let run = world.run("1").await?.run_id;
    let (epoch, queued) = claim(world, run).await?.unwrap();
    assert_eq!(queued, []);
    settle(world, run, epoch, in_an_hour(world).await?, &[]).await?;
    assert_eq!(claim(world, run).await?, None, "it waits");
    Ok(run)
}

async fn in_an_hour(world: &World) -> Result<Next, Error> {
    let now = world.worker.tx(world.scope(), receipts::now).await?;
    Ok(Next::Waiting { wakeups: vec![Wakeup::timer(0, now + TimeDelta::hours(1))] })
}

const CALLS: &str = "SELECT count(*) FROM wakeups WHERE token = -1";
const INPUTS: &str = "SELECT count(*) FROM run_inbox";

#[tokio::test]
async fn an_input_wakes_its_run_and_goes_with_the_checkpoint_that_took_it_in() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = waiting(&world).await?;
    assert_eq!(put(&world, run, &["a", "b"]).await?, 1);
    let due = "SELECT count(*) FROM wakeups WHERE token = -1 AND due_at <= now()";
    assert_eq!(world.database.count(due).await?, 1, "the sweep finds it at once");
    let (epoch, queued) = claim(&world, run).await?.unwrap();
    let told: Vec<_> = queued.iter().map(|one| one.input.clone().unwrap()).collect();
    assert_eq!(told, [cancel("a"), cancel("b")], "in the order of arrival");
    // What comes while the run is held is not lost with what was there.
    assert_eq!(put(&world, run, &["c"]).await?, 1);
    let heard: Vec<i64> = queued.iter().map(|one| one.sequence).collect();
    settle(&world, run, epoch, in_an_hour(&world).await?, &heard).await?;
    assert_eq!((world.database.count(CALLS).await?, world.database.count(INPUTS).await?), (1, 1));
    let (epoch, queued) = claim(&world, run).await?.unwrap();
    assert_eq!(queued.len(), 1);
    settle(&world, run, epoch, in_an_hour(&world).await?, &[queued[0].sequence]).await?;
    assert_eq!((world.database.count(CALLS).await?, world.database.count(INPUTS).await?), (0, 0));
    assert_eq!(claim(&world, run).await?, None, "and it waits as before");
    Ok(())
}

#[tokio::test]
async fn a_checkpoint_that_read_nothing_leaves_inputs_and_their_wakeup() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let (epoch, _) = claim(&world, run).await?.unwrap();
    put(&world, run, &["a"]).await?;
    // The sweep looked in vain while the run was held, and would wait long before it looks again.
    world.database.execute("UPDATE wakeups SET due_at = now() + interval '1 hour', sweeps = 8").await?;
    settle(&world, run, epoch, in_an_hour(&world).await?, &[]).await?;
    let due = "SELECT count(*) FROM wakeups WHERE token = -1 AND due_at <= now() AND sweeps = 0";
    assert_eq!((world.database.count(due).await?, world.database.count(INPUTS).await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_paused_run_may_be_claimed_for_what_it_is_to_hear_and_for_nothing_else() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let (epoch, _) = claim(&world, run).await?.unwrap();
    settle(&world, run, epoch, Next::Paused, &[]).await?;
    assert_eq!(claim(&world, run).await?, None);
    put(&world, run, &["a"]).await?;
    let (epoch, queued) = claim(&world, run).await?.unwrap();
    settle(&world, run, epoch, Next::Paused, &[queued[0].sequence]).await?;
    assert_eq!((claim(&world, run).await?, world.database.count(CALLS).await?), (None, 0));
    Ok(())
}

#[tokio::test]
async fn what_is_for_a_run_that_is_not_open_goes_with_the_nudge_that_finds_it_out() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let (epoch, _) = claim(&world, run).await?.unwrap();
    settle(
        &world,
        run,
        epoch,
        Next::Finished { status: automation_domain::interpreter::EndStatus::Completed },
        &[],
    )
    .await?;
    assert_eq!(put(&world, run, &["late"]).await?, 0, "it is not kept");
    assert_eq!(world.database.count(INPUTS).await?, 0);
    // As if it had come in beside the end.
    world
        .database
        .execute(&format!(
            "INSERT INTO run_inbox (tenant_id, run_id, input) VALUES ('{0}', '{1}', '{{}}');
             INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
             VALUES ('{0}', '{1}', -1, now(), now(), 1, 'inbox')",
            world.tenant, run
        ))
        .await?;
    assert_eq!(claim(&world, run).await?, None);
    assert_eq!((world.database.count(CALLS).await?, world.database.count(INPUTS).await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_run_that_ends_takes_all_along_that_it_has_not_heard() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = waiting(&world).await?;
    put(&world, run, &["a", "b"]).await?;
    let (epoch, queued) = claim(&world, run).await?.unwrap();
    settle(
        &world,
        run,
        epoch,
        Next::Finished { status: automation_domain::interpreter::EndStatus::Cancelled },
        &[queued[0].sequence],
    )
    .await?;
    assert_eq!((world.database.count(CALLS).await?, world.database.count(INPUTS).await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn an_inbox_has_an_end_and_what_this_version_cannot_read_is_left_in_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = waiting(&world).await?;
    let most = usize::try_from(inbox::MOST_INPUTS)?;
    put(&world, run, &vec!["a"; most]).await?;
    let event = InboxInput::Event { event: EventId(Uuid::from_u128(1)), changes_contact: false };
    let told = world
        .worker
        .tx(world.scope(), async |connection| {
            inbox::put(connection, &[(world.tenant, run, event.clone())]).await
        })
        .await?;
    assert!(told.is_empty(), "there is no room");
    assert_eq!(world.database.count(INPUTS).await?, inbox::MOST_INPUTS);
    assert_eq!(put(&world, run, &["the end"]).await?, 1, "there is always room for its end");
    world
        .database
        .execute(r#"UPDATE run_inbox SET input = '{"kind":"sing"}' WHERE sequence % 2 = 0"#)
        .await?;
    let (_, queued) = claim(&world, run).await?.unwrap();
    // A hundred at once.
    assert_eq!(queued.iter().filter(|one| one.input.is_none()).count(), 50);
    Ok(())
}
