//! The sweep finds what is owed, again and again until it is done.

use crate::world::World;
use automation_store::Scope;
use automation_store::runs::wakeups::{self, Due};
use std::time::Duration;

const FIRST_LOOK: Duration = Duration::from_secs(5);

async fn take(world: &World, limit: i64) -> anyhow::Result<Vec<Due>> {
    let due = world
        .scheduler
        .tx(Scope::Unscoped, async |connection| wakeups::take_due(connection, limit, FIRST_LOOK).await)
        .await?;
    Ok(due)
}

#[tokio::test]
async fn a_fresh_run_is_left_to_its_own_nudge_first() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.run("1").await?;
    assert!(take(&world, 10).await?.is_empty());
    let next = world.scheduler.tx(Scope::Unscoped, wakeups::next_due_in).await?;
    assert!(next.is_some_and(|wait| wait > Duration::from_secs(1) && wait <= FIRST_LOOK), "{next:?}");
    Ok(())
}

#[tokio::test]
async fn a_due_wakeup_is_taken_once_and_falls_due_again_later_each_time() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.make_wakeups_due().await?;
        assert_eq!(take(&world, 10).await?.iter().map(|due| due.run_id).collect::<Vec<_>>(), [run]);
        assert!(take(&world, 10).await?.is_empty());
        let wait = world.scheduler.tx(Scope::Unscoped, wakeups::next_due_in).await?;
        waits.push(wait.map(|wait| wait.as_secs_f64().ceil() as u64));
    }
    assert_eq!(waits, [Some(5), Some(10), Some(20), Some(40)]);
    // It is still owed: only the run's end removes it.
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_was_taken_for_nothing_is_due_as_if_it_had_not_been() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (given, moved) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    world.make_wakeups_due().await?;
    let taken = take(&world, 10).await?;
    assert_eq!(taken.len(), 2);
    // Meanwhile a worker has got hold of the second run.
    world.claim(&[moved]).await?;
    let held = format!("UPDATE wakeups SET due_at = now() + interval '1 hour' WHERE run_id = '{moved}'");
    world.database.execute(&held).await?;
    world
        .scheduler
        .tx(Scope::Unscoped, async |connection| wakeups::give_back(connection, &taken).await)
        .await?;
    assert_eq!(world.database.count("SELECT count(*) FROM wakeups WHERE sweeps = 0").await?, 1);
    assert_eq!(take(&world, 10).await?.iter().map(|due| due.run_id).collect::<Vec<_>>(), [given]);
    Ok(())
}

#[tokio::test]
async fn two_schedulers_do_not_take_the_same_wakeup() -> anyhow::Result<()> {
    let world = World::new().await?;
    for id in 0..40 {
        world.run(&id.to_string()).await?;
    }
    world.make_wakeups_due().await?;
    let (a, b, c) = tokio::join!(take(&world, 40), take(&world, 40), take(&world, 40));
    let mut taken: Vec<_> = [a?, b?, c?].into_iter().flatten().map(|due| due.run_id).collect();
    taken.sort();
    let all = taken.len();
    taken.dedup();
    assert_eq!((taken.len(), all), (40, 40));
    Ok(())
}

#[tokio::test]
async fn the_longest_due_is_taken_first() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (_young, old) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    world.make_wakeups_due().await?;
    world
        .database
        .execute(&format!("UPDATE wakeups SET due_at = now() - interval '1 hour' WHERE run_id = '{old}'"))
        .await?;
    assert_eq!(take(&world, 1).await?.iter().map(|due| due.run_id).collect::<Vec<_>>(), [old]);
    Ok(())
}

#[tokio::test]
async fn nothing_owed_is_nothing_due() -> anyhow::Result<()> {
    let world = World::new().await?;
    assert!(take(&world, 10).await?.is_empty());
    assert_eq!(world.scheduler.tx(Scope::Unscoped, wakeups::next_due_in).await?, None);
    assert_eq!(world.scheduler.tx(Scope::Unscoped, wakeups::oldest_due).await?, None);
    Ok(())
}
