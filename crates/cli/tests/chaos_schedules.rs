//! Three schedulers share two thousand slots, are killed and stopped in between, and each slot makes one run.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use anyhow::{Context, bail};
use automation_service_kit::clock;
use chrono::{SecondsFormat, TimeDelta};
use engine::{Engine, event, note_forms};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const SCHEDULES: i64 = 20;
const SLOTS: i64 = 100;
/// Slots that are over when the schedulers start: they come at once, the others one by one.
const OVER: i64 = 70;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_slots_make_two_thousand_runs_whoever_is_killed_or_stopped() -> anyhow::Result<()> {
    let mut engine = Engine::start(0).await?;
    engine.start_takers();
    let begin = clock::wall_clock() - TimeDelta::seconds(OVER);
    let time = |seconds| (begin + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Secs, true);
    for number in 0..SCHEDULES {
        engine
            .apply(json!({
                "apiVersion": "automation/v1", "key": format!("timed-{number}"),
                "triggers": [{
                    "id": "slot",
                    "schedule": { "every": "1s", "catch_up": "all", "starts_at": time(0), "ends_at": time(SLOTS) },
                }],
                "nodes": [{ "id": "call", "action": "create_task", "with": { "title": "{{ event.data.fire_at }}" } }],
                "edges": [["slot", "call"]],
            }))
            .await?;
    }
    engine.apply(note_forms("notes")).await?;
    engine
        .database
        .execute(&format!("UPDATE workflow_schedules SET next_slot_at = '{0}', due_at = '{0}'", time(0)))
        .await?;
    let mut schedulers = Vec::new();
    for number in 0..3 {
        schedulers.push(Scheduler::start(&engine, number)?);
    }

    let begun = Instant::now();
    let (mut kills, mut stops) = (0, 0);
    let mut forms = 0;
    while engine.count("SELECT count(*) FROM workflow_schedules WHERE next_slot_at IS NOT NULL").await? > 0 {
        if begun.elapsed() > Duration::from_secs(180) {
            bail!("the schedules do not end; see {}", path(0).display());
        }
        let (victim, stopped) = (kills % 3, (kills + 1) % 3);
        schedulers[stopped].signal("-STOP").await?;
        stops += 1;
        // What others publish goes on beside the slots.
        let form = json!({ "form_id": "contact", "text": "hello" });
        engine.publish(vec![event("form.submitted", &format!("form-{forms}"), "ada", form)]).await?;
        forms += 1;
        tokio::time::sleep(Duration::from_millis(400)).await;
        schedulers[victim].kill().await?;
        kills += 1;
        schedulers[victim] = Scheduler::start(&engine, victim)?;
        tokio::time::sleep(Duration::from_millis(800)).await;
        schedulers[stopped].signal("-CONT").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let total = SCHEDULES * SLOTS;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", total + forms).await?;
    engine.until("SELECT count(*) FROM outbox", 0).await?;
    let runs = engine.count("SELECT count(*) FROM runs_finished WHERE trigger_id = 'slot'").await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, forms);
    println!("{SLOTS} slots of {SCHEDULES} schedules, {kills} kills, {stops} stops: {runs} runs");
    assert!(kills >= 10, "only {kills} kills while slots fired");
    assert_eq!(runs, total);
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);
    let distinct = "SELECT count(DISTINCT (r.workflow_id, t.title)) FROM runs_finished r JOIN tasks t USING (tenant_id, run_id)";
    assert_eq!(engine.count(distinct).await?, total);
    let whole = format!("SELECT count(*) FROM workflow_schedules WHERE fired = {SLOTS} AND skipped = 0");
    assert_eq!(engine.count(&whole).await?, SCHEDULES);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    for scheduler in schedulers {
        scheduler.stop().await?;
    }
    engine.stop().await
}

/// A scheduler that is a process of its own.
struct Scheduler {
    child: Child,
    number: usize,
}

impl Scheduler {
    fn start(engine: &Engine, number: usize) -> anyhow::Result<Self> {
        let log = log(number)?;
        let child = Command::new(env!("CARGO_BIN_EXE_automation"))
            .args(["serve", "--roles", "scheduler"])
            .env("DATABASE_URL", engine.database.url())
            .env("AMQP_URL", engine.vhost.amqp_url())
            .env("AUTOMATION_ADMIN_ADDR", "127.0.0.1:0")
            .env("AUTOMATION_FIRST_LOOK_MS", "500")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting a scheduler")?;
        Ok(Self { child, number })
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("it runs")?;
        let status = Command::new("kill").args([signal, &pid.to_string()]).status().await?;
        if !status.success() {
            bail!("kill {signal} {pid}: {status}");
        }
        Ok(())
    }

    /// `kill -9`; it must have been alive.
    async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "scheduler {} had ended by itself ({status}); see {}",
                self.number,
                path(self.number).display()
            );
        }
        Ok(self.child.kill().await?)
    }

    /// SIGTERM; it must end well.
    async fn stop(mut self) -> anyhow::Result<()> {
        self.signal("-TERM").await?;
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("scheduler {} ended with {status}; see {}", self.number, path(self.number).display());
        }
        Ok(())
    }
}

fn path(number: usize) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-schedules-{number}.log"))
}

fn log(number: usize) -> anyhow::Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(path(number))?)
}
