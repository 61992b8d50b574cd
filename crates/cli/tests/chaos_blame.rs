//! Processes die or hang over one part of a workflow, or over one event, again and again: that part is suspended, that event
//! parked, and nothing else is held up by it.
#![cfg(debug_assertions)]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "this engine's roles are in processes of their own")]
mod engine;

use anyhow::{Context, bail};
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use automation_service_kit::watchdog::HUNG;
use automation_test_support::ports::free_port;
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const SIGABRT: i32 = 6;
/// Long enough for a machine that is busy with much else: some ten processes start and end, each with a lease between them.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long something may be in hand here.
const LIMIT: Duration = Duration::from_millis(1_500);
/// Three deaths alone, and before them one among others and one among those that came back, unless the broker happened to
/// hand it over alone.
const DEATHS: RangeInclusive<usize> = 3..=5;

const FINE: &str = "SELECT count(*) FROM runs_finished JOIN workflows USING (workflow_id)
                     WHERE key = 'fine' AND status = 'completed'";
const PARKED: &str = "SELECT count(*) FROM parked_events";

/// A process of all roles over whose shoulder this test looks.
struct Process {
    child: Child,
    admin: String,
}

/// What became of processes until something was reached.
#[derive(Debug, Default)]
struct Ends {
    deaths: usize,
    /// What `/livez` said while it was not well.
    hanging: BTreeSet<String>,
}

impl Process {
    fn start(engine: &Engine, armed: (&str, &str)) -> anyhow::Result<Self> {
        let admin = format!("127.0.0.1:{}", free_port()?);
        let log = log()?;
        let child = Command::new(env!("CARGO_BIN_EXE_automation"))
            .args(["serve", "--roles", "ingest,executor,scheduler"])
            .env("DATABASE_URL", engine.database.url())
            .env("AMQP_URL", engine.vhost.amqp_url())
            .env("AUTOMATION_ENGINE_USERS", engine.engine_user())
            .env("AUTOMATION_ADMIN_ADDR", &admin)
            .env("AUTOMATION_LEASE_MS", "1000")
            .env("AUTOMATION_FIRST_LOOK_MS", "500")
            .env("AUTOMATION_WATCHDOG_MS", LIMIT.as_millis().to_string())
            .env(armed.0, armed.1)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting the engine")?;
        Ok(Self { child, admin })
    }

    /// The body of `/livez` where it is not 200.
    async fn hanging(&self) -> Option<String> {
        let mut stream = TcpStream::connect(&self.admin).await.ok()?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 503").then(|| body.to_owned())
    }
}

/// Keeps a process running until both counts are reached, one after the other; gives how the processes ended.
async fn run_until(
    engine: &Engine,
    armed: (&str, &str),
    ends_so: impl Fn(ExitStatus) -> bool,
    reached: &[(&str, i64)],
) -> anyhow::Result<Ends> {
    let (begun, mut ends) = (Instant::now(), Ends::default());
    let mut process = Process::start(engine, armed)?;
    'reached: loop {
        if let Some(status) = process.child.try_wait()? {
            anyhow::ensure!(ends_so(status), "the process ended with {status}; see {}", log_path().display());
            ends.deaths += 1;
            process = Process::start(engine, armed)?;
        }
        ends.hanging.extend(process.hanging().await);
        if begun.elapsed() > PATIENCE {
            bail!("{reached:?} is not reached after {ends:?}; see {}", log_path().display());
        }
        for (sql, expected) in reached {
            if engine.count(sql).await? != *expected {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue 'reached;
            }
        }
        // Gone before anything else is published, which it would take in.
        process.child.kill().await?;
        return Ok(ends);
    }
}

/// `fine`, which notes every form, and `boom`, which does too, with a condition, a key and a branch of its own.
async fn engine() -> anyhow::Result<Engine> {
    let engine = Engine::prepare(Ladder::default(), Requests::default()).await?;
    engine.apply(note_forms("fine")).await?;
    let mut boom = note_forms("boom");
    boom["triggers"][0]["id"] = "boom".into();
    boom["enrolment"] = json!({ "key": "{{ event.data.text }}" });
    boom["nodes"] = json!([{ "id": "bang", "action": "add_note", "with": { "text": "boom" } }]);
    boom["edges"] = json!([["boom", "bang"]]);
    engine.apply(boom).await?;
    Ok(engine)
}

fn form(number: i64) -> Value {
    event(
        "form.submitted",
        &format!("e-{number}"),
        &format!("c-{number}"),
        json!({ "form_id": "contact", "text": "hi" }),
    )
}

fn suspended(kind: &str, id: &str) -> String {
    format!("SELECT count(*) FROM suspended_parts WHERE kind = '{kind}' AND part_id = '{id}' AND deaths = 3")
}

fn died(status: ExitStatus) -> bool {
    status.signal() == Some(SIGABRT)
}

fn hung(status: ExitStatus) -> bool {
    status.code() == Some(HUNG)
}

async fn cli(engine: &Engine, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(arguments)
        .env("DATABASE_URL", engine.database.url())
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_TENANT", "acme")
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .output()
        .await?;
    Ok((output.status.code(), String::from_utf8([output.stdout, output.stderr].concat())?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_processes_die_of_is_suspended_and_its_events_go_on_without_it() -> anyhow::Result<()>
{
    let engine = engine().await?;
    engine.publish((0..20).map(form).collect()).await?;
    let armed = ("AUTOMATION_DEADLY", "trigger/boom");
    let ends = run_until(&engine, armed, died, &[(&suspended("trigger", "boom"), 1), (FINE, 20)]).await?;
    assert!(DEATHS.contains(&ends.deaths), "{ends:?}");
    // What comes later does not meet it at all.
    engine.publish((20..25).map(form).collect()).await?;
    let ends = run_until(&engine, armed, died, &[(FINE, 25)]).await?;
    assert_eq!(ends.deaths, 0, "{ends:?}");
    assert_eq!(engine.count(PARKED).await?, 0);
    // Beside these, the event that tells of the suspension.
    let published = "SELECT count(*) FROM events WHERE event_type <> 'notice.raised'";
    assert_eq!(engine.count(published).await?, 25);
    assert_eq!(engine.count("SELECT count(*) FROM suspects").await?, 0, "all events are through");

    let (_, list) = cli(&engine, &["workflow", "list"]).await?;
    assert!(list.contains("trigger/boom"), "{list}");
    let (_, shown) = cli(&engine, &["workflow", "show", "boom"]).await?;
    assert!(shown.contains("trigger \"boom\" of boom is suspended"), "{shown}");
    let (_, shown) = cli(&engine, &["event", "show", "shop/e-3"]).await?;
    assert!(shown.contains("suspended since"), "{shown}");
    let (_, checked) = cli(&engine, &["doctor"]).await?;
    assert!(checked.contains("WRONG  suspended parts: 1 of published workflows"), "{checked}");

    let (code, lifted) = cli(&engine, &["workflow", "resume-part", "boom", "trigger/boom"]).await?;
    assert_eq!(code, Some(0), "{lifted}");
    engine.publish(vec![form(25)]).await?;
    let started = "SELECT count(*) FROM runs_finished JOIN workflows USING (workflow_id) WHERE key = 'boom'";
    run_until(&engine, ("AUTOMATION_DEADLY", "nothing"), died, &[(FINE, 26), (started, 1)]).await?;
    let (_, log) = cli(&engine, &["audit", "list"]).await?;
    assert!(log.contains("workflow.resume_part"), "{log}");
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_key_that_hangs_is_suspended_and_the_watchdog_says_so_each_time() -> anyhow::Result<()> {
    let engine = engine().await?;
    engine.publish((0..5).map(form).collect()).await?;
    let armed = ("AUTOMATION_HANGING", "enrolment/");
    let ends = run_until(&engine, armed, hung, &[(&suspended("enrolment", ""), 1), (FINE, 5)]).await?;
    assert!(DEATHS.contains(&ends.deaths), "{ends:?}");
    assert!(
        ends.hanging.iter().any(|body| body.contains("\"status\":\"hanging\"") && body.contains("enrolment"))
    );
    assert_eq!(engine.count(PARKED).await?, 0);
    let started = "SELECT count(*) FROM runs_open JOIN workflows USING (workflow_id) WHERE key = 'boom'";
    assert_eq!(engine.count(started).await?, 0, "without its key nobody knows which runs are the same");
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_processes_die_of_is_suspended_and_its_runs_fail_there() -> anyhow::Result<()> {
    a_node(("AUTOMATION_DEADLY", "node/bang"), died).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_is_suspended_and_its_runs_fail_there() -> anyhow::Result<()> {
    a_node(("AUTOMATION_HANGING", "node/bang"), hung).await
}

async fn a_node(armed: (&str, &str), ends_so: impl Fn(ExitStatus) -> bool) -> anyhow::Result<()> {
    let engine = engine().await?;
    engine.publish((0..5).map(form).collect()).await?;
    let failed = "SELECT count(*) FROM dead_letters WHERE code = 'part_suspended' AND node = 'bang'";
    let all = [(FINE, 5), (failed, 5), ("SELECT count(*) FROM runs_open", 0)];
    let ends = run_until(&engine, armed, ends_so, &all).await?;
    assert!((*DEATHS.start()..=2 * DEATHS.end()).contains(&ends.deaths), "{ends:?}");
    assert_eq!(engine.count(&suspended("node", "bang")).await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM dead_letters WHERE code <> 'part_suspended'").await?, 0);
    assert_eq!(engine.count(PARKED).await?, 0);
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'boom'").await?, 0);

    // Lifted, its runs go on where they failed.
    let (code, lifted) = cli(&engine, &["workflow", "resume-part", "boom", "node/bang"]).await?;
    assert_eq!(code, Some(0), "{lifted}");
    let (code, replayed) = cli(&engine, &["dead", "replay", "--workflow", "boom", "--yes"]).await?;
    assert_eq!(code, Some(0), "{replayed}");
    let noted = "SELECT count(*) FROM notes WHERE body = 'boom'";
    run_until(&engine, ("AUTOMATION_DEADLY", "nothing"), died, &[(noted, 5)]).await?;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_kills_with_no_part_in_hand_is_parked() -> anyhow::Result<()> {
    let engine = engine().await?;
    engine.publish((0..10).map(form).collect()).await?;
    let of_event = "SELECT count(*) FROM parked_events WHERE reason = 'worker_lost'";
    let armed = ("AUTOMATION_DEADLY", "event/e-4");
    let ends = run_until(&engine, armed, died, &[(FINE, 9), (of_event, 1)]).await?;
    assert!(DEATHS.contains(&ends.deaths), "{ends:?}");

    let mut unreadable = engine.message("form.submitted", form(10).to_string().into_bytes());
    unreadable.message_id = "m-10".to_owned();
    engine.publisher.publish_all(vec![unreadable]).await?;
    engine.publish(vec![form(11)]).await?;
    let armed = ("AUTOMATION_HANGING", "message/m-10");
    let ends = run_until(&engine, armed, hung, &[(FINE, 10), (of_event, 2)]).await?;
    assert!(DEATHS.contains(&ends.deaths), "{ends:?}");
    assert!(ends.hanging.iter().any(|body| body.contains("m-10")), "{ends:?}");
    assert_eq!(engine.count(PARKED).await?, 2);
    assert_eq!(engine.count("SELECT count(*) FROM suspended_parts").await?, 0);
    engine.stop().await
}

fn log_path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("blame.log")
}

fn log() -> anyhow::Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(log_path())?)
}
