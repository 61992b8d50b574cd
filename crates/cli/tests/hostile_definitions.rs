//! Definitions made to hurt, published in a running fleet: every role lives on in bounded memory, and others have their turn.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use anyhow::Context;
use automation_test_support::ports::free_port;
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Most memory that a role may take at its peak.
const MOST_BYTES: u64 = 160 * 1024 * 1024;
/// Events that meet each hostile workflow.
const EVENTS: usize = 8;

/// A role in a process of its own.
struct Role {
    name: &'static str,
    child: Child,
}

impl Role {
    fn start(name: &'static str, engine: &Engine) -> anyhow::Result<Self> {
        // Another build of the same program, to see how long it takes where that counts: `./dev prove hostile`.
        let program = std::env::var("AUTOMATION_TEST_PROGRAM");
        let child = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_automation")))
            .args(["serve", "--roles", name])
            .env("DATABASE_URL", engine.database.url())
            .env("AMQP_URL", engine.vhost.amqp_url())
            .env("AUTOMATION_ENGINE_USERS", engine.engine_user())
            .env("AUTOMATION_ADMIN_ADDR", format!("127.0.0.1:{}", free_port()?))
            .env("AUTOMATION_HTTP_ADDR", "127.0.0.1:0")
            .env("AUTOMATION_FIRST_LOOK_MS", "500")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name, child })
    }

    /// Fails unless it lives, and its peak of resident memory is within bounds.
    fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        anyhow::ensure!(ended.is_none(), "{} ended: {ended:?}", self.name);
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().context("it lives")?))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("Linux tells it")?;
        let peak = peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
        anyhow::ensure!(peak < MOST_BYTES, "{} took {peak} bytes", self.name);
        Ok(())
    }
}

fn workflow(key: &str, condition: Option<Value>, nodes: Vec<Value>) -> Value {
    let mut trigger = json!({ "id": "go", "event": "order.created" });
    if let Some(condition) = condition {
        trigger["where"] = condition;
    }
    let edges: Vec<Value> = nodes
        .windows(2)
        .map(|pair| match pair[0]["action"].as_str() {
            Some("branch") => json!({ "from": pair[0]["id"], "case": "else", "to": pair[1]["id"] }),
            _ => json!([pair[0]["id"], pair[1]["id"]]),
        })
        .chain([json!(["go", nodes[0]["id"]])])
        .collect();
    json!({ "apiVersion": "automation/v1", "key": key, "name": key, "triggers": [trigger], "nodes": nodes, "edges": edges })
}

fn note(number: usize, text: &str) -> Value {
    json!({ "id": format!("n{number}"), "action": "add_note", "with": { "text": text } })
}

fn branch(number: usize, condition: Value) -> Value {
    let cases = [json!({ "name": "found", "where": condition })];
    json!({ "id": format!("n{number}"), "action": "branch", "with": { "cases": cases } })
}

fn looks(count: usize) -> Value {
    json!({ "any": vec![json!({ "field": "event.data.text", "op": "contains", "value": "xyz" }); count] })
}

fn states() -> Value {
    json!({ "field": "event.data.bits", "op": "regex_match", "value": "1[01]{200}2" })
}

/// One of each sort, by key.
fn hostile() -> Vec<Value> {
    vec![
        workflow("dear-trigger", Some(looks(600)), vec![note(0, "x")]),
        workflow("dear-expression", Some(states()), vec![note(0, "x")]),
        workflow("dear-branch", None, vec![branch(0, looks(600))]),
        workflow("dear-walk", None, (0..8).map(|number| branch(number, looks(490))).collect()),
        workflow("many-notes", None, (0..100).map(|number| note(number, "{{ event.data.text }}")).collect()),
    ]
}

/// Runs that each hostile workflow has for an event: the triggers let nothing in.
const RUNS: usize = 3;

async fn ordinary(engine: &Engine, id: &str) -> anyhow::Result<Duration> {
    let notes = format!("SELECT count(*) FROM notes WHERE body = 'Wrote: {id}'");
    let begun = Instant::now();
    let form = event("form.submitted", id, "ada", json!({ "form_id": "contact", "text": id }));
    engine.publish(vec![form]).await?;
    engine.until(&notes, 1).await?;
    Ok(begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_definitions_leave_every_role_alive_and_others_their_turn() -> anyhow::Result<()> {
    let engine = Engine::start(0).await?;
    let mut roles = Vec::new();
    for name in ["door", "ingest", "executor", "scheduler"] {
        roles.push(Role::start(name, &engine)?);
    }
    engine.apply(note_forms("ordinary")).await?;
    ordinary(&engine, "first").await?;
    let alone = ordinary(&engine, "alone").await?;
    for definition in hostile() {
        engine.apply(definition).await?;
    }
    let bits: String =
        (0..56_000_u32).map(|n| if n.wrapping_mul(2_654_435_761) >> 31 == 0 { '0' } else { '1' }).collect();
    let order = |number: usize| {
        let data = json!({ "text": "lorem ipsum ".repeat(4_600), "bits": bits });
        event("order.created", &number.to_string(), &format!("c-{number}"), data)
    };
    engine.publish((0..EVENTS).map(order).collect()).await?;
    let beside = ordinary(&engine, "beside").await?;
    // How long it takes is the machine's business, and said; that it ends while the others are about is what counts.
    println!("{beside:?} beside hostile runs, {alone:?} alone");

    let ended = i64::try_from(EVENTS * RUNS)?;
    let of_hostile =
        "FROM runs_finished r JOIN workflows w USING (tenant_id, workflow_id) WHERE w.key <> 'ordinary'";
    engine.until(&format!("SELECT count(*) {of_hostile}"), ended).await?;
    let failed = format!("SELECT count(*) {of_hostile} AND r.status = 'failed' AND w.key = 'dear-branch'");
    assert_eq!(engine.count(&failed).await?, i64::try_from(EVENTS)?, "over_budget");
    let completed = format!("SELECT count(*) {of_hostile} AND r.status = 'completed'");
    assert_eq!(engine.count(&completed).await?, i64::try_from(EVENTS * 2)?);
    for role in &mut roles {
        role.check()?;
    }
    engine.stop().await
}
