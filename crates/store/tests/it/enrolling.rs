//! What entry rules know of earlier runs, decided by one at a time.

use crate::world::World;
use automation_domain::entry::Enrolment;
use automation_domain::id::RunId;
use automation_store::events::receipts;
use automation_store::role::Worker;
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::{Conn, Error};
use chrono::DateTime;
use std::collections::BTreeMap;
use uuid::Uuid;

fn key(world: &World, run_key: &str) -> EnrolmentKey {
    EnrolmentKey {
        tenant_id: world.tenant,
        workflow_id: world.workflow.workflow_id,
        run_key: run_key.to_owned(),
    }
}

/// Lets a run in unless one of its key was let in before, as a `once` rule does.
async fn enter_once(world: &World, run: u128, run_keys: &[&str]) -> Result<usize, Error> {
    let keys: Vec<_> = run_keys.iter().map(|run_key| key(world, run_key)).collect();
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            let mut known = enrolments::lock(connection, &keys).await?;
            known.retain(|_, enrolment| enrolment.runs == 0);
            for enrolment in known.values_mut() {
                let run_id = Some(RunId(Uuid::from_u128(run)));
                *enrolment = Enrolment {
                    run_id,
                    open: true,
                    runs: 1,
                    last_started_at: Some(now),
                    starts: vec![now],
                    ..Enrolment::default()
                };
            }
            enrolments::write(connection, &known).await?;
            Ok(known.len())
        })
        .await
}

#[tokio::test]
async fn of_many_that_enter_at_once_one_gets_in() -> anyhow::Result<()> {
    let world = World::new().await?;
    let keys = ["ada", "bob", "cleo"];
    let turned = ["cleo", "ada", "bob"];
    let (a, b, c, d) = tokio::join!(
        enter_once(&world, 1, &keys),
        enter_once(&world, 2, &turned),
        enter_once(&world, 3, &keys),
        enter_once(&world, 4, &turned),
    );
    assert_eq!(a? + b? + c? + d?, 3);
    assert_eq!(enter_once(&world, 5, &keys).await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_starts_that_a_rule_counts_are_read_as_they_were_written() -> anyhow::Result<()> {
    let world = World::new().await?;
    let keys = [key(&world, "ada"), key(&world, "bob")];
    let starts = |first: u32| {
        let start =
            |number: u32| DateTime::from_timestamp(i64::from(number), number * 1_000).expect("in range");
        (first..first + 3).map(start).collect::<Vec<_>>()
    };
    let write = async |connection: &mut Conn<Worker>| {
        let mut known = enrolments::lock(connection, &keys).await?;
        assert!(known.values().all(|enrolment| enrolment.starts.is_empty()));
        known.get_mut(&keys[0]).expect("it was locked").starts = starts(1_000);
        enrolments::write(connection, &known).await
    };
    world.worker.tx(world.scope(), write).await?;
    let read = async |connection: &mut Conn<Worker>| enrolments::lock(connection, &keys).await;
    let known = world.worker.tx(world.scope(), read).await?;
    assert_eq!(known[&keys[0]].starts, starts(1_000));
    assert!(known[&keys[1]].starts.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_run_closes_its_enrolment_and_no_other() -> anyhow::Result<()> {
    let world = World::new().await?;
    enter_once(&world, 1, &["ada", "bob"]).await?;
    let ended = BTreeMap::from([
        (key(&world, "ada"), RunId(Uuid::from_u128(1))),
        // A run that is not the latest one of its key.
        (key(&world, "bob"), RunId(Uuid::from_u128(9))),
    ]);
    let known = world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            enrolments::end(connection, now, &ended).await?;
            enrolments::lock(connection, &[key(&world, "ada"), key(&world, "bob"), key(&world, "new")]).await
        })
        .await?;
    let ada = &known[&key(&world, "ada")];
    assert!(!ada.open && ada.last_ended_at.is_some() && ada.runs == 1);
    assert!(known[&key(&world, "bob")].open);
    assert_eq!(known[&key(&world, "new")], Enrolment::default());
    Ok(())
}
