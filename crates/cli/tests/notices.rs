//! Workflows that start each other in a circle: the chain is stopped, and whoever owns them is told once.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_operations::notices::{self, Notice, Which};
use automation_operations::{Error, Refusal, Session};
use automation_test_support::builders;
use engine::{Engine, event};
use serde_json::{Value, json};

/// Begins by a form or by its tag, and gives the next tag in place of its own.
fn passes_on(key: &str, own: &str, next: &str) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": key, "owner": format!("{key}'s team"),
        "triggers": [
            { "id": "begun", "event": "form.submitted", "where": { "field": "event.data.form_id", "op": "equals", "value": own } },
            { "id": "tagged", "event": "contact.tag_added", "where": { "field": "event.data.tag", "op": "equals", "value": own } },
        ],
        "nodes": [
            { "id": "take", "action": "remove_tag", "with": { "tag": own } },
            { "id": "give", "action": "add_tag", "with": { "tag": next } },
        ],
        "edges": [["begun", "take"], ["tagged", "take"], ["take", "give"]],
    })
}

fn form(id: &str, form_id: &str) -> Value {
    event("form.submitted", id, &format!("who-{id}"), json!({ "form_id": form_id }))
}

const STOPPED: &str = "SELECT count(*) FROM parked_events WHERE reason = 'causation_depth_exceeded'";
const RAISED: &str =
    "SELECT count(*) FROM events WHERE event_type = 'notice.raised' AND source = 'automation'";

#[tokio::test]
async fn a_circle_of_workflows_is_stopped_and_one_notice_names_the_edge() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(passes_on("ping", "ping", "pong")).await?;
    engine.apply(passes_on("pong", "pong", "ping")).await?;
    let session = Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() };
    let told = async || Ok::<_, Error>(notices::list(&session, Which::Open, None).await?.data);

    // The sixth event of each chain gives ping's tag or pong's; of removed tags nobody is told, for they start nothing.
    engine.publish(vec![form("1", "ping")]).await?;
    engine.until("SELECT count(*) FROM notices", 1).await?;
    engine.until(RAISED, 1).await?;
    let [notice] = &told().await?[..] else { panic!("one notice is there") };
    let Notice { about, kind, occurrences, workflows, .. } = notice;
    assert_eq!(kind, "loop_stopped");
    assert_eq!(about, "pong/give -> contact.tag_added -> ping/tagged");
    let owners: Vec<_> = workflows.iter().map(|one| (one.workflow.as_str(), one.owner.as_deref())).collect();
    assert_eq!(owners, [("pong", Some("pong's team")), ("ping", Some("ping's team"))]);
    assert_eq!((*occurrences, &notice.detail["depth"]), (1, &json!(6)));
    engine.until("SELECT count(*) FROM runs_finished", 6).await?;
    engine.until(STOPPED, 2).await?;

    // Again and again: one notice, and one event of it.
    engine.publish((2..12).map(|number| form(&number.to_string(), "ping")).collect()).await?;
    engine.until("SELECT sum(occurrences)::bigint FROM notices", 11).await?;
    let [again] = &told().await?[..] else { panic!("one notice is there") };
    assert_eq!((again.id, again.first_at), (notice.id, notice.first_at));
    assert_eq!(engine.database.count(RAISED).await?, 1);

    // Put away, it comes back with the next.
    let dismissed = notices::dismiss(&session, builders::ada(), notice.id).await?;
    assert_eq!(dismissed.dismissed_by.as_deref(), Some("ada"));
    assert_eq!(told().await?, []);
    let twice = notices::dismiss(&session, builders::ada(), notice.id).await;
    assert!(
        matches!(twice, Err(Error::Refused(Refusal::NoticeDismissed(id))) if id == notice.id),
        "{twice:?}"
    );
    engine.publish(vec![form("13", "ping")]).await?;
    engine.until(RAISED, 2).await?;
    let [back] = &told().await?[..] else { panic!("the notice is back") };
    assert_eq!((back.id, back.occurrences, back.dismissed_at), (notice.id, 1, None));
    engine.stop().await
}
