//! `automation run explain` on a run that went through everything: retries, a delay, an error branch, a dead letter, a replay.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod recorder;

use automation_domain::outbound::{AllowList, Outbound};
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use engine::{Engine, event};
use recorder::{Recorder, Reply};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

fn call(engine: &Engine, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", engine.database.url())
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_TENANT", "acme")
        .env("USER", "ada")
        .output()
        .unwrap();
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
