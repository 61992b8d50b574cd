//! Runs are found by workflow, state, contact, event and time, page by page.

use crate::world::World;
use automation_domain::id::{ContactId, RecordId, RunId};
use automation_domain::interpreter::EndStatus;
use automation_domain::record::Task;
use automation_store::Scope;
use automation_store::events::receipts;
use automation_store::records::{Made, RecordFilter, tasks};
use automation_store::runs::checkpoints::{self, Checkpoint, Next, Wakeup};
use automation_store::runs::lists::{self, RunFilter, RunStatus, RunSummary};
use automation_store::runs::stats;
use automation_test_support::builders;
use chrono::TimeDelta;
use std::time::Duration;

async fn list(world: &World, filter: &RunFilter, limit: i64) -> anyhow::Result<Vec<RunSummary>> {
    let runs = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            lists::list(connection, world.tenant, filter, limit).await
        })
        .await?;
    Ok(runs)
}

async fn ids(world: &World, filter: RunFilter) -> anyhow::Result<Vec<RunId>> {
    Ok(list(world, &filter, 100).await?.into_iter().map(|run| run.run_id).collect())
}

/// Ends a claimed run.
async fn end(world: &World, run_id: RunId, status: &'static str, state: &str) -> anyhow::Result<()> {
    world.claim(&[run_id]).await?;
    let steps = br#"[{"node":"start","action":"trigger","visit":1,"outcome":"completed"},
                     {"node":"tag","action":"add_tag","visit":1,"outcome":"completed"}]"#;
    let checkpoint = Checkpoint {
        tenant_id: world.tenant,
        run_id,
        epoch: 1,
        priority: automation_domain::priority::Priority::Medium,
        next: Next::Finished { status: end_status(status) },
        state: state.as_bytes().to_vec(),
        steps: steps.to_vec(),
    };
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_list_is_newest_first_and_goes_on_where_a_page_ended() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mut made = Vec::new();
    for id in 0..7 {
        let run = world.run(&id.to_string()).await?.run_id;
        if id % 2 == 0 {
            end(&world, run, "completed", "{}").await?;
        }
        made.push(run);
    }
    made.sort_unstable_by(|a, b| b.cmp(a));
    let mut seen = Vec::new();
    let mut filter = RunFilter::default();
    loop {
        let page = list(&world, &filter, 3).await?;
        filter.before = page.last().map(|run| run.run_id);
        seen.extend(page.iter().map(|run| run.run_id));
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(seen, made);
    Ok(())
}

#[tokio::test]
async fn every_part_of_a_filter_has_to_fit() -> anyhow::Result<()> {
    let world = World::new().await?;
    let done = world.run("1").await?;
    end(&world, done.run_id, "completed", "{}").await?;
    let queued = world.run("2").await?;
    let other = builders::workflow(&world.api, world.tenant, "other").await?;
    let mut event = builders::event("shop", "3");
    event.subject = Some("bob".to_owned());
    let of_bob = builders::run(&world.worker, world.tenant, other, event).await?;

    let filter = RunFilter { status: Some(RunStatus::Completed), ..RunFilter::default() };
    assert_eq!(ids(&world, filter).await?, [done.run_id]);
    let filter = RunFilter { workflows: Some(vec![other.workflow_id]), ..RunFilter::default() };
    assert_eq!(ids(&world, filter.clone()).await?, [of_bob.run_id]);
    let filter = RunFilter { status: Some(RunStatus::Completed), ..filter };
    assert_eq!(ids(&world, filter).await?, []);
    let filter = RunFilter { contact: Some(ContactId::derive(world.tenant, "ada")), ..RunFilter::default() };
    assert_eq!(ids(&world, filter).await?.len(), 2);
    let filter = RunFilter { since: Some(queued.received_at), ..RunFilter::default() };
    assert!(!ids(&world, filter).await?.contains(&done.run_id));
    let filter =
        RunFilter { since: Some(of_bob.received_at + TimeDelta::seconds(1)), ..RunFilter::default() };
    assert_eq!(ids(&world, filter).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_line_tells_event_contact_version_and_failure() -> anyhow::Result<()> {
    let world = World::new().await?;
    let run = world.run("1").await?;
    let state = r#"{"end":{"status":"failed","node":"tag","error":{"code":"bad_tag","message":"A tag is missing."}}}"#;
    end(&world, run.run_id, "failed", state).await?;
    let line = list(&world, &RunFilter::default(), 10).await?.remove(0);
    assert_eq!((line.workflow.as_str(), line.version, line.status), ("welcome", 1, RunStatus::Failed));
    assert_eq!(line.contact.as_deref(), Some("ada"));
    let event = line.event.unwrap();
    assert_eq!(
        (event.source.as_str(), event.id.as_str(), event.event_type.as_str()),
        ("test", "1", "form.submitted")
    );
    let failure = line.failure.unwrap();
    assert_eq!((failure.node.as_deref(), failure.error.code.as_str()), (Some("tag"), "bad_tag"));
    assert!(line.finished_at.unwrap() > line.received_at);
    Ok(())
}

#[tokio::test]
async fn runs_of_an_event_are_found_by_what_its_publisher_called_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (run, _other) = (world.run("1").await?, world.run("2").await?);
    let found = async |source: &'static str, id: &'static str| {
        world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                lists::ids_of_event(connection, world.tenant, source, id).await
            })
            .await
    };
    let known = found("test", "1").await?;
    assert_eq!(known, Some(vec![run.run_id]));
    assert_eq!(ids(&world, RunFilter { ids: known, ..RunFilter::default() }).await?, [run.run_id]);
    assert_eq!(found("test", "none").await?, None);
    // Without the receipt the recorded event tells when it was received.
    world.database.execute("DELETE FROM event_receipts").await?;
    assert_eq!(found("test", "1").await?, Some(vec![run.run_id]));
    Ok(())
}

#[tokio::test]
async fn a_waiting_run_tells_when_it_goes_on() -> anyhow::Result<()> {
    let world = World::new().await?;
    let started = world.run("1").await?;
    world.claim(&[started.run_id]).await?;
    let until = started.received_at + TimeDelta::hours(3);
    let checkpoint = Checkpoint {
        tenant_id: world.tenant,
        run_id: started.run_id,
        epoch: 1,
        priority: automation_domain::priority::Priority::Medium,
        next: Next::Waiting {
            wakeups: vec![Wakeup::timer(1, until), Wakeup::timer(2, until + TimeDelta::hours(1))],
        },
        state: b"{}".to_vec(),
        steps: Vec::new(),
    };
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await
        })
        .await?;
    let line = list(&world, &RunFilter::default(), 10).await?.remove(0);
    assert_eq!((line.status, line.waits_until), (RunStatus::Waiting, Some(until)));
    Ok(())
}

#[tokio::test]
async fn numbers_count_events_runs_and_steps_since_a_moment() -> anyhow::Result<()> {
    let world = World::new().await?;
    let early = world.run("0").await?;
    let mut last = early.received_at;
    for id in 1..=4 {
        let run = world.run(&id.to_string()).await?;
        last = run.received_at;
        if id > 1 {
            end(&world, run.run_id, if id == 4 { "failed" } else { "completed" }, "{}").await?;
        }
    }
    let (all, later, open) = world
        .api
        .tx(Scope::Tenant(world.tenant), async |connection| {
            let all = stats::since(connection, world.tenant, early.received_at).await?;
            let later = stats::since(connection, world.tenant, last + TimeDelta::seconds(1)).await?;
            let soon = Duration::from_secs(10);
            let open = stats::unsettled(connection, world.tenant, early.received_at, soon).await?;
            Ok::<_, automation_store::Error>((all, later, open))
        })
        .await?;
    assert_eq!((all.events, all.engine_events), (5, 0));
    let runs: Vec<_> =
        all.runs.iter().map(|(key, status, count)| (key.as_str(), status.as_str(), *count)).collect();
    assert_eq!(runs, [("welcome", "completed", 2), ("welcome", "failed", 1), ("welcome", "queued", 2)]);
    assert_eq!(all.actions[0], ("add_tag".to_owned(), "completed".to_owned(), 3));
    let latency = all.latency.unwrap();
    assert_eq!(latency.runs, 2);
    assert!(latency.p50 > Duration::ZERO && latency.p50 <= latency.p99);
    assert_eq!((later.events, later.runs.len(), later.latency), (0, 0, None));
    assert_eq!((open.events, open.runs), (5, 2));
    Ok(())
}

#[tokio::test]
async fn tasks_are_found_by_contact_and_run_page_by_page() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (first, second) = (world.run("1").await?.run_id, world.run("2").await?.run_id);
    let ada = ContactId::derive(world.tenant, "ada");
    let task = |run: RunId, node: &str, contact_id: Option<ContactId>| Task {
        task_id: RecordId::derive(run, node, 1),
        contact_id,
        subject: None,
        title: node.to_owned(),
        description: None,
        due_at: None,
        assignee: None,
    };
    let made = [
        (first, task(first, "a", Some(ada))),
        (first, task(first, "b", None)),
        (second, task(second, "c", Some(ada))),
    ];
    let rows: Vec<_> = made
        .iter()
        .map(|(run_id, record)| Made { tenant_id: world.tenant, run_id: *run_id, record })
        .collect();
    world
        .worker
        .tx(world.scope(), async |connection| {
            let now = receipts::now(connection).await?;
            tasks::insert(connection, now, &rows).await
        })
        .await?;
    let list = async |filter: RecordFilter, limit: i64| {
        let found = world
            .api
            .tx(Scope::Tenant(world.tenant), async |connection| {
                tasks::list(connection, world.tenant, &filter, limit).await
            })
            .await?;
        anyhow::Ok(found.into_iter().map(|one| (one.record.task_id, one.run_id)).collect::<Vec<_>>())
    };
    let mut all: Vec<_> = made.iter().map(|(run, task)| (task.task_id, *run)).collect();
    all.sort_unstable_by(|left, right| right.cmp(left));
    assert_eq!(list(RecordFilter::default(), 10).await?, all);
    assert_eq!(list(RecordFilter::default(), 2).await?, all[..2]);
    assert_eq!(list(RecordFilter { before: Some(all[1].0), ..RecordFilter::default() }, 2).await?, all[2..]);
    let of_first = RecordFilter { run: Some(first), ..RecordFilter::default() };
    let its: Vec<_> = all.iter().filter(|(_, run)| *run == first).copied().collect();
    assert_eq!((its.len(), list(of_first.clone(), 10).await?), (2, its));
    let both = RecordFilter { contact: Some(ada), ..of_first };
    assert_eq!(list(both, 10).await?, [(made[0].1.task_id, first)]);
    Ok(())
}

/// The way to end that has this word.
fn end_status(word: &str) -> EndStatus {
    let all = [EndStatus::Completed, EndStatus::Failed, EndStatus::Cancelled];
    all.into_iter().find(|status| status.as_str() == word).expect("a word of the three")
}
