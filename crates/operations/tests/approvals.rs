//! What people say to what runs ask: once, in time, and while the run is there to hear it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "times lie before and after that of the database")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod world;

use automation_operations::approvals::{self, Filter};
use automation_operations::{Error, Refusal, runs};
use automation_test_support::builders::ada;
use chrono::{TimeDelta, Utc};
use std::fmt::Debug;
use world::World;

/// The code of what was refused.
fn refused<T: Debug>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(Error::Refused(refusal)) => refusal.code(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_approval_is_decided_once_and_others_are_told_who_decided_and_when() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let (run, [boss, owner]) = world.asks_until("1", None).await?;
    let listed = approvals::list(session, &Filter::default(), 10).await?.data;
    assert_eq!(listed.len(), 2);
    let decided = approvals::approve(session, ada(), boss, Some("fair")).await?;
    assert_eq!((decided.state, decided.comment.as_deref()), ("approved", Some("fair")));
    let (by, at) = (decided.decided_by.unwrap(), decided.closed_at);
    let Err(Error::Refused(Refusal::ApprovalClosed { state, by: told, at: when, .. })) =
        approvals::reject(session, ada(), boss, None).await
    else {
        panic!("it was decided twice");
    };
    assert_eq!((state, told, when), ("approved", Some(by), at));
    assert_eq!(approvals::show(session, owner).await?.state, "pending", "each node asks for itself");
    let inputs = format!("SELECT count(*) FROM run_inbox WHERE run_id = '{run}'");
    assert_eq!(world.database.count(&inputs).await?, 1, "the run hears it once");
    let wakeups =
        format!("SELECT count(*) FROM wakeups WHERE run_id = '{run}' AND token = -1 AND due_at <= now()");
    assert_eq!(world.database.count(&wakeups).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_decisions_at_once_one_is_taken_and_all_are_told_which() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let (run, [boss, _]) = world.asks_until("1", None).await?;
    let mut many = tokio::task::JoinSet::new();
    for number in 0..20 {
        let session = session.clone();
        many.spawn(async move {
            match number % 2 {
                0 => approvals::approve(&session, ada(), boss, None).await,
                _ => approvals::reject(&session, ada(), boss, None).await,
            }
        });
    }
    let results = many.join_all().await;
    let done: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(done.len(), 1);
    for result in results.iter().filter(|result| result.is_err()) {
        let Err(Error::Refused(Refusal::ApprovalClosed { state, .. })) = result else { panic!("{result:?}") };
        assert_eq!(*state, done[0].state);
    }
    let inputs = format!("SELECT count(*) FROM run_inbox WHERE run_id = '{run}'");
    assert_eq!(world.database.count(&inputs).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_decision_after_its_time_is_too_late_and_changes_nothing() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let (run, [boss, _]) = world.asks_until("1", Some(Utc::now() - TimeDelta::seconds(1))).await?;
    assert_eq!(refused(approvals::approve(session, ada(), boss, None).await), "approval_too_late");
    assert_eq!(approvals::show(session, boss).await?.state, "pending", "its run says so once it looks");
    let inputs = format!("SELECT count(*) FROM run_inbox WHERE run_id = '{run}'");
    assert_eq!(world.database.count(&inputs).await?, 0);
    let (_, [boss, _]) = world.asks_until("2", Some(Utc::now() + TimeDelta::hours(1))).await?;
    approvals::reject(session, ada(), boss, None).await?;
    Ok(())
}

#[tokio::test]
async fn an_approval_of_a_cancelled_run_is_cancelled_and_cannot_be_decided() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let (run, [boss, owner]) = world.asks_until("1", None).await?;
    approvals::approve(session, ada(), owner, None).await?;
    runs::cancel(session, ada(), run, "enough").await?;
    assert_eq!(approvals::show(session, boss).await?.state, "cancelled");
    assert_eq!(approvals::show(session, owner).await?.state, "approved", "what was decided stays");
    assert_eq!(refused(approvals::approve(session, ada(), boss, None).await), "approval_closed");
    let left = format!("SELECT count(*) FROM run_inbox WHERE run_id = '{run}'");
    assert_eq!(world.database.count(&left).await?, 0, "nobody hears of it");
    Ok(())
}

#[tokio::test]
async fn an_unknown_approval_and_a_comment_that_is_too_long_are_refused() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let (_, [boss, _]) = world.asks_until("1", None).await?;
    let nobody = automation_domain::id::ApprovalId(uuid::Uuid::nil());
    assert_eq!(refused(approvals::approve(session, ada(), nobody, None).await), "approval_not_found");
    let long = "x".repeat(approvals::COMMENT + 1);
    assert_eq!(refused(approvals::approve(session, ada(), boss, Some(&long)).await), "comment_too_long");
    Ok(())
}

#[tokio::test]
async fn a_run_at_a_pause_goes_on_once_and_in_time() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let run = world.pauses_until("1", None).await?;
    assert_eq!(refused(runs::go_on(session, ada(), run, Some("other"), None).await), "run_not_paused");
    assert_eq!(runs::go_on(session, ada(), run, None, Some("seen")).await?.nodes, ["hold"]);
    assert_eq!(refused(runs::go_on(session, ada(), run, None, None).await), "run_not_paused");
    let late = world.pauses_until("2", Some(Utc::now() - TimeDelta::seconds(1))).await?;
    assert_eq!(refused(runs::go_on(session, ada(), late, None, None).await), "pause_over");
    let (asks, _) = world.asks_until("3", None).await?;
    assert_eq!(refused(runs::go_on(session, ada(), asks, None, None).await), "run_not_paused");
    runs::cancel(session, ada(), late, "enough").await?;
    assert_eq!(refused(runs::go_on(session, ada(), late, None, None).await), "run_ended");
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_held_by_hand_keeps_what_is_said_and_stays_held() -> anyhow::Result<()> {
    let world = World::new().await?;
    let session = &world.session;
    let run = world.pauses_until("1", None).await?;
    runs::pause(session, ada(), run, "wait").await?;
    assert_eq!(runs::go_on(session, ada(), run, None, None).await?.nodes, ["hold"]);
    let held = format!("SELECT count(*) FROM runs_open WHERE run_id = '{run}' AND is_held");
    assert_eq!(world.database.count(&held).await?, 1, "neither lifts the other");
    Ok(())
}
