//! What tenants keep is summed, counted, and held against their quotas.

use crate::world::World;
use automation_domain::id::{ContactId, RecordId, RunId, TenantId};
use automation_domain::record::{Note, Record};
use automation_store::audit::{self, Deed};
use automation_store::records::{self, Made, notes};
use automation_store::upkeep::usage::{self, Ends, Grows, Metered, Sums, TABLES, Usage, growing};
use automation_store::workflows::catalogue;
use automation_store::{Error, Scope};
use automation_test_support::builders;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Tables of the whole installation; no tenant makes them grow.
const OF_NO_TENANT: [&str; 4] = ["_sqlx_migrations", "quotas", "retention", "usage_counted"];

#[tokio::test]
async fn every_table_has_an_answer_to_what_bounds_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut connection = world.database.superuser().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          ORDER BY c.relname",
    )
    .fetch_all(&mut connection)
    .await?;
    let quotas: BTreeSet<String> = sqlx::query_scalar("SELECT table_name FROM quotas")
        .fetch_all(&mut connection)
        .await?
        .into_iter()
        .collect();
    let by_day: BTreeSet<String> = sqlx::query_scalar("SELECT table_name FROM retention")
        .fetch_all(&mut connection)
        .await?
        .into_iter()
        .collect();
    for table in tables.iter().filter(|table| !OF_NO_TENANT.contains(&table.as_str())) {
        let ends = TABLES.iter().find(|(name, ..)| name == table).map(|(_, ends, _)| *ends);
        assert!(ends.is_some(), "{table}: nothing is said of what ends its rows (store::usage::TABLES)");
        assert!(quotas.contains(table), "{table} has no quota (table quotas)");
        if by_day.contains(table) {
            assert_eq!(ends, Some(Ends::AfterDays), "{table}");
        }
    }
    let known: BTreeSet<&str> = tables.iter().map(String::as_str).collect();
    for (table, ends, _) in TABLES {
        assert!(known.contains(table), "{table} does not exist");
        if let Ends::With(other) = ends {
            assert!(
                known.contains(other) || other.contains(' '),
                "{table} ends with {other}, which does not exist"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_record_is_bounded_and_stands_apart_by_tenant() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut connection = world.database.superuser().await?;
    for record in Record::ALL {
        let table = records::metered(record).table();
        let bounded = TABLES.iter().find(|(name, ..)| *name == table);
        assert_eq!(bounded.map(|(_, ends, _)| *ends), Some(Ends::QuotaAlone), "{table} is no record");
        // Under row-level security, also for its owner, with a policy for whoever reads or writes it.
        let policies: Vec<String> = sqlx::query_scalar(
            "SELECT p.polname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
              WHERE c.relname = $1 AND c.relrowsecurity AND c.relforcerowsecurity",
        )
        .bind(table)
        .fetch_all(&mut connection)
        .await?;
        for role in ["api", "worker"] {
            assert!(policies.iter().any(|policy| policy == role), "{table} has no policy for {role}");
        }
        // The tenant leads the key.
        let first: String = sqlx::query_scalar(
            "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
              WHERE i.indrelid = to_regclass($1) AND i.indisprimary",
        )
        .bind(table)
        .fetch_one(&mut connection)
        .await?;
        assert_eq!(first, "tenant_id", "{table}");
    }
    Ok(())
}

/// The tables of which the tenant keeps more than it may, as ingest reads them.
async fn over(world: &World) -> Result<Vec<String>, Error> {
    let tenants = [world.tenant];
    let (_, current) = world
        .worker
        .tx(world.scope(), async |connection| catalogue::versions(connection, &tenants).await)
        .await?;
    Ok(current[&world.tenant].over_quota.clone())
}

async fn set_quota(world: &World, table: &str, bytes: Option<i64>) -> Result<bool, Error> {
    world
        .operator
        .tx(Scope::Unscoped, async |connection| {
            usage::set_quota(connection, world.tenant, table, bytes).await
        })
        .await
}

fn sums(tenant: TenantId, table: Metered, bytes: usize) -> Sums {
    Sums::from([((tenant, table), bytes)])
}

#[tokio::test]
async fn sums_that_exceed_a_quota_are_seen_with_the_next_batch_and_a_larger_quota_lifts_that()
-> anyhow::Result<()> {
    let world = World::new().await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    let written = Usage::default();
    assert!(set_quota(&world, "events", Some(1_000)).await?);
    assert!(!set_quota(&world, "nothing", Some(1_000)).await?);
    written.add(sums(world.tenant, Metered::Events, 600));
    written.add(sums(other, Metered::Events, 1_000_000));
    written.flush(&world.worker).await?;
    assert!(over(&world).await?.is_empty());
    written.add(sums(world.tenant, Metered::Events, 600));
    written.flush(&world.worker).await?;
    assert_eq!(over(&world).await?, ["events"]);
    // Nothing is handed over twice.
    written.flush(&world.worker).await?;
    let kept = world
        .operator
        .tx(Scope::Unscoped, async |connection| usage::of_tenant(connection, world.tenant).await)
        .await?;
    let events = kept.iter().find(|kept| kept.table == "events").unwrap();
    assert_eq!((events.bytes, events.max_bytes, events.own_quota), (1_200, 1_000, true));
    assert!(set_quota(&world, "events", None).await?);
    assert!(over(&world).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_rows_themselves_correct_the_sums_once_a_day() -> anyhow::Result<()> {
    let world = World::new().await?;
    let note = Note {
        note_id: RecordId(Uuid::from_u128(1)),
        contact_id: ContactId(Uuid::from_u128(2)),
        text: "x".repeat(1_000),
    };
    let made = [Made { tenant_id: world.tenant, run_id: RunId(Uuid::from_u128(3)), record: &note }];
    world
        .worker
        .tx(world.scope(), async |connection| {
            notes::insert(connection, chrono::DateTime::UNIX_EPOCH, &made).await
        })
        .await?;
    let written = Usage::default();
    written.add(sums(world.tenant, Metered::Notes, 77_000_000_000));
    written.flush(&world.worker).await?;
    assert_eq!(over(&world).await?, ["notes"]);
    let mut counted = BTreeSet::new();
    while let Some(table) =
        world.scheduler.tx(Scope::Unscoped, async |connection| usage::count(connection, 7).await).await?
    {
        assert!(counted.insert(table), "each once a day");
    }
    assert!(counted.contains("notes") && counted.contains("contacts"), "{counted:?}");
    assert!(over(&world).await?.is_empty());
    let kept = "SELECT bytes FROM tenant_usage WHERE table_name = 'notes'";
    let bytes = world.database.count(kept).await?;
    assert!((1_000..1_500).contains(&bytes) || bytes < 200, "as it is stored, compressed perhaps: {bytes}");
    Ok(())
}

#[tokio::test]
async fn a_day_is_counted_after_its_end_and_its_sum_goes_with_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let tenant = world.tenant;
    world
        .database
        .execute(&format!(
            "INSERT INTO tenant_usage VALUES ('{tenant}', 'events', current_date - 31, 5000),
                                             ('{tenant}', 'events', current_date - 30, 700),
                                             ('{tenant}', 'event_receipts', current_date - 9, 90)"
        ))
        .await?;
    world.scheduler.tx(Scope::Unscoped, async |connection| usage::count(connection, 7).await).await?;
    assert_eq!(
        world
            .database
            .count("SELECT sum(bytes)::bigint FROM tenant_usage WHERE table_name = 'events'")
            .await?,
        700
    );
    assert_eq!(
        world.database.count("SELECT count(*) FROM tenant_usage WHERE table_name = 'event_receipts'").await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn workers_add_and_neither_read_nor_set() -> anyhow::Result<()> {
    let world = World::new().await?;
    for sql in [
        "SELECT * FROM tenant_usage",
        "UPDATE tenant_usage SET bytes = 0",
        "UPDATE tenants SET over_quota = '{}'",
        "INSERT INTO tenant_quotas SELECT tenant_id, 'events', 1 FROM tenants",
        "SELECT usage_count(7)",
        "SELECT usage_judge('{}')",
    ] {
        let refused = world
            .worker
            .tx(world.scope(), async |connection| {
                sqlx::query(sqlx::AssertSqlSafe(sql))
                    .execute(connection.bare())
                    .await
                    .map(drop)
                    .map_err(Error::from)
            })
            .await;
        assert_eq!(refused.unwrap_err().sqlstate().as_deref(), Some("42501"), "{sql}");
    }
    Ok(())
}

#[test]
fn what_events_make_grow_stops_them_and_nothing_else_does() {
    let stops = |table: &str| !growing(&[table.to_owned()], Grows::ByEvents).is_empty();
    for table in
        ["events", "contacts", "enrolments", "workflow_run_logs", "effects", "outbox", "dead_letters"]
    {
        assert!(stops(table), "{table}");
    }
    for table in ["parked_events", "audit_links", "workflow_versions", "credentials", "hooks", "nonsense"] {
        assert!(!stops(table), "{table}");
    }
}

#[tokio::test]
async fn over_the_quota_of_what_people_write_nothing_is_set_up_and_all_else_goes_on() -> anyhow::Result<()> {
    let world = World::new().await?;
    let act = async |action: &'static str| {
        let deed = Deed { action, subject: "credential crm".to_owned(), detail: serde_json::json!({}) };
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                audit::append(connection, world.tenant, builders::ada(), std::slice::from_ref(&deed)).await
            })
            .await
    };
    act("credential.set").await?;
    // What people wrote counts at once, without waiting for the night.
    assert!(set_quota(&world, "audit_words", Some(100)).await?);
    assert_eq!(over(&world).await?, ["audit_words"]);
    let refused = act("credential.set").await.unwrap_err();
    assert!(matches!(&refused, Error::OverQuota(tables) if tables == &["audit_words"]), "{refused}");
    for action in ["credential.delete", "workflow.pause", "dead_letter.replay"] {
        act(action).await?;
    }
    assert!(set_quota(&world, "audit_words", None).await?);
    act("credential.set").await?;
    // Events have quotas of their own.
    assert!(set_quota(&world, "events", Some(1)).await?);
    let written = Usage::default();
    written.add(sums(world.tenant, Metered::Events, 600));
    written.flush(&world.worker).await?;
    act("credential.set").await?;
    Ok(())
}
