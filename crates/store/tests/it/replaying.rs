//! Replay: a failed run is open again, once, or the refusal says why not and nothing is changed.

use crate::dead_letters::letter;
use crate::world::World;
use automation_domain::entry::Enrolment;
use automation_domain::id::{DeadLetterId, RunId};
use automation_domain::interpreter::{EndStatus, ReplayKey};
use automation_domain::priority::Priority;
use automation_domain::trace::RunTrace;
use automation_store::dead_letters::{self, DeadLetterStatus, Obstacle, Replay, ReplayVersion, Replayed};
use automation_store::events::receipts;
use automation_store::runs::checkpoints::{self, Checkpoint, Next};
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::runs::lists::{self, RunStatus};
use automation_store::{Error, Scope};
use automation_test_support::builders::{self, Published, Started};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a run looks that failed at its node `call`, while a delay went on beside it.
const FAILED: &str = r#"{
    "step_count": 3, "steps": {"call": {"visits": 1, "error": {"code": "http_status", "message": "503"}}},
    "end": {"status": "failed", "node": "call", "error": {"code": "http_status", "message": "503"}, "tokens": [
        [0, {"node": "call", "visit": 1, "waits": {"for": "retry", "until": "2026-01-01T00:00:00Z", "attempt": 6, "stored": true}}],
        [1, {"node": "nap", "visit": 1, "waits": {"for": "timer", "until": "2126-01-01T00:00:00Z"}}]
    ]}}"#;

/// A claimed run ends like this, with its letter if it failed.
async fn end(world: &World, started: Started, epoch: i32, status: &'static str) -> anyhow::Result<()> {
    world.claim(&[started.run_id]).await?;
    let state = if status == "failed" { FAILED } else { r#"{"end":{"status":"completed"}}"# };
    let checkpoint = Checkpoint {
        tenant_id: world.tenant,
        run_id: started.run_id,
        epoch,
        priority: Priority::Medium,
        next: Next::Finished { status: end_status(status) },
        state: state.as_bytes().to_vec(),
        steps: b"[]".to_vec(),
    };
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            let held = checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await?;
            assert_eq!(held.len(), 1, "the claim {epoch} holds");
            if status == "failed" {
                dead_letters::insert(connection, now, &[letter(world, started, epoch, "503")]).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(())
}

/// The id of the letter of a run's claim.
async fn letter_of(world: &World, run: RunId, epoch: i32) -> anyhow::Result<DeadLetterId> {
    let all = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::list(connection, world.tenant, &Default::default(), None, 100).await
        })
        .await?;
    Ok(all.into_iter().find(|one| one.run_id == run && one.epoch == epoch).unwrap().dead_letter_id)
}

pub async fn failed(world: &World, event: &str) -> anyhow::Result<(Started, DeadLetterId)> {
    let started = world.run(event).await?;
    end(world, started, 1, "failed").await?;
    Ok((started, letter_of(world, started.run_id, 1).await?))
}

/// A replay of the version that the run is pinned to, with the request as it is.
pub fn like(key: ReplayKey) -> Replay<'static> {
    Replay {
        key,
        version: ReplayVersion::Pinned,
        edited: None,
        who: builders::ada(),
        note: Some("it is up again"),
        look_again: Duration::from_secs(5),
    }
}

async fn replay(world: &World, id: DeadLetterId, key: ReplayKey) -> Result<Replayed, Error> {
    world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::replay(connection, world.tenant, id, like(key)).await
        })
        .await
}

/// Asserts that a replay is refused like this, foreseen by the dry run, and that nothing is changed by it.
async fn refused(world: &World, id: DeadLetterId, expected: Obstacle) -> anyhow::Result<()> {
    let before = fingerprint(world).await?;
    let foreseen = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            dead_letters::obstacle(connection, world.tenant, id, like(ReplayKey::Same)).await
        })
        .await?;
    assert_eq!(foreseen.as_ref(), Some(&expected));
    assert_eq!(replay(world, id, ReplayKey::Same).await?, Replayed::Refused(expected));
    assert_eq!(fingerprint(world).await?, before);
    Ok(())
}

async fn fingerprint(world: &World) -> anyhow::Result<i64> {
    let tables = [
        "runs_open",
        "runs_finished",
        "wakeups",
        "dead_letters",
        "audit_links",
        "audit_words",
        "audit_heads",
        "enrolments",
        "workflow_run_logs",
    ];
    let hashes = tables.map(|table| {
        format!("(SELECT coalesce(sum(hashtextextended(t::text, 7) / 1000), 0) FROM {table} t)")
    });
    world.database.count(&format!("SELECT (({}) % 1000000007)::int8", hashes.join(" + "))).await
}

#[tokio::test]
async fn a_failed_run_is_open_again_with_its_next_epoch_and_wakeups_for_each_branch() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (started, id) = failed(&world, "1").await?;
    let run_id = started.run_id;
    let outcome = replay(&world, id, ReplayKey::Same).await?;
    assert!(matches!(outcome, Replayed::Now { run_id: back, .. } if back == run_id), "{outcome:?}");
    for (what, sql) in [
        ("open", "SELECT count(*) FROM runs_open WHERE status = 'waiting' AND epoch = 2 AND abandoned = 0"),
        (
            "failed step",
            "SELECT count(*) FROM wakeups WHERE token = 0 AND reason = 'replay' AND ready_at <= now()",
        ),
        (
            "delay",
            "SELECT count(*) FROM wakeups WHERE token = 1 AND reason = 'timer' AND ready_at > now() + interval '90 years'",
        ),
        ("history", "SELECT count(*) FROM workflow_run_logs WHERE seq = 2 AND worker = 'ada'"),
        (
            "letter",
            "SELECT count(*) FROM dead_letters WHERE status = 'replayed' AND changed_by = 'ada' AND note = 'it is up again'",
        ),
        ("audit", "SELECT count(*) FROM audit_links WHERE action = 'dead_letter.replay'"),
    ] {
        assert_eq!(world.database.count(sql).await?, 1, "{what}");
    }
    assert_eq!(world.database.count("SELECT count(*) FROM runs_finished").await?, 0);
    let claimed = world.claim(&[run_id]).await?.remove(0);
    let state = claimed.state.unwrap();
    assert_eq!((claimed.epoch, state.tokens.len(), state.tokens[&0].visit, state.end), (3, 2, 1, None));
    refused(&world, id, Obstacle::NotOpen(DeadLetterStatus::Replayed)).await
}

#[tokio::test]
async fn a_replayed_run_goes_on_in_its_trace_with_a_span_of_its_own() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    let before = RunTrace { trace_id: 7, started_by: 8, span_id: 9 };
    let bytes: String = before.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    world.database.execute(&format!("UPDATE runs_open SET trace = '\\x{bytes}'")).await?;
    end(&world, started, 1, "failed").await?;
    let id = letter_of(&world, started.run_id, 1).await?;
    assert!(matches!(replay(&world, id, ReplayKey::Same).await?, Replayed::Now { .. }));
    let after = world.claim(&[started.run_id]).await?[0].trace.expect("it is kept");
    assert_eq!((after.trace_id, after.started_by), (before.trace_id, before.span_id));
    assert!(![0, before.started_by, before.span_id].contains(&after.span_id), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_another_visit_of_the_step() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (started, id) = failed(&world, "1").await?;
    replay(&world, id, ReplayKey::New).await?;
    let claimed = world.claim(&[started.run_id]).await?.remove(0);
    assert_eq!(claimed.state.unwrap().tokens[&0].visit, 2);
    let audited = "SELECT count(*) FROM audit_words WHERE detail::jsonb ->> 'key' = 'new'";
    assert_eq!(world.database.count(audited).await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_many_replays_at_once_one_wins() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (_, id) = failed(&world, "1").await?;
    let outcomes =
        futures_util::future::try_join_all((0..6).map(|_| replay(&world, id, ReplayKey::Same))).await?;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Replayed::Now { .. })).count();
    assert_eq!(won, 1, "{outcomes:?}");
    let lost = Replayed::Refused(Obstacle::NotOpen(DeadLetterStatus::Replayed));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == lost).count(), 5, "{outcomes:?}");
    assert_eq!(world.database.count("SELECT count(*) FROM runs_open").await?, 1);
    assert_eq!(world.database.count("SELECT count(*) FROM audit_links").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_run_that_fails_again_is_replayed_by_its_latest_letter_only() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (started, first) = failed(&world, "1").await?;
    replay(&world, first, ReplayKey::Same).await?;
    end(&world, started, 3, "failed").await?;
    // As if nobody had handled the first one.
    world.database.execute("UPDATE dead_letters SET status = 'open' WHERE epoch = 1").await?;
    refused(&world, first, Obstacle::RunMovedOn(RunStatus::Failed)).await?;
    let second = letter_of(&world, started.run_id, 3).await?;
    assert!(matches!(replay(&world, second, ReplayKey::Same).await?, Replayed::Now { .. }));
    refused(&world, first, Obstacle::RunOpen(RunStatus::Waiting)).await?;
    end(&world, started, 5, "completed").await?;
    refused(&world, first, Obstacle::RunMovedOn(RunStatus::Completed)).await
}

#[tokio::test]
async fn what_is_gone_or_archived_is_refused_by_its_reason() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (_, id) = failed(&world, "1").await?;
    let change = async |to: &str| world.database.execute(&format!("UPDATE dead_letters SET {to}")).await;
    change("status = 'discarded', changed_at = now(), changed_by = 'bob'").await?;
    refused(&world, id, Obstacle::NotOpen(DeadLetterStatus::Discarded)).await?;
    change("status = 'open'").await?;
    change("version_id = gen_random_uuid()").await?;
    refused(&world, id, Obstacle::WorkflowGone).await?;
    change(&format!("version_id = '{}'", world.workflow.version_id)).await?;
    world.database.execute("UPDATE events SET tenant_id = gen_random_uuid()").await?;
    refused(&world, id, Obstacle::EventGone).await?;
    world.database.execute("DELETE FROM runs_finished").await?;
    refused(&world, id, Obstacle::RunGone).await?;
    refused(&world, DeadLetterId(uuid::Uuid::nil()), Obstacle::NotFound).await
}

#[tokio::test]
async fn another_tenants_letter_is_not_there() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (_, id) = failed(&world, "1").await?;
    let other = builders::tenant(&world.operator, "rival").await?;
    let replay = Replay { who: &builders::auditor("eve"), ..like(ReplayKey::Same) };
    for tenant in [world.tenant, other] {
        let outcome = world
            .api
            .tx(Scope::Tenant(other), async |connection| {
                dead_letters::replay(connection, tenant, id, replay).await
            })
            .await?;
        assert_eq!(outcome, Replayed::Refused(Obstacle::NotFound));
    }
    assert_eq!(world.database.count("SELECT count(*) FROM runs_open").await?, 0);
    Ok(())
}

/// A workflow that lets one run of a key in at a time, or, with `start`, any number.
async fn with_rule(world: &mut World, on_conflict: &str) -> anyhow::Result<Published> {
    world.workflow = builders::publish(
        &world.api,
        world.tenant,
        json!({
            "apiVersion": "automation/v1", "key": on_conflict, "name": on_conflict,
            "triggers": [{ "id": "start", "event": "form.submitted" }],
            "enrolment": { "on_conflict": on_conflict },
            "nodes": [], "edges": [],
        }),
    )
    .await?;
    Ok(world.workflow)
}

/// The latest run of the key `ada`, as entry rules know it.
async fn enrol(world: &World, run: RunId, open: bool) -> Result<(), Error> {
    let key = EnrolmentKey {
        tenant_id: world.tenant,
        workflow_id: world.workflow.workflow_id,
        run_key: "ada".to_owned(),
    };
    let known = Enrolment { run_id: Some(run), open, runs: 1, ..Enrolment::default() };
    world
        .worker
        .tx(world.scope(), async |connection| {
            enrolments::lock(connection, std::slice::from_ref(&key)).await?;
            enrolments::write(connection, &BTreeMap::from([(key, known)])).await
        })
        .await
}

#[tokio::test]
async fn for_entry_rules_the_run_is_open_again() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    with_rule(&mut world, "ignore").await?;
    let (one, of_one) = failed(&world, "1").await?;
    enrol(&world, one.run_id, false).await?;
    assert!(matches!(replay(&world, of_one, ReplayKey::Same).await?, Replayed::Now { .. }));
    let open =
        |run: RunId| format!("SELECT count(*) FROM enrolments WHERE open AND run_id = '{run}' AND runs = 1");
    assert_eq!(world.database.count(&open(one.run_id)).await?, 1);

    // While it is open, a second one of the same key stays out.
    let (_, of_two) = failed(&world, "2").await?;
    refused(&world, of_two, Obstacle::OtherRunOpen(one.run_id)).await
}

/// A version of the engine that knows nothing of the column may publish beside one that does.
#[tokio::test]
async fn a_version_that_does_not_say_whether_it_is_exclusive_is_taken_for_one_that_is() -> anyhow::Result<()>
{
    let mut world = World::new().await?;
    with_rule(&mut world, "start").await?;
    world.database.execute("UPDATE workflow_versions SET is_exclusive = NULL").await?;
    let (_, id) = failed(&world, "1").await?;
    let later = world.run("2").await?;
    enrol(&world, later.run_id, true).await?;
    refused(&world, id, Obstacle::OtherRunOpen(later.run_id)).await
}

#[tokio::test]
async fn where_runs_of_a_key_may_be_open_beside_each_other_a_later_one_is_no_obstacle() -> anyhow::Result<()>
{
    let mut world = World::new().await?;
    with_rule(&mut world, "start").await?;
    let (_, id) = failed(&world, "1").await?;
    let later = world.run("2").await?;
    enrol(&world, later.run_id, true).await?;
    assert!(matches!(replay(&world, id, ReplayKey::Same).await?, Replayed::Now { .. }));
    let latest = format!("SELECT count(*) FROM enrolments WHERE open AND run_id = '{}'", later.run_id);
    assert_eq!(world.database.count(&latest).await?, 1);
    let status = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            lists::list(connection, world.tenant, &Default::default(), 10).await
        })
        .await?;
    assert!(status.iter().all(|run| run.status.is_open()));
    Ok(())
}

/// The way to end that has this word.
fn end_status(word: &str) -> EndStatus {
    let all = [EndStatus::Completed, EndStatus::Failed, EndStatus::Cancelled];
    all.into_iter().find(|status| status.as_str() == word).expect("a word of the three")
}
