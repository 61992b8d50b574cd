//! `automation run explain` on a run that went through everything: retries, a delay, an error branch, a dead letter, a replay.
//! `automation event show` on events that started runs and on events that did not, for every reason there is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod recorder;

use automation_domain::outbound::{AllowList, Outbound};
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use chrono::{DateTime, TimeDelta};
use engine::{Engine, event};
use recorder::{Recorder, Reply};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// `/gone` is never there; `/late` answers 503 until it is mended.
async fn server(mended: Arc<AtomicBool>) -> anyhow::Result<Recorder> {
    Recorder::start(move |arrival, _| match arrival.path.as_str() {
        "/gone" => Reply::Text(404, "no such list".to_owned()),
        _ if mended.load(Ordering::SeqCst) => Reply::Status(200),
        _ => Reply::Status(503),
    })
    .await
}

fn workflow(recorder: &Recorder) -> Value {
    let call = |id: &str, path: &str| {
        json!({ "id": id, "action": "http_request", "with": {
            "method": "POST", "url": recorder.url(path), "body": { "json": { "who": "{{ event.data.name }}" } },
        } })
    };
    let mut gone = call("gone", "/gone");
    gone["on_error"] = "sorry".into();
    json!({
        "apiVersion": "automation/v1", "key": "story", "name": "Story",
        "triggers": [{ "id": "form", "event": "form.submitted" }],
        "nodes": [
            gone,
            { "id": "sorry", "action": "add_note", "with": { "text": "{{ event.data.name }} is not on the list" } },
            { "id": "breathe", "action": "delay", "with": { "for": "6s" } },
            { "id": "ask", "action": "create_task", "with": { "title": "Call {{ event.data.name }}", "assignee": "bob" } },
            call("late", "/late"),
        ],
        "edges": [["form", "gone"], ["gone", "breathe"], ["sorry", "breathe"], ["breathe", "ask"], ["ask", "late"]],
    })
}

fn command(engine: &Engine, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
    command
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", engine.database.url())
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_TENANT", "acme")
        .env("USER", "ada");
    command
}

fn call(engine: &Engine, arguments: &[&str]) -> String {
    let output = command(engine, arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(engine: &Engine, arguments: &[&str]) -> Value {
    serde_json::from_str(&call(engine, &[arguments, &["--json"]].concat())).unwrap()
}

/// The story with what differs from run to run, ids, times, durations and ports, written as what it is.
fn without_luck(story: &str) -> String {
    let patterns = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\b\d+ (ms|s)\b", "SPAN"),
        (r"127\.0\.0\.1:\d+", "HOST"),
        (r"claim \d+", "claim N"),
    ];
    patterns.iter().fold(story.to_owned(), |story, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&story, *word).into_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_retries_a_delay_an_error_branch_a_dead_letter_and_a_replay_is_told_whole()
-> anyhow::Result<()> {
    let mended = Arc::new(AtomicBool::new(false));
    let recorder = server(mended.clone()).await?;
    let allow = AllowList::new(vec![recorder.authority().parse().map_err(anyhow::Error::msg)?]);
    let requests = Requests { outbound: Outbound { allow, ..Outbound::default() }, ..Requests::default() };
    let ladder = Ladder { rungs: "500ms".parse()?, ..Ladder::default() };
    let mut engine = Engine::prepare(ladder, requests).await?;
    engine.start_roles();
    engine.apply(workflow(&recorder)).await?;
    engine.publish(vec![event("form.submitted", "1", "ada", json!({ "name": "Ada" }))]).await?;

    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 1).await?;
    // Both commands have to be done before the delay is over.
    let run = json_of(&engine, &["run", "list"])["data"][0]["id"].as_str().unwrap().to_owned();
    let waiting = call(&engine, &["run", "explain", &run]);
    assert!(waiting.contains("breathe waits until "), "{waiting}");
    engine.until("SELECT count(*) FROM dead_letters", 1).await?;
    mended.store(true, Ordering::SeqCst);
    call(&engine, &["dead", "replay", "--all", "--reason", "it is up"]);
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;

    let story = call(&engine, &["run", "explain", &run]);
    let told = without_luck(&story);
    let mut lines = told.lines().map(str::trim_end);
    for line in EXPECTED.trim().lines() {
        assert!(lines.any(|one| one == line), "{line:?} is missing, or not in its place, in:\n{told}");
    }
    let data = json_of(&engine, &["run", "explain", &run]);
    let steps = data["steps"].as_array().unwrap();
    let step = |node: &str, outcome: &str| {
        steps.iter().find(|step| step["node"] == node && step["outcome"] == outcome).unwrap()
    };
    assert_eq!(step("sorry", "completed")["input"]["text"], "Ada is not on the list");
    assert_eq!(step("ask", "completed")["input"]["assignee"], "bob");
    assert_eq!(step("late", "retrying")["detail"]["attempt"], 1);
    assert!(steps.iter().all(|step| step["worker"].is_string()));
    let late = &data["requests"][1];
    assert_eq!((&late["node"], &late["status"]), (&json!("late"), &json!("done")));
    assert_eq!(late["request"]["body"], r#"{"who":"Ada"}"#);
    let codes: Vec<&Value> = late["tries"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(codes, [503, 503, 200]);
    assert_eq!(late["response"]["status"], 200);
    assert_eq!(data["dead_letters"][0]["status"], "replayed");

    let tasks = json_of(&engine, &["task", "list", "--contact", "ada"])["data"].clone();
    let task = &tasks[0];
    assert_eq!(
        (&task["title"], &task["assignee"], &task["status"]),
        (&json!("Call Ada"), &json!("bob"), &json!("open"))
    );
    assert_eq!((&task["contact"], &task["run"]), (&json!("ada"), &json!(run)));
    assert_eq!(json_of(&engine, &["task", "list", "--run", &run])["data"], tasks);
    let notes = json_of(&engine, &["note", "list", "--contact", "ada", "--run", &run])["data"].clone();
    assert_eq!((notes.as_array().unwrap().len(), &notes[0]["text"]), (1, &json!("Ada is not on the list")));
    let other = Uuid::new_v4().to_string();
    assert_eq!(json_of(&engine, &["note", "list", "--run", &other])["data"], json!([]));
    engine.stop().await
}

/// Lines of the story, in their order. Where one claim ends and the next begins is luck.
const EXPECTED: &str = r#"
Run ID of workflow story, version 1
  event     form.submitted from shop, id 1
            {"name":"Ada"}
  contact   ada (no e-mail address)
  received  TIME
  trigger   form (unique by ada)
TIME  +SPAN  claim N by executor-test
  form trigger: completed
  gone http_request: failed  {"attempt":1,"code":"http_404","message":"the server answered 404 Not Found","on_error":"sorry"}
  sorry add_note: completed  {"note_id":"ID"}
    with {"text":"Ada is not on the list"}
  breathe delay: waiting  {"until":"TIME"}
  breathe delay: completed
  ask create_task: completed  {"due_at":null,"task_id":"ID","title":"Call Ada"}
    with {"assignee":"bob","status":"open","title":"Call Ada"}
  late http_request: attempt 1 failed: the server answered 503 Service Unavailable [http_503]; tried again, at TIME
  late http_request: failed  {"attempt":2,"code":"http_503","message":"the server answered 503 Service Unavailable"}
TIME  +SPAN  claim N by ada
  late: brought back from dead letter ID, under the same key: it is up

gone asks POST http://HOST/gone, failed
  key       ID, at least once
  header    Content-Type: application/json
  header    Idempotency-Key: ID
  body      {"who":"Ada"}
  try 1     attempt 1, ended TIME after SPAN, status 404: the server answered 404 Not Found [http_404]
  answer    404 "no such list"

late asks POST http://HOST/late, done
  key       ID, at least once
  header    Content-Type: application/json
  header    Idempotency-Key: ID
  body      {"who":"Ada"}
  try 1     attempt 1, ended TIME after SPAN, status 503: the server answered 503 Service Unavailable [http_503]
  try 2     attempt 2, ended TIME after SPAN, status 503: the server answered 503 Service Unavailable [http_503]
  try 1     attempt 1, ended TIME after SPAN, status 200: done
  answer    200 {"ok":true}

completed at TIME, after SPAN
dead letter ID of TIME: replayed at TIME by ada
"#;

/// A workflow of one delay, with what it takes to enter.
fn waits(key: &str, delay: &str, condition: Value, enrolment: Value) -> Value {
    let mut trigger = json!({ "id": "form", "event": "form.submitted" });
    if condition.is_object() {
        trigger["where"] = condition;
    }
    json!({
        "apiVersion": "automation/v1", "key": key, "name": key, "triggers": [trigger], "enrolment": enrolment,
        "nodes": [{ "id": "wait", "action": "delay", "with": { "for": delay } }], "edges": [["form", "wait"]],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn why_an_event_started_a_run_or_none_is_told_for_each_trigger_that_listens() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    let none = || json!({});
    let total = json!({ "field": "event.data.total", "op": "greater_than", "value": 100 });
    let vip = json!({ "where": { "field": "contact.tags", "op": "contains", "value": "vip" } });
    engine.apply(waits("always", "1s", Value::Null, none())).await?;
    engine.apply(waits("big", "1s", total, vip)).await?;
    engine
        .apply(waits(
            "gapped",
            "1s",
            Value::Null,
            json!({ "reentry": { "mode": "after_exit", "gap": "1h" } }),
        ))
        .await?;
    engine.apply(waits("halted", "1s", Value::Null, none())).await?;
    engine.apply(waits("once", "1s", Value::Null, json!({ "reentry": { "mode": "once" } }))).await?;
    engine.apply(waits("single", "1h", Value::Null, json!({ "on_conflict": "ignore" }))).await?;
    let max = json!({ "reentry": { "mode": "always", "max": { "runs": 1, "per": "30d" } } });
    engine.apply(waits("counted", "1s", Value::Null, max)).await?;
    let staff = json!({ "field": "event.data.total", "op": "greater_than", "value": 50 });
    engine.apply(waits("unwanted", "1s", Value::Null, json!({ "suppress": staff }))).await?;
    call(&engine, &["workflow", "pause", "halted"]);
    engine.publish(vec![event("form.submitted", "1", "ada", json!({ "total": 20 }))]).await?;
    engine.until("SELECT count(*) FROM runs_finished", 5).await?;
    let mut second = event("form.submitted", "a/2", "ada", json!({ "total": 80 }));
    second["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into();
    second["causationid"] = "1".into();
    second["causationdepth"] = 1.into();
    engine.publish(vec![second]).await?;
    engine.until("SELECT count(*) FROM runs_finished", 6).await?;
    engine.apply(waits("later", "1s", Value::Null, none())).await?;

    let shown = json_of(&engine, &["event", "show", "a/2", "--source", "shop"]);
    assert_eq!(
        (&shown["subject"], &shown["data"]["total"], &shown["causation_id"], &shown["causation_depth"]),
        (&json!("ada"), &json!(80), &json!("1"), &json!(1))
    );
    assert_eq!(shown["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let verdict = |shown: &Value, workflow: &str| {
        let all = shown["triggers"].as_array().unwrap();
        all.iter().find(|one| one["workflow"] == workflow).unwrap().clone()
    };
    for (workflow, expected) in [
        ("always", "started"),
        ("big", "condition_false"),
        ("counted", "max"),
        ("gapped", "gap"),
        ("halted", "paused"),
        ("later", "published_later"),
        ("once", "once"),
        ("single", "still_in"),
        ("unwanted", "suppressed"),
    ] {
        let told = verdict(&shown, workflow);
        assert_eq!(told["verdict"], expected, "{told}");
        assert_eq!(told["worked_out_anew"], expected != "started", "{told}");
    }
    let run = verdict(&shown, "always")["run"].clone();
    assert_eq!((&run["status"], &run["event"]["id"]), (&json!("completed"), &json!("a/2")));
    let explained = json_of(&engine, &["run", "explain", run["id"].as_str().unwrap()]);
    assert_eq!((&explained["trace_id"], &explained["span_id"]), (&shown["trace_id"], &Value::Null));
    let first = json_of(&engine, &["event", "show", "shop/1"]);
    assert_eq!(verdict(&first, "once")["verdict"], "started");
    assert_eq!(verdict(&first, "gapped")["verdict"], "started");
    assert_eq!(verdict(&first, "unwanted")["verdict"], "started");
    let began = |shown: &Value| DateTime::parse_from_rfc3339(shown["received_at"].as_str().unwrap()).unwrap();
    let until = verdict(&shown, "counted")["until"].as_str().unwrap().to_owned();
    assert_eq!(DateTime::parse_from_rfc3339(&until)?, began(&first) + TimeDelta::days(30));
    assert_eq!(verdict(&shown, "once")["since"], first["received_at"]);
    for workflow in ["once", "gapped", "single", "counted"] {
        assert_eq!(verdict(&shown, workflow)["earlier_run"], verdict(&first, workflow)["run"]["id"]);
    }
    let big = verdict(&shown, "big");
    assert_eq!(
        big["conditions"],
        json!([
            { "of": "trigger", "holds": false, "comparisons": [{ "field": "event.data.total", "op": "greater_than",
                "actual": 80, "expected": 100, "holds": false }] },
            { "of": "enrolment", "holds": false, "comparisons": [{ "field": "contact.tags", "op": "contains",
                "actual": [], "expected": "vip", "holds": false }] },
        ])
    );

    let id = shown["event_id"].as_str().unwrap();
    assert_eq!(json_of(&engine, &["event", "show", id]), shown, "by the id under which it is recorded");
    let told = without_luck(&call(&engine, &["event", "show", id]));
    assert_eq!(told.trim_end(), SHOWN.trim(), "{told}");

    // A trigger that the workflow does not have any more keeps its runs.
    let mut renamed = waits("always", "1s", Value::Null, none());
    renamed["triggers"][0]["id"] = "other".into();
    renamed["edges"][0][0] = "other".into();
    engine.apply(renamed).await?;
    let after = json_of(&engine, &["event", "show", "shop/a/2"]);
    assert_eq!(
        (&after["other_runs"][0]["id"], &after["other_runs"][0]["trigger"]),
        (&run["id"], &json!("form"))
    );
    let told = verdict(&after, "always");
    assert_eq!(
        (&told["verdict"], &told["version"], &told["version_then"]),
        (&json!("unexplained"), &json!(2), &json!(1))
    );

    // Refused, unknown, and not named.
    engine.publish(vec![event("schedule.cron", "fake-slot", "ada", json!({}))]).await?;
    engine.until("SELECT count(*) FROM parked_events", 1).await?;
    for (arguments, code, said) in [
        (&["event", "show", "fake-slot", "--source", "shop"][..], 3, "was refused: "),
        (&["event", "show", "shop/fake-slot"], 3, "automation parked show "),
        (&["event", "show", "shop/never"], 3, "automation parked list"),
        (&["event", "show", "never"], 2, "--source"),
    ] {
        let output = command(&engine, arguments).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    engine.stop().await
}

const SHOWN: &str = r#"
Event form.submitted from shop, id a/2
  recorded  ID
  subject   ada
  happened  TIME
  received  TIME
  caused by event 1, link 1 of the chain
  trace     0af7651916cd43dd8448eb211c80319c
  data      {"total":80}

always version 1, trigger form: started run ID of version 1, completed

Without a run. Why is worked out anew: from the event as recorded, and from workflows and contact as they are today.
big version 1, trigger form: a condition does not hold
  trigger condition does not hold
    no   event.data.total greater_than 100, is 80
  enrolment condition does not hold
    no   contact.tags contains "vip", is []
counted version 1, trigger form: kept out until TIME, as many runs of "ada" began within the time as may: run ID
gapped version 1, trigger form: kept out until TIME, by the gap after the last run of "ada": run ID
halted version 1, trigger form: the workflow is paused
later version 1, trigger form: first published after the event came
once version 1, trigger form: kept out by reentry once, "ada" had been in since TIME: run ID
single version 1, trigger form: kept out, a run of "ada" was open: run ID
unwanted version 1, trigger form: the workflow never lets in whom the event is about
  suppress condition holds
    yes  event.data.total greater_than 50, is 80
"#;
