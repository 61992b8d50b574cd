//! The process dies at each of its crash points in turn, under load: every event still becomes exactly one completed
//! run. Each point stands between two steps that must come in that order; were they swapped, events would be lost.
#![cfg(debug_assertions)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests wait by the clock, draw names of their own, and say what they saw"
)]

#[expect(dead_code, reason = "this engine's roles are in a process of their own")]
mod engine;
#[path = "chaos_kill_nine/ledger.rs"]
mod ledger;
#[expect(dead_code, reason = "the tests of requests use the rest of it")]
mod recorder;

use anyhow::{Context, bail};
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use automation_service_kit::crash_point::CRASH_POINTS;
use engine::{Engine, event, note_forms};
use recorder::{Recorder, Reply};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const SIGABRT: i32 = 6;
/// How long a process may take to come to its crash point.
const PATIENCE: Duration = Duration::from_secs(60);
/// Short enough for a test.
const RUNGS: &str = "300ms,600ms,1s,1s,1s";
/// Requests that a process may have on their way.
const MOST_UNDER_WAY: usize = 32;
/// Deaths without a process that lives on: a run that was held at six in a row is given up, whoever is to blame.
const IN_A_ROW: usize = 5;
/// Events published at once.
const AT_ONCE: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_step_the_process_dies_after_nothing_is_lost_and_nothing_happens_twice() -> anyhow::Result<()>
{
    // What fails at first comes back by a wait queue.
    let recorder = Recorder::start(|_, number| Reply::Status(if number == 1 { 503 } else { 200 })).await?;
    let ladder = Ladder { rungs: RUNGS.parse()?, ..Ladder::default() };
    let engine = Engine::prepare(ladder, Requests::default()).await?;
    let mut workflow = note_forms("crash");
    workflow["nodes"] = json!([
        { "id": "note", "action": "add_note", "with": { "text": "Wrote." } },
        { "id": "call", "action": "http_request", "with": {
            "method": "POST", "url": recorder.url("/"), "body": { "text": "{{ event.id }} {{ now.timestamp }}" },
        } },
        { "id": "wait", "action": "delay", "with": { "for": "1s" } },
        { "id": "tag", "action": "add_tag", "with": { "tag": "seen" } },
    ]);
    workflow["edges"] = json!([["form", "note"], ["note", "call"], ["call", "wait"], ["wait", "tag"]]);
    engine.apply(workflow).await?;
    // Slots besides, which start no run: they are for the crash points of schedules.
    let mut timed = note_forms("timed");
    timed["triggers"] = json!([{
        "id": "form", "schedule": { "every": "1s" },
        "where": { "field": "event.data.every", "op": "equals", "value": "never" },
    }]);
    timed["nodes"] = json!([{ "id": "note", "action": "stop_workflow" }]);
    engine.apply(timed).await?;
    let mut events = 0;
    for points in CRASH_POINTS.chunks(IN_A_ROW) {
        for (point, _) in points {
            // Not at the first hit: what came before it must be safe as well.
            let mut process = start(&engine, &recorder, Some(&format!("{point}:3")))?;
            let begun = Instant::now();
            let status = loop {
                if let Some(status) = process.try_wait()? {
                    break status;
                }
                if begun.elapsed() > PATIENCE {
                    bail!("no work came to {point}: this test's load has to be one that does");
                }
                engine.publish((events..events + AT_ONCE).map(form).collect()).await?;
                events += AT_ONCE;
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            if status.signal() != Some(SIGABRT) {
                bail!("{point}: the process ended with {status}; see {}", log_path().display());
            }
            println!("died at {point} after {} ms", begun.elapsed().as_millis());
        }
        let mut process = start(&engine, &recorder, None)?;
        let counted = ledger::settle_and_count(engine.database.url(), events).await?;
        println!("{events} events, {counted:?}");
        assert_eq!(counted, ledger::Count { completed: events, lost: 0, twice: 0 });
        engine.until("SELECT count(*) FROM outbox", 0).await?;
        let pid = process.id().context("it runs")?;
        Command::new("kill").arg(pid.to_string()).status().await?;
        let status = process.wait().await?;
        assert!(status.success(), "{status}");
    }
    let by_key = recorder.by_key();
    assert_eq!(i64::try_from(by_key.len())?, events, "a key for each step");
    let (mut again, most) = (0, CRASH_POINTS.len());
    for (key, arrivals) in &by_key {
        assert!(arrivals.iter().all(|one| one.body == arrivals[0].body), "{key}: {arrivals:?}");
        again += arrivals.len() - 2;
    }
    println!("{again} arrivals more than two tries each make");
    assert!(again <= most * MOST_UNDER_WAY, "only what was under way at a death arrives again");
    assert_eq!(engine.count("SELECT count(*) FROM effects WHERE status = 'done'").await?, events);
    assert_eq!(engine.count("SELECT count(*) FROM enrolments WHERE open").await?, 0);
    engine.stop().await
}

fn form(number: i64) -> serde_json::Value {
    event(
        "form.submitted",
        &format!("e-{number}"),
        &format!("contact-{number}"),
        json!({ "form_id": "contact" }),
    )
}

/// All roles in one process, armed or not.
fn start(engine: &Engine, recorder: &Recorder, armed: Option<&str>) -> anyhow::Result<Child> {
    let log = log()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
    command
        .arg("serve")
        .env("DATABASE_URL", engine.database.url())
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_ENGINE_USERS", engine.engine_user())
        .env("AUTOMATION_ADMIN_ADDR", "127.0.0.1:0")
        .env("AUTOMATION_HTTP_ADDR", "127.0.0.1:0")
        .env("AUTOMATION_LEASE_MS", "2000")
        .env("AUTOMATION_FIRST_LOOK_MS", "500")
        .env("AUTOMATION_RETRY_RUNGS", RUNGS)
        .env("AUTOMATION_OUTBOUND_ALLOW", recorder.authority())
        .env_remove("AUTOMATION_CRASH_POINT")
        .envs(armed.map(|point| ("AUTOMATION_CRASH_POINT", point)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    command.spawn().context("starting the engine")
}

fn log_path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crash-points.log")
}

fn log() -> anyhow::Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(log_path())?)
}
