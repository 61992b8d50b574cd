//! Schedules follow their workflow, and each is one scheduler's at a time.

use crate::world::World;
use automation_domain::id::{RunId, ScheduleId, TenantId, VersionId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::workflow::{NodeTypes, parse_value};
use automation_store::events::outbox::{self, NewOutboxEvent};
use automation_store::workflows::schedules::{self, Advance, Due, StoredSchedule};
use automation_store::workflows::{self, Applied};
use automation_store::{Error, Scope};
use automation_test_support::builders;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// Publishes the workflow `timed` with these triggers, each of which has a schedule.
async fn publish(world: &World, tenant: TenantId, schedules: &[(&str, Value)]) -> anyhow::Result<Applied> {
    let triggers: Vec<_> =
        schedules.iter().map(|(id, schedule)| json!({ "id": id, "schedule": schedule })).collect();
    let edges: Vec<_> = schedules.iter().map(|(id, _)| json!([id, "end"])).collect();
    let mut definition = json!({
        "apiVersion": "automation/v1", "key": "timed", "triggers": triggers, "edges": edges,
        "nodes": [{ "id": "end", "action": "stop_workflow" }],
    });
    if schedules.is_empty() {
        definition["triggers"] = json!([{ "id": "form", "event": "form.submitted" }]);
        definition["edges"] = json!([["form", "end"]]);
    }
    let workflow = parse_value(&definition, &NodeTypes::new([]), &Limits::default())
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let applied = world
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            let (workflow_id, version) = (WorkflowId(Uuid::new_v4()), VersionId(Uuid::new_v4()));
            workflows::apply(connection, tenant, &workflow, workflow_id, version).await
        })
        .await?;
    Ok(applied)
}

async fn list(world: &World, tenant: TenantId) -> anyhow::Result<Vec<StoredSchedule>> {
    let list = world
        .api
        .tx(Scope::Tenant(tenant), async |connection| schedules::list(connection, tenant).await)
        .await?;
    Ok(list)
}

async fn one(world: &World) -> anyhow::Result<StoredSchedule> {
    Ok(list(world, world.tenant).await?.remove(0))
}

async fn set_state(world: &World, state: &str) -> anyhow::Result<bool> {
    let changed = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            let stored = workflows::by_key(connection, world.tenant, "timed").await?.unwrap();
            workflows::set_state(connection, world.tenant, stored.workflow_id, state).await
        })
        .await?;
    Ok(changed)
}

/// Moves every schedule's next slot this far into the past.
async fn overdue(world: &World, by: &str) -> anyhow::Result<()> {
    let sql = format!(
        "UPDATE workflow_schedules SET next_slot_at = now() - interval '{by}', due_at = now() - interval '{by}'"
    );
    world.database.execute(&sql).await
}

async fn take(world: &World, limit: i64) -> anyhow::Result<Vec<Due>> {
    let (_, due) = world
        .scheduler
        .tx(Scope::Unscoped, async |connection| schedules::take_due(connection, limit).await)
        .await?;
    Ok(due)
}

async fn advance(world: &World, step: Advance) -> anyhow::Result<()> {
    world
        .scheduler
        .tx(Scope::Unscoped, async |connection| schedules::advance(connection, &[step]).await)
        .await?;
    Ok(())
}

fn nightly() -> Value {
    json!({ "cron": "30 2 * * *", "timezone": "Europe/Berlin" })
}

#[tokio::test]
async fn publishing_sets_the_first_slot_after_now() -> anyhow::Result<()> {
    let world = World::new().await?;
    let schedules = [
        ("hourly", json!({ "every": "1h" })),
        ("nightly", nightly()),
        ("past", json!({ "cron": "* * * * *", "ends_at": "2020-01-01T00:00:00Z" })),
    ];
    assert_eq!(publish(&world, world.tenant, &schedules).await?, Applied::Created);
    let [hourly, nightly, past] = list(&world, world.tenant).await?.try_into().unwrap();
    assert_eq!((hourly.workflow.as_str(), hourly.trigger.as_str(), hourly.version), ("timed", "hourly", 1));
    // An interval counts from the moment it was published, in whole seconds.
    let wait = hourly.next_slot_at.unwrap() - hourly.anchor_at;
    assert!(wait > TimeDelta::minutes(59) && wait <= TimeDelta::hours(1), "{wait}");
    assert!(nightly.next_slot_at.unwrap() > nightly.anchor_at);
    assert_eq!((past.next_slot_at, past.paused), (None, false));
    assert!(take(&world, 10).await?.is_empty());
    let types = "SELECT count(*) FROM workflow_triggers WHERE (trigger_id, event_type) IN
                 (('hourly', 'schedule.interval'), ('nightly', 'schedule.cron'), ('past', 'schedule.cron'))";
    assert_eq!(world.database.count(types).await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_version_keeps_the_position_of_an_unchanged_schedule_and_starts_a_changed_one_anew()
-> anyhow::Result<()> {
    let world = World::new().await?;
    publish(&world, world.tenant, &[("a", json!({ "every": "1h" })), ("b", json!({ "every": "2h" }))])
        .await?;
    overdue(&world, "3 hours").await?;
    let before = list(&world, world.tenant).await?;
    let changed = [("a", json!({ "every": "1h" })), ("b", json!({ "every": "90m" })), ("c", nightly())];
    assert_eq!(publish(&world, world.tenant, &changed).await?, Applied::Published { version: 2 });
    let after = list(&world, world.tenant).await?;
    assert_eq!(after[0], StoredSchedule { version: 2, ..before[0].clone() });
    assert_eq!((after[1].schedule_id, after[1].version), (before[1].schedule_id, 2));
    assert!(after[1].next_slot_at > before[1].next_slot_at && after[1].anchor_at > before[1].anchor_at);
    assert_eq!(
        take(&world, 10).await?.iter().map(|due| due.schedule_id).collect::<Vec<_>>(),
        [after[0].schedule_id]
    );
    // What a version has no more does not fire any more.
    assert_eq!(publish(&world, world.tenant, &[]).await?, Applied::Published { version: 3 });
    assert!(list(&world, world.tenant).await?.is_empty() && take(&world, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_paused_workflow_has_nothing_due_and_goes_on_where_it_was() -> anyhow::Result<()> {
    let world = World::new().await?;
    publish(&world, world.tenant, &[("a", json!({ "every": "1h" }))]).await?;
    overdue(&world, "3 hours").await?;
    let before = one(&world).await?;
    assert!(set_state(&world, "paused").await?);
    assert!(take(&world, 10).await?.is_empty());
    assert_eq!(world.scheduler.tx(Scope::Unscoped, schedules::next_due_in).await?, None);
    // What is published while the workflow is paused waits with it.
    publish(&world, world.tenant, &[("a", json!({ "every": "1h" })), ("b", nightly())]).await?;
    assert!(list(&world, world.tenant).await?.iter().all(|schedule| schedule.paused));
    overdue_paused(&world).await?;
    assert!(set_state(&world, "active").await?);
    let due = take(&world, 10).await?;
    assert_eq!(due.len(), 2);
    let first = due.iter().find(|due| due.schedule_id == before.schedule_id).unwrap();
    assert_eq!(Some(first.next_slot_at), before.next_slot_at);
    Ok(())
}

/// Moves the next slot of `b` into the past while it is paused.
async fn overdue_paused(world: &World) -> anyhow::Result<()> {
    world
        .database
        .execute(
            "UPDATE workflow_schedules SET next_slot_at = now() - interval '1 day' WHERE trigger_id = 'b'",
        )
        .await
}

#[tokio::test]
async fn a_schedule_moves_on_and_ends() -> anyhow::Result<()> {
    let world = World::new().await?;
    publish(&world, world.tenant, &[("a", json!({ "every": "1h" }))]).await?;
    overdue(&world, "1 hour").await?;
    let due = take(&world, 10).await?.remove(0);
    assert_eq!((due.tenant.as_str(), &due.definition), ("shop", &json!({ "every": "1h" })));
    let next: DateTime<Utc> = due.next_slot_at + TimeDelta::hours(2);
    let step = Advance {
        tenant_id: due.tenant_id,
        schedule_id: due.schedule_id,
        next: Some((next, next + TimeDelta::seconds(5))),
        last_slot_at: Some(due.next_slot_at),
        fired: 1,
        skipped: 2,
    };
    advance(&world, step).await?;
    let stored = one(&world).await?;
    assert_eq!((stored.next_slot_at, stored.last_slot_at), (Some(next), Some(due.next_slot_at)));
    assert_eq!((stored.fired, stored.skipped), (1, 2));
    let wait = world.scheduler.tx(Scope::Unscoped, schedules::next_due_in).await?.unwrap();
    assert!((3_500..=3_605).contains(&wait.as_secs()), "{wait:?}");
    advance(&world, Advance { next: None, last_slot_at: None, fired: 0, skipped: 1, ..step }).await?;
    let stored = one(&world).await?;
    assert_eq!((stored.next_slot_at, stored.last_slot_at, stored.skipped), (None, Some(due.next_slot_at), 3));
    assert!(take(&world, 10).await?.is_empty());
    // Pausing and resuming wakes nothing that has ended.
    assert!(set_state(&world, "paused").await? && set_state(&world, "active").await?);
    assert!(take(&world, 10).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_schedule_that_one_scheduler_holds_is_skipped_by_others() -> anyhow::Result<()> {
    let world = World::new().await?;
    let all: Vec<_> = (0..30).map(|n| (format!("t{n}"), json!({ "every": "1h" }))).collect();
    let all: Vec<_> = all.iter().map(|(id, schedule)| (id.as_str(), schedule.clone())).collect();
    publish(&world, world.tenant, &all).await?;
    overdue(&world, "1 hour").await?;
    let others = world
        .scheduler
        .tx(Scope::Unscoped, async |connection| {
            let (_, mine) = schedules::take_due(connection, 20).await?;
            let theirs = take(&world, 20).await.unwrap();
            Ok::<_, Error>((mine, theirs))
        })
        .await?;
    let (mine, theirs) = others;
    assert_eq!((mine.len(), theirs.len()), (20, 10));
    assert!(mine.iter().all(|held| theirs.iter().all(|other| other.schedule_id != held.schedule_id)));
    Ok(())
}

#[tokio::test]
async fn the_scheduler_writes_slots_of_schedules_that_exist_and_nothing_else() -> anyhow::Result<()> {
    let world = World::new().await?;
    publish(&world, world.tenant, &[("a", json!({ "every": "1h" }))]).await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    let own = one(&world).await?.schedule_id;
    let put_as = async |is_command: bool, tenant_id, id: ScheduleId, event_type: &str| {
        let event = NewOutboxEvent {
            is_command,
            tenant_id,
            run_id: RunId(id.0),
            event_type: event_type.to_owned(),
            body: b"{}".to_vec(),
        };
        world
            .scheduler
            .tx(Scope::Unscoped, async |connection| outbox::insert(connection, &[event]).await)
            .await
    };
    let put = async |tenant_id, id, event_type: &str| put_as(false, tenant_id, id, event_type).await;
    put(world.tenant, own, "schedule.interval").await?;
    let refused = put_as(true, world.tenant, own, "schedule.interval").await;
    assert!(
        refused.is_err_and(|error| error.to_string().contains("row-level security")),
        "a slot is no command"
    );
    let unknown = ScheduleId(Uuid::from_u128(1));
    for (tenant, id, event_type) in [
        (world.tenant, own, "contact.tag_added"),
        (world.tenant, unknown, "schedule.interval"),
        (other, own, "schedule.interval"),
    ] {
        let refused = put(tenant, id, event_type).await;
        assert!(
            refused.as_ref().is_err_and(|error| error.to_string().contains("row-level security")),
            "{refused:?}"
        );
    }
    for sql in [
        "UPDATE workflow_schedules SET definition = '{}'",
        "UPDATE workflow_schedules SET paused = true",
        "DELETE FROM workflow_schedules",
    ] {
        let role = format!("SET ROLE automation_scheduler; {sql}");
        let refused = world.database.execute(&role).await;
        assert!(
            refused.as_ref().is_err_and(|error| format!("{error:#}").contains("permission denied")),
            "{refused:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn schedules_are_listed_for_their_tenant_alone() -> anyhow::Result<()> {
    let world = World::new().await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    publish(&world, world.tenant, &[("a", nightly())]).await?;
    publish(&world, other, &[("a", nightly()), ("b", nightly())]).await?;
    let (own, theirs) = (list(&world, world.tenant).await?, list(&world, other).await?);
    assert_eq!((own.len(), theirs.len()), (1, 2));
    assert_ne!(own[0].schedule_id, theirs[0].schedule_id);
    let foreign = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| schedules::list(connection, other).await)
        .await?;
    assert!(foreign.is_empty());
    Ok(())
}
