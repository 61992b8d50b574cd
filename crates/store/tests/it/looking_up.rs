//! Work on a few runs reads those runs and no others, also when the tables were empty when they were last analysed.

use crate::world::World;
use automation_domain::id::RunId;
use automation_domain::priority::Priority;
use automation_store::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::{PgConnection, receipts, runs};

const OPEN: usize = 600;
const BATCH: usize = 50;

/// Rows of this table that any index scan has fetched so far.
async fn fetched(world: &World, table: &str) -> anyhow::Result<i64> {
    world
        .database
        .count(&format!(
            "SELECT coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = '{table}'"
        ))
        .await
}

/// Statistics of a transaction are otherwise reported up to a second later.
async fn report(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(connection).await?;
    Ok(())
}

#[tokio::test]
async fn a_batch_reads_its_own_runs_only_when_tables_were_empty_at_their_analysis() -> anyhow::Result<()> {
    let world = World::new().await?;
    // Drained, with pages that held rows: the planner then believes in no rows at all.
    let first = world.run("first").await?.run_id;
    world.database.execute("UPDATE runs_open SET abandoned = 0").await?;
    world.claim(&[first]).await?;
    settle(&world, &[(first, 1)], true).await?;
    world.database.execute("ANALYZE runs_open, wakeups").await?;
    let mut open = Vec::new();
    for id in 0..OPEN {
        open.push(world.run(&id.to_string()).await?.run_id);
    }
    let batch = &open[..BATCH];
    let before = (fetched(&world, "runs_open").await?, fetched(&world, "wakeups").await?);

    let nudged: Vec<_> = batch.iter().map(|run| (world.tenant, *run)).collect();
    let claimed = world
        .worker
        .tx(world.scope(), async |connection| {
            let claimed = runs::claim(connection, &nudged, crate::world::LEASE).await?;
            report(connection).await?;
            anyhow::Ok(claimed.runs)
        })
        .await?;
    assert_eq!(claimed.len(), BATCH);
    let (waiting, ending) = batch.split_at(BATCH / 2);
    settle(&world, &waiting.iter().map(|run| (*run, 1)).collect::<Vec<_>>(), false).await?;
    settle(&world, &ending.iter().map(|run| (*run, 1)).collect::<Vec<_>>(), true).await?;

    let read = (fetched(&world, "runs_open").await? - before.0, fetched(&world, "wakeups").await? - before.1);
    let enough = i64::try_from(8 * BATCH)?;
    assert!(
        read.0 >= i64::try_from(BATCH)? && read.0 <= enough,
        "runs_open: {} rows for {BATCH} runs",
        read.0
    );
    assert!(read.1 >= i64::try_from(BATCH)? && read.1 <= enough, "wakeups: {} rows for {BATCH} runs", read.1);
    Ok(())
}

async fn settle(world: &World, runs: &[(RunId, i32)], end: bool) -> anyhow::Result<()> {
    let held = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            let checkpoints: Vec<Checkpoint> = runs
                .iter()
                .map(|(run_id, epoch)| Checkpoint {
                    tenant_id: world.tenant,
                    run_id: *run_id,
                    epoch: *epoch,
                    priority: Priority::Medium,
                    next: if end {
                        Next::Finished { status: "completed" }
                    } else {
                        Next::Waiting { wakeups: vec![Wakeup::timer(0, now + chrono::TimeDelta::hours(1))] }
                    },
                    state: b"{}".to_vec(),
                    steps: Vec::new(),
                })
                .collect();
            let held = checkpoints::settle(connection, now, "worker-1", &checkpoints).await?;
            report(connection).await?;
            anyhow::Ok(held)
        })
        .await?;
    assert_eq!(held.len(), runs.len());
    Ok(())
}
