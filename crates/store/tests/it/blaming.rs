//! Only what a value causes is held against the value.

use crate::world::World;
use automation_store::role::Worker;
use automation_store::{Db, Error};
use std::time::Duration;

async fn run(world: &World, sql: &'static str) -> Result<(), Error> {
    world
        .worker
        .tx(world.scope(), async |connection| {
            sqlx::query(sql).execute(connection.bare()).await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_the_database_lacks_is_tried_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    world.database.execute("REVOKE SELECT ON contacts FROM automation_worker").await?;
    for (lacking, sql) in [
        ("a grant", "SELECT count(*) FROM contacts"),
        ("a table", "SELECT count(*) FROM made_by_a_later_migration"),
        ("a column", "SELECT made_later FROM runs_open"),
    ] {
        let error = run(&world, sql).await.unwrap_err();
        assert!(matches!(error, Error::Unprepared(_)) && error.is_transient(), "{lacking}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_value_that_no_column_takes_is_refused() -> anyhow::Result<()> {
    let world = World::new().await?;
    for sql in ["SELECT 'x'::uuid", "SELECT 1 / 0", "SELECT repeat('1', 6)::int2"] {
        let error = run(&world, sql).await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)) && !error.is_transient(), "{sql}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_tried_again() -> anyhow::Result<()> {
    let world = World::new().await?;
    let gone = world.database.url().replace(world.database.name(), "there_is_none");
    let size = automation_store::PoolSize { max: 1, acquire_timeout: Duration::from_secs(5) };
    let error = Db::<Worker>::new(&gone, size)?.ping().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    Ok(())
}
