//! Days that pass while the load goes on: past ones that retention drops, and the end of today.

use anyhow::Context;
use automation_test_support::database::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::{Duration, Instant};

/// Past days that are over their retention, and rows in each partition.
const PAST_DAYS: i32 = 2;
const ROWS: i32 = 50_000;
/// A retired partition is dropped a few seconds later.
const PATIENCE: Duration = Duration::from_secs(120);

/// Gives every table partitions of past days, and ends today after `wait`; says how many partitions are to be dropped.
pub(crate) async fn prepare(database: &TestDatabase, wait: Duration) -> anyhow::Result<i64> {
    let mut owner = database.superuser().await?;
    // Whose partitions they are may drop them.
    sqlx::query("SET ROLE automation_owner").execute(&mut owner).await?;
    let past = add_past(&mut owner).await?;
    end_today_after(&mut owner, wait).await?;
    owner.close().await?;
    Ok(past)
}

/// Gives every table partitions of past days with finished runs, which the scheduler retires one by one; says how many.
async fn add_past(connection: &mut PgConnection) -> anyhow::Result<i64> {
    let days: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT r.table_name, format('%s_%s', r.table_name, to_char(d, 'YYYYMMDD')),
                lower_bound_id(d)::text, lower_bound_id(d + interval '1 day')::text
           FROM retention r, generate_series(1, $1) AS i,
                LATERAL (SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => r.keep_days + i))
                                AT TIME ZONE 'UTC' AS d) AS day",
    )
    .bind(PAST_DAYS)
    .fetch_all(&mut *connection)
    .await?;
    for (table, partition, low, high) in &days {
        let making =
            format!("CREATE TABLE {partition} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')");
        sqlx::query(AssertSqlSafe(making)).execute(&mut *connection).await?;
        // Ids of that day: its first 8 bytes in front.
        let id = format!("(left('{low}', 14) || substr(gen_random_uuid()::text, 15))::uuid");
        let rows = match table.as_str() {
            "runs_finished" => format!(
                "SELECT gen_random_uuid(), {id}, gen_random_uuid(), gen_random_uuid(), 'ordered', gen_random_uuid(), NULL,
                        'past', 'completed', 0, 1, now() - interval '60 days', now() - interval '60 days', '{{}}'
                   FROM generate_series(1, {ROWS})"
            ),
            "workflow_run_logs" => format!(
                "SELECT gen_random_uuid(), {id}, 1, now() - interval '60 days', 'past', '[]' FROM generate_series(1, {ROWS})"
            ),
            // Events and effects of other days are as good as none: they are dropped the same way.
            _ => continue,
        };
        sqlx::query(AssertSqlSafe(format!("INSERT INTO {partition} {rows}")))
            .execute(&mut *connection)
            .await?;
    }
    Ok(i64::try_from(days.len())?)
}

/// Cuts today's partitions in two, so that rows move on from one to the next as at midnight.
async fn end_today_after(connection: &mut PgConnection, wait: Duration) -> anyhow::Result<()> {
    let parts: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT r.table_name, format('%s_%s', r.table_name, to_char(d, 'YYYYMMDD')), lower_bound_id(d)::text,
                lower_bound_id(now() + $1)::text, lower_bound_id(d + interval '1 day')::text
           FROM retention r, LATERAL (SELECT date_trunc('day', now(), 'UTC') AS d) AS today",
    )
    .bind(wait)
    .fetch_all(&mut *connection)
    .await?;
    for (table, today, low, border, high) in &parts {
        anyhow::ensure!(border < high, "the day ends before the soak does: begin it after midnight, UTC");
        let statements = [
            format!("ALTER TABLE {table} DETACH PARTITION {today}"),
            format!("ALTER TABLE {table} ATTACH PARTITION {today} FOR VALUES FROM ('{low}') TO ('{border}')"),
            format!(
                "CREATE TABLE {table}_later PARTITION OF {table} FOR VALUES FROM ('{border}') TO ('{high}')"
            ),
        ];
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement.clone()))
                .execute(&mut *connection)
                .await
                .context(statement)?;
        }
    }
    Ok(())
}

/// Waits until every partition of a past day is gone.
pub(crate) async fn until_dropped(connection: &mut PgConnection) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let left: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_class c JOIN retention r ON c.relname ~ ('^' || r.table_name || '_\\d{8}$')
              WHERE c.relkind = 'r' AND to_date(right(c.relname, 8), 'YYYYMMDD') < current_date - r.keep_days",
        )
        .fetch_one(&mut *connection)
        .await?;
        if left == 0 {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{left} partitions of past days are still there");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Finished runs in the part of today that began under load.
pub(crate) async fn runs_after_the_turn(connection: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM runs_finished_later").fetch_one(connection).await?)
}
