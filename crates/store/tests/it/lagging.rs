//! Operators see how far behind the fleet is, and nothing of what is behind.

use crate::world::{AnyPool, World};
use automation_store::Scope;
use automation_store::upkeep::lag;

#[tokio::test]
async fn what_is_overdue_is_counted_and_dated() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.run("1").await?;
    world.run("2").await?;
    let quiet = world.operator.tx(Scope::Unscoped, lag::read).await?;
    assert_eq!((quiet.overdue_since, quiet.overdue, quiet.outbox), (None, 0, 0));
    world.database.execute("UPDATE wakeups SET due_at = now() - interval '2 minutes' WHERE run_id = (SELECT min(run_id::text)::uuid FROM wakeups)").await?;
    let late = world.operator.tx(Scope::Unscoped, lag::read).await?;
    assert_eq!(late.overdue, 1);
    assert!(late.overdue_since.is_some_and(|since| (late.now - since).num_seconds() >= 120));
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_the_numbers_and_none_of_the_rows() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.run("1").await?;
    for sql in ["SELECT run_id FROM wakeups", "SELECT run_id FROM outbox"] {
        let seen = world
            .operator
            .tx(Scope::Unscoped, async |connection| {
                Ok::<_, automation_store::Error>(sqlx::query(sql).fetch_all(connection.bare()).await?.len())
            })
            .await;
        assert!(!seen.is_ok_and(|rows| rows > 0), "{sql}");
    }
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.scheduler] {
        let refused = db.attempt(Scope::Unscoped, "SELECT * FROM fleet_lag(100)").await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_scheduler_sees_how_much_waits_and_since_when() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.run("1").await?;
    let quiet = world.scheduler.tx(Scope::Unscoped, lag::backlog).await?;
    assert_eq!(quiet, lag::Backlog::default());
    world.database.execute("UPDATE wakeups SET due_at = now() - interval '2 minutes'").await?;
    world
        .database
        .execute(
            "INSERT INTO outbox (tenant_id, run_id, event_type, body, queued_at)
             SELECT tenant_id, run_id, 'a', '', now() - interval '3 minutes' FROM runs_open",
        )
        .await?;
    let late = world.scheduler.tx(Scope::Unscoped, lag::backlog).await?;
    let seen =
        [late.wakeups, late.outbox, late.parked].map(|waiting| (waiting.count, waiting.age.as_secs() / 60));
    assert_eq!(seen, [(1, 2), (1, 3), (0, 0)]);
    for db in [&world.api as &dyn AnyPool, &world.worker, &world.operator] {
        let refused = db.attempt(Scope::Unscoped, "SELECT * FROM fleet_backlog(100)").await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
    Ok(())
}
