//! Days are made ahead, retired and dropped; what open runs need outlives its day.

use crate::world::{AnyPool, World};
use automation_store::Scope;
use automation_store::upkeep::partitions;

async fn ensure(world: &World, days: i32) -> anyhow::Result<i32> {
    Ok(world
        .scheduler
        .tx(Scope::Unscoped, async |connection| partitions::ensure(connection, days).await)
        .await?)
}

async fn days_ahead(world: &World) -> anyhow::Result<i32> {
    Ok(world.operator.tx(Scope::Unscoped, partitions::days_ahead).await?)
}

#[tokio::test]
async fn days_are_made_once() -> anyhow::Result<()> {
    let world = World::new().await?;
    let before = days_ahead(&world).await?;
    assert!(before >= 3, "{before}");
    assert_eq!(ensure(&world, before + 1).await?, 4 * 2);
    assert_eq!(ensure(&world, before + 1).await?, 0);
    assert_eq!(days_ahead(&world).await?, before + 2);
    Ok(())
}

#[tokio::test]
async fn rows_that_came_before_their_day_move_into_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let tables = "effects events runs_finished workflow_run_logs".split(' ');
    for table in tables {
        world
            .database
            .execute(&format!(
                "DO $$ BEGIN EXECUTE 'DROP TABLE {table}_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'); END $$"
            ))
            .await?;
    }
    assert_eq!(days_ahead(&world).await?, 0);
    world.run("1").await?;
    assert_eq!(world.database.count("SELECT count(*) FROM events_default").await?, 1);
    assert_eq!(ensure(&world, 0).await?, 4);
    assert_eq!(world.database.count("SELECT count(*) FROM events_default").await?, 0);
    assert_eq!(world.database.count("SELECT count(*) FROM events").await?, 1);
    Ok(())
}

/// Makes a day of long ago with the rows of an open run in it, and of one that is forgotten.
async fn an_old_day(world: &World) -> anyhow::Result<()> {
    let (open, ended) = (world.run("open").await?, world.run("ended").await?);
    let old = "lower_bound_id('2026-01-05 12:00Z')";
    world
        .database
        .execute(&format!(
            "CREATE TABLE events_20260105 (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
             ALTER TABLE events_20260105 OWNER TO automation_owner;
             ALTER TABLE events ATTACH PARTITION events_20260105
                FOR VALUES FROM ('{}') TO ('{}');
             DELETE FROM runs_open WHERE run_id = '{}';
             UPDATE events SET event_id = {old} WHERE event_id = '{}';
             UPDATE runs_open SET event_id = {old} WHERE run_id = '{}';
             UPDATE events SET event_id = lower_bound_id('2026-01-05 13:00Z') WHERE event_id = '{}';",
            bound("2026-01-05T00:00:00Z"),
            bound("2026-01-06T00:00:00Z"),
            ended.run_id,
            open.event_id,
            open.run_id,
            ended.event_id,
        ))
        .await
}

fn bound(at: &str) -> uuid::Uuid {
    automation_domain::id::lower_bound(at.parse().unwrap())
}

#[tokio::test]
async fn an_old_day_goes_but_for_what_belongs_to_open_runs() -> anyhow::Result<()> {
    let world = World::new().await?;
    an_old_day(&world).await?;
    assert_eq!(world.database.count("SELECT count(*) FROM events_20260105").await?, 2);
    let retired = world.scheduler.tx(Scope::Unscoped, partitions::retire).await?;
    assert_eq!(retired.as_deref(), Some("events_20260105"));
    assert_eq!(world.scheduler.tx(Scope::Unscoped, partitions::retire).await?, None);
    assert_eq!(world.database.count("SELECT count(*) FROM events_default").await?, 1);
    assert_eq!(world.database.count("SELECT count(*) FROM events").await?, 1);
    assert_eq!(world.scheduler.tx(Scope::Unscoped, partitions::drop_retired).await?, 1);
    assert_eq!(world.scheduler.tx(Scope::Unscoped, partitions::drop_retired).await?, 0);
    let orphans = "SELECT count(*) FROM runs_open r WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = r.event_id)";
    assert_eq!(world.database.count(orphans).await?, 0);
    Ok(())
}

/// A run of long ago with its event and one line of history, which ended just now.
async fn a_run_that_ended_late(world: &World) -> anyhow::Result<()> {
    let run = world.run("late").await?;
    world
        .database
        .execute(&format!(
            "UPDATE events SET event_id = lower_bound_id('2026-01-05 12:00Z') WHERE event_id = '{}';
             INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
             SELECT tenant_id, lower_bound_id('2026-01-05 12:00Z'), 1, now(), 'w', '[]' FROM runs_open;
             INSERT INTO runs_finished (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                                        run_key, status, priority, epoch, received_at, state, finished_at)
             SELECT tenant_id, lower_bound_id('2026-01-05 12:00Z'), workflow_id, version_id, trigger_id,
                    lower_bound_id('2026-01-05 12:00Z'), contact_id, run_key, 'completed', priority, epoch, received_at,
                    '{{}}', now() FROM runs_open;
             DELETE FROM runs_open;",
            run.event_id
        ))
        .await
}

#[tokio::test]
async fn a_run_that_waited_longer_than_the_retention_is_kept_from_its_end_on() -> anyhow::Result<()> {
    let world = World::new().await?;
    a_run_that_ended_late(&world).await?;
    let rows = async || -> anyhow::Result<[i64; 3]> {
        let mut rows = [0; 3];
        for (rows, table) in rows.iter_mut().zip(["runs_finished", "events", "workflow_run_logs"]) {
            *rows = world.database.count(&format!("SELECT count(*) FROM {table}")).await?;
        }
        Ok(rows)
    };
    world.scheduler.tx(Scope::Unscoped, partitions::drop_retired).await?;
    assert_eq!(rows().await?, [1, 1, 1]);
    world.database.execute("UPDATE runs_finished SET finished_at = now() - interval '31 days'").await?;
    world.scheduler.tx(Scope::Unscoped, partitions::drop_retired).await?;
    assert_eq!(rows().await?, [0, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn a_retired_day_keeps_runs_that_ended_late() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (low, high) = (bound("2026-01-05T00:00:00Z"), bound("2026-01-06T00:00:00Z"));
    for table in ["runs_finished", "workflow_run_logs", "events"] {
        world
            .database
            .execute(&format!(
                "CREATE TABLE {table}_20260105 (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
                 ALTER TABLE {table}_20260105 OWNER TO automation_owner;
                 ALTER TABLE {table} ATTACH PARTITION {table}_20260105 FOR VALUES FROM ('{low}') TO ('{high}');"
            ))
            .await?;
    }
    a_run_that_ended_late(&world).await?;
    let mut retired = Vec::new();
    while let Some(day) = world.scheduler.tx(Scope::Unscoped, partitions::retire).await? {
        retired.push(day);
    }
    assert_eq!(retired, ["runs_finished_20260105", "events_20260105", "workflow_run_logs_20260105"]);
    assert_eq!(world.scheduler.tx(Scope::Unscoped, partitions::drop_retired).await?, 3);
    for table in ["runs_finished", "workflow_run_logs", "events"] {
        assert_eq!(
            world.database.count(&format!("SELECT count(*) FROM {table}_default")).await?,
            1,
            "{table}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_busy_table_is_left_for_later() -> anyhow::Result<()> {
    use sqlx::Executor;
    let world = World::new().await?;
    an_old_day(&world).await?;
    let mut reader = world.database.superuser().await?;
    reader.execute("BEGIN; SELECT count(*) FROM events").await?;
    let retired = world.scheduler.tx(Scope::Unscoped, partitions::retire).await;
    assert!(retired.as_ref().is_err_and(|error| error.is_transient()), "{retired:?}");
    reader.execute("COMMIT").await?;
    assert!(world.scheduler.tx(Scope::Unscoped, partitions::retire).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn only_the_scheduler_may_retire() -> anyhow::Result<()> {
    let world = World::new().await?;
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.operator] {
        for sql in ["SELECT partitions_retire()", "SELECT partitions_ensure(9)"] {
            let refused = db.attempt(Scope::Unscoped, sql).await.unwrap_err().to_string();
            assert!(refused.contains("permission denied"), "{sql}: {refused}");
        }
    }
    Ok(())
}
