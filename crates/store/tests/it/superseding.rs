//! Runs whose place others take.

use crate::world::World;
use automation_domain::id::RunId;
use automation_domain::interpreter::InboxInput;
use automation_store::events::receipts;
use automation_store::runs::supersede::{self, Superseded};
use automation_store::runs::{hold, inbox};
use uuid::Uuid;

async fn supersede(world: &World, run_id: RunId) -> anyhow::Result<usize> {
    let by = RunId(Uuid::from_u128(7));
    let one = Superseded { tenant_id: world.tenant, run_id, by };
    let called = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            supersede::end(connection, now, &[one]).await
        })
        .await?;
    Ok(called.len())
}

#[tokio::test]
async fn a_run_that_nobody_holds_ends_at_once_and_owns_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    assert_eq!(supersede(&world, run).await?, 0, "nobody has to be told");
    for (table, rows) in
        [("runs_open", 0), ("runs_finished", 1), ("wakeups", 0), ("run_inbox", 0), ("workflow_run_logs", 1)]
    {
        assert_eq!(world.database.count(&format!("SELECT count(*) FROM {table}")).await?, rows, "{table}");
    }
    assert_eq!(supersede(&world, run).await?, 0, "it is gone already");
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_held_hears_that_another_took_its_place() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?.run_id;
    world.claim(&[run]).await?;
    assert_eq!(supersede(&world, run).await?, 1);
    let heard = world
        .worker
        .tx(world.scope(), async |connection| inbox::read(connection, &[(world.tenant, run)]).await)
        .await?;
    let reason = "run 00000000-0000-0000-0000-000000000007 took its place".to_owned();
    assert_eq!(heard[&(world.tenant, run)][0].input, Some(InboxInput::Cancel { reason }));
    assert_eq!(world.database.count("SELECT count(*) FROM runs_open").await?, 1);
    let asked = world
        .worker
        .tx(world.scope(), async |connection| hold::asked(connection, &[(world.tenant, run)]).await)
        .await?;
    assert!(asked.called.contains(&(world.tenant, run)), "whoever holds it looks before the next step");
    assert!(asked.held.is_empty());
    Ok(())
}
