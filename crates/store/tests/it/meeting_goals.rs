//! What runs are for: met once, whoever holds the run, and counted for as long as the version is kept.

use crate::replaying::{failed, like};
use crate::world::World;
use automation_domain::id::{ContactId, EventId, RunId};
use automation_domain::interpreter::{InboxInput, Reached, ReplayKey};
use automation_domain::workflow::{RunGoal, Window};
use automation_store::dead_letters::{self, Replayed};
use automation_store::events::receipts;
use automation_store::role::{Api, Scheduler, Worker};
use automation_store::runs::goals::{self, Counts, Goal, Met};
use automation_store::runs::inbox;
use automation_store::runs::waits::Happened;
use automation_store::{Conn, Scope};
use chrono::{TimeDelta, Utc};
use uuid::Uuid;

fn contact() -> ContactId {
    ContactId(Uuid::from_u128(1))
}

fn goal(world: &World, run_id: RunId) -> Goal {
    let began_at = Utc::now();
    Goal {
        tenant_id: world.tenant,
        contact_id: contact(),
        event_type: "order.completed".to_owned(),
        run_id,
        workflow_id: world.workflow.workflow_id,
        version_id: world.workflow.version_id,
        event_id: EventId(Uuid::from_u128(2)),
        window: Window { began_at, until: began_at + TimeDelta::days(7) },
        ends_run: true,
        filter: serde_json::from_str::<RunGoal>("{}").unwrap(),
    }
}

fn reached() -> Reached {
    let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    Reached { event_type: "order.completed".to_owned(), event_id: "o-1".to_owned(), at }
}

async fn insert(world: &World, new: &[Goal]) -> anyhow::Result<()> {
    let insert = async |connection: &mut Conn<Worker>| goals::insert(connection, new).await;
    Ok(world.worker.tx(world.scope(), insert).await?)
}

/// How many runs are to be nudged.
async fn meet(world: &World, goal: &Goal) -> anyhow::Result<usize> {
    let met = Met { goal: goal.clone(), event_id: EventId(Uuid::from_u128(3)), reached: reached() };
    let meet = async |connection: &mut Conn<Worker>| {
        let now = receipts::now(connection).await?;
        goals::meet(connection, now, &[met]).await
    };
    Ok(world.worker.tx(world.scope(), meet).await?.len())
}

async fn counts(world: &World) -> anyhow::Result<Vec<Counts>> {
    let workflow = world.workflow.workflow_id;
    let counts = async |connection: &mut Conn<Api>| goals::counts(connection, world.tenant, workflow).await;
    Ok(world.api.tx(Scope::Tenant(world.tenant), counts).await?)
}

#[tokio::test]
async fn a_goal_is_read_as_it_was_written_until_it_is_met() -> anyhow::Result<()> {
    let world = World::new().await?;
    let new = goal(&world, world.run("1").await?.run_id);
    insert(&world, std::slice::from_ref(&new)).await?;
    let look = async || {
        let happened = |event_type| Happened { tenant_id: world.tenant, contact_id: contact(), event_type };
        let happened = [happened("order.created"), happened("order.completed")];
        let of = async |connection: &mut Conn<Worker>| goals::of(connection, &happened).await;
        world.worker.tx(world.scope(), of).await
    };
    let found = look().await?;
    let [(1, found)] = &found[..] else { panic!("one is found, by the second: {found:?}") };
    assert_eq!((&found.event_type, found.run_id, &found.filter), (&new.event_type, new.run_id, &new.filter));
    assert!((found.window.until - new.window.until).abs() < TimeDelta::milliseconds(1));
    assert_eq!(meet(&world, &new).await?, 0);
    assert_eq!(look().await?, []);
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_free_ends_with_its_goal_and_one_that_is_held_hears_of_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let [free, held] = [world.run("1").await?.run_id, world.run("2").await?.run_id];
    world.claim(&[held]).await?;
    insert(&world, &[goal(&world, free), goal(&world, held)]).await?;
    assert_eq!(meet(&world, &goal(&world, free)).await?, 0, "nobody has to be told");
    assert_eq!(meet(&world, &goal(&world, held)).await?, 1);
    assert_eq!(meet(&world, &goal(&world, held)).await?, 0, "it is met already");
    let ended = "SELECT count(*) FROM runs_finished WHERE status = 'completed'";
    assert_eq!(world.database.count(ended).await?, 1);
    let heard = world
        .worker
        .tx(world.scope(), async |connection| inbox::read(connection, &[(world.tenant, held)]).await)
        .await?;
    assert_eq!(heard[&(world.tenant, held)][0].input, Some(InboxInput::Goal(reached())));
    assert_eq!(counts(&world).await?, [Counts { version: 1, entered: 2, converted: 2 }]);
    Ok(())
}

#[tokio::test]
async fn a_run_that_met_its_goal_while_it_had_failed_hears_of_it_when_it_is_replayed() -> anyhow::Result<()> {
    let world = World::new().await?;
    for (event, is_met) in [("1", true), ("2", false)] {
        let (started, letter) = failed(&world, event).await?;
        let goal = Goal { contact_id: started.contact_id, ..goal(&world, started.run_id) };
        insert(&world, std::slice::from_ref(&goal)).await?;
        if is_met {
            assert_eq!(meet(&world, &goal).await?, 0, "it is not open");
        }
        let replay = async |connection: &mut Conn<Api>| {
            dead_letters::replay(connection, world.tenant, letter, like(ReplayKey::Same)).await
        };
        let replayed = world.api.tx(Scope::Tenant(world.tenant), replay).await?;
        assert!(matches!(replayed, Replayed::Now { .. }), "{replayed:?}");
        let key = (world.tenant, started.run_id);
        let heard = async |connection: &mut Conn<Worker>| inbox::read(connection, &[key]).await;
        let heard = world.worker.tx(world.scope(), heard).await?.remove(&key).unwrap_or_default();
        let told = heard.iter().any(|one| matches!(one.input, Some(InboxInput::Goal(_))));
        assert_eq!((told, heard.len()), (is_met, usize::from(is_met)));
    }
    Ok(())
}

#[tokio::test]
async fn what_no_event_can_meet_any_more_is_forgotten_and_stays_counted() -> anyhow::Result<()> {
    let world = World::new().await?;
    let runs = [world.run("1").await?.run_id, world.run("2").await?.run_id, world.run("3").await?.run_id];
    insert(&world, &runs.map(|run| goal(&world, run))).await?;
    meet(&world, &goal(&world, runs[0])).await?;
    let expire = async |most: i32| {
        let expire = async |connection: &mut Conn<Scheduler>| goals::expire(connection, most).await;
        world.scheduler.tx(Scope::Unscoped, expire).await
    };
    assert_eq!(expire(10).await?, 0, "their windows are open");
    let over = "UPDATE run_goals SET until = now() - interval '7 days 1 second'";
    world.database.execute(over).await?;
    let before = counts(&world).await?;
    assert_eq!((expire(2).await?, counts(&world).await?), (2, before.clone()));
    assert_eq!((expire(2).await?, counts(&world).await?), (1, before.clone()));
    assert_eq!(before, [Counts { version: 1, entered: 3, converted: 1 }]);
    assert_eq!(world.database.count("SELECT count(*) FROM run_goals").await?, 0);
    Ok(())
}
