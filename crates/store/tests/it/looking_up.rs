//! What is looked up is read, and nothing else: the runs of a batch, also when the tables were empty when they were last
//! analysed, and what came for a contact.

use crate::world::World;
use automation_domain::id::{ContactId, RecordId, RunId};
use automation_domain::priority::Priority;
use automation_store::events::receipts;
use automation_store::records::{RecordFilter, notes, tasks};
use automation_store::role::Role;
use automation_store::runs::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::{Conn, Scope, runs};

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
async fn report(connection: &mut Conn<impl Role>) -> anyhow::Result<()> {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(connection.bare()).await?;
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

#[tokio::test]
async fn notes_and_tasks_of_a_contact_are_read_without_those_of_others() -> anyhow::Result<()> {
    const OF_ADA: usize = 5;
    let world = World::new().await?;
    let (tenant, ada) = (world.tenant.0, ContactId::derive(world.tenant, "ada"));
    let contact = format!("CASE WHEN i % 2000 = 0 THEN '{}' ELSE gen_random_uuid() END", ada.0);
    world
        .database
        .execute(&format!(
            "INSERT INTO notes (tenant_id, note_id, contact_id, run_id, body, created_at)
             SELECT '{tenant}', gen_random_uuid(), {contact}, gen_random_uuid(), '', now()
               FROM generate_series(1, {OF_ADA} * 2000) AS i;
             INSERT INTO tasks (tenant_id, task_id, contact_id, run_id, title, created_at)
             SELECT '{tenant}', gen_random_uuid(), {contact}, gen_random_uuid(), '', now()
               FROM generate_series(1, {OF_ADA} * 2000) AS i;
             ANALYZE notes, tasks;"
        ))
        .await?;
    let list = async |before: Option<RecordId>, limit: i64| {
        let filter = RecordFilter { contact: Some(ada), before, ..RecordFilter::default() };
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                let notes = notes::list(connection, world.tenant, &filter, limit).await?;
                let tasks = tasks::list(connection, world.tenant, &filter, limit).await?;
                report(connection).await?;
                let notes: Vec<_> = notes.into_iter().map(|listed| listed.record.note_id).collect();
                anyhow::Ok((notes, tasks.len()))
            })
            .await
    };
    let (notes, tasks) = list(None, 10).await?;
    assert_eq!((notes.len(), tasks), (OF_ADA, OF_ADA));
    for table in ["notes", "tasks"] {
        assert_eq!(fetched(&world, table).await?, i64::try_from(OF_ADA)?, "{table}");
    }
    assert!(notes.is_sorted_by(|left, right| left > right), "{notes:?}");
    assert_eq!(list(Some(notes[1]), 2).await?.0, notes[2..4]);
    Ok(())
}

#[tokio::test]
async fn rows_that_come_with_every_run_stand_in_no_index_by_contact() -> anyhow::Result<()> {
    let world = World::new().await?;
    // Each row would be written to a page of its own. Tables of which the bucket is in front have the contact last.
    let by_contact = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
                        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'contact_id'
                       WHERE c.relname ~ '^(events|runs|notes|tasks)' AND a.attnum = ANY ((i.indkey::int2[])[0:1])";
    assert_eq!(world.database.count(by_contact).await?, 0);
    // It is stored in rows: a bucket that changes would lose them.
    let bucket = "SELECT contact_bucket('01234567-89ab-4def-8123-456789abcdef')::int8";
    assert_eq!(world.database.count(bucket).await?, 0xdef);
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
                        Next::Finished { status: automation_domain::interpreter::EndStatus::Completed }
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
