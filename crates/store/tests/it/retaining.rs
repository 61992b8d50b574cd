//! Each tenant's history is kept for as long as that tenant says, in days that all share.

use crate::world::{TenantId, World};
use automation_store::Scope;
use automation_store::upkeep::retention::{self, Subject};
use automation_store::upkeep::{partitions, usage};
use automation_test_support::builders::{self, Started};

/// What of a run stands in tables that are kept by day.
const BY_DAY: [&str; 3] = ["runs_finished", "workflow_run_logs", "events"];

async fn keep(world: &World, tenant: TenantId, subject: Subject, days: Option<i32>) -> anyhow::Result<()> {
    world
        .operator
        .tx(Scope::Unscoped, async |connection| retention::set(connection, tenant, subject, days).await)
        .await?;
    Ok(())
}

/// Makes a day of so long ago, with a run of each of these that ended on it, its event and a line of its log.
async fn a_day_ago(world: &World, days: i32, runs: &[Started]) -> anyhow::Result<()> {
    for table in BY_DAY {
        let make = format!(
            "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - {days};
                           part text := '{table}_' || to_char(day, 'YYYYMMDD'); BEGIN
                 EXECUTE format('CREATE TABLE %I (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
                 EXECUTE format('ALTER TABLE %I OWNER TO automation_owner', part);
                 EXECUTE format('ALTER TABLE {table} ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
                                lower_bound_id(day::timestamp AT TIME ZONE 'UTC'),
                                lower_bound_id((day + 1)::timestamp AT TIME ZONE 'UTC')); END $$"
        );
        world.database.execute(&make).await?;
    }
    for run in runs {
        let id = format!(
            "lower_bound_id(date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '{days} days' + interval '5 hours')"
        );
        let (run_id, event_id) = (run.run_id, run.event_id);
        world
            .database
            .execute(&format!(
                "UPDATE events SET event_id = {id} WHERE event_id = '{event_id}';
                 INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
                 SELECT tenant_id, {id}, 1, now(), 'w', '[]' FROM runs_open WHERE run_id = '{run_id}';
                 INSERT INTO runs_finished (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                                            run_key, status, priority, epoch, received_at, state, finished_at)
                 SELECT tenant_id, {id}, workflow_id, version_id, trigger_id, {id}, contact_id, run_key, 'completed',
                        priority, epoch, received_at, '{{}}', now() - interval '{days} days' FROM runs_open
                  WHERE run_id = '{run_id}';
                 DELETE FROM runs_open WHERE run_id = '{run_id}';"
            ))
            .await?;
    }
    let counted = async |connection: &mut _| usage::count(connection, 7).await;
    while world.scheduler.tx(Scope::Unscoped, counted).await?.is_some() {}
    Ok(())
}

/// Deletes what is due; how many rows that were.
async fn expire(world: &World) -> anyhow::Result<i32> {
    let mut gone = 0;
    let expire = async |connection: &mut _| retention::expire(connection, 1).await;
    while let Some(some) = world.scheduler.tx(Scope::Unscoped, expire).await? {
        gone += some;
    }
    Ok(gone)
}

/// How many rows a tenant has in each table.
async fn rows(world: &World, tenant: TenantId) -> anyhow::Result<[i64; 3]> {
    let mut rows = [0; 3];
    for (rows, table) in rows.iter_mut().zip(BY_DAY) {
        *rows = world
            .database
            .count(&format!("SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'"))
            .await?;
    }
    Ok(rows)
}

async fn two_tenants_a_day_ago(days: i32) -> anyhow::Result<(World, TenantId)> {
    let (world, rival, runs) = two_tenants().await?;
    a_day_ago(&world, days, &runs).await?;
    Ok((world, rival))
}

async fn two_tenants() -> anyhow::Result<(World, TenantId, [Started; 2])> {
    let world = World::new().await?;
    let rival = builders::tenant(&world.operator, "rival").await?;
    let workflow = builders::workflow(&world.api, rival, "welcome").await?;
    let theirs = builders::run(&world.worker, rival, workflow, builders::event("rival", "1")).await?;
    let ours = world.run("1").await?;
    Ok((world, rival, [ours, theirs]))
}

#[tokio::test]
async fn a_day_lives_as_long_as_one_tenant_keeps_it_and_the_others_rows_go_in_their_time()
-> anyhow::Result<()> {
    let (world, rival, runs) = two_tenants().await?;
    for subject in [Subject::Events, Subject::Runs, Subject::RunLogs] {
        keep(&world, rival, subject, Some(90)).await?;
    }
    a_day_ago(&world, 40, &runs).await?;
    assert_eq!(world.scheduler.tx(Scope::Unscoped, partitions::retire).await?, None);
    assert_eq!((rows(&world, world.tenant).await?, rows(&world, rival).await?), ([1; 3], [1; 3]));
    assert_eq!(expire(&world).await?, 3);
    assert_eq!((rows(&world, world.tenant).await?, rows(&world, rival).await?), ([0; 3], [1; 3]));
    let left = "SELECT count(*) FROM tenant_usage WHERE day = current_date - 40";
    assert_eq!(world.database.count(left).await?, 3, "the rival's");
    assert_eq!(expire(&world).await?, 0);

    for subject in [Subject::Events, Subject::Runs, Subject::RunLogs] {
        keep(&world, rival, subject, None).await?;
    }
    let mut retired = 0;
    while world.scheduler.tx(Scope::Unscoped, partitions::retire).await?.is_some() {
        retired += 1;
    }
    assert_eq!((retired, rows(&world, rival).await?), (3, [0; 3]));
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_keeps_less_has_its_rows_deleted_and_others_keep_theirs() -> anyhow::Result<()> {
    let (world, rival) = two_tenants_a_day_ago(10).await?;
    assert_eq!(expire(&world).await?, 0);
    keep(&world, world.tenant, Subject::RunLogs, Some(8)).await?;
    assert_eq!(expire(&world).await?, 1);
    assert_eq!(rows(&world, world.tenant).await?, [1, 0, 1], "its log alone");
    keep(&world, world.tenant, Subject::Events, Some(8)).await?;
    assert_eq!(expire(&world).await?, 1);
    assert_eq!(rows(&world, world.tenant).await?, [1, 0, 0]);
    assert_eq!(rows(&world, rival).await?, [1; 3]);
    Ok(())
}

#[tokio::test]
async fn a_log_goes_with_its_run_whatever_its_own_retention_is() -> anyhow::Result<()> {
    let (world, _) = two_tenants_a_day_ago(10).await?;
    keep(&world, world.tenant, Subject::Runs, Some(8)).await?;
    keep(&world, world.tenant, Subject::RunLogs, Some(90)).await?;
    assert_eq!(expire(&world).await?, 2);
    assert_eq!(rows(&world, world.tenant).await?, [0, 0, 1]);
    Ok(())
}

#[tokio::test]
async fn what_an_open_run_needs_outlives_its_tenants_retention() -> anyhow::Result<()> {
    let (world, _) = two_tenants_a_day_ago(10).await?;
    let open = world.run("open").await?;
    world
        .database
        .execute(&format!(
            "UPDATE runs_open SET event_id = (SELECT event_id FROM events WHERE tenant_id = '{0}' AND event_id <> '{1}')
              WHERE run_id = '{2}'",
            world.tenant, open.event_id, open.run_id
        ))
        .await?;
    keep(&world, world.tenant, Subject::Events, Some(8)).await?;
    assert_eq!(expire(&world).await?, 0);
    world.database.execute(&format!("DELETE FROM runs_open WHERE run_id = '{}'", open.run_id)).await?;
    assert_eq!(expire(&world).await?, 0, "it is looked at again on the next day");
    world.database.execute("UPDATE tenant_usage SET kept_day = kept_day - 1").await?;
    assert_eq!(expire(&world).await?, 1);
    Ok(())
}

#[tokio::test]
async fn dead_letters_and_whom_events_happened_to_are_kept_by_their_tenants_days() -> anyhow::Result<()> {
    let world = World::new().await?;
    let rival = builders::tenant(&world.operator, "rival").await?;
    for tenant in [world.tenant, rival] {
        world
            .database
            .execute(&format!(
                "INSERT INTO dead_letters (tenant_id, dead_letter_id, run_id, epoch, workflow_id, version_id, code, message,
                                           signature, event_id, run_key, died_at)
                 SELECT '{tenant}', gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), gen_random_uuid(), 'c', '',
                        '0123456789abcdef', gen_random_uuid(), 'k', now() - make_interval(days => d)
                   FROM unnest(ARRAY[20, 100]) d;
                 INSERT INTO contact_events (tenant_id, contact_id, event_type, occurred_at, event_id, received_at)
                 SELECT '{tenant}', gen_random_uuid(), 't', now(), gen_random_uuid(), now() - make_interval(days => d)
                   FROM unnest(ARRAY[20, 100]) d;"
            ))
            .await?;
    }
    keep(&world, world.tenant, Subject::DeadLetters, Some(10)).await?;
    keep(&world, world.tenant, Subject::Events, Some(10)).await?;
    keep(&world, rival, Subject::DeadLetters, Some(200)).await?;
    keep(&world, rival, Subject::Events, Some(200)).await?;
    let gone = world
        .scheduler
        .tx(Scope::Unscoped, async |connection| {
            let letters = automation_store::dead_letters::expire(connection, 90, 100).await?;
            Ok::<_, automation_store::Error>((
                letters,
                automation_store::events::of_contacts::expire(connection, 100).await?,
            ))
        })
        .await?;
    assert_eq!(gone, (2, 2));
    for table in ["dead_letters", "contact_events"] {
        let theirs = format!("SELECT count(*) FROM {table} WHERE tenant_id = '{rival}'");
        assert_eq!(world.database.count(&theirs).await?, 2, "{table}");
    }
    Ok(())
}
