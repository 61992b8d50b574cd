//! `automation doctor` on real servers: each finding is brought about, found, and mended by the command it names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "nothing here has to do with workflows")]
mod engine;

use automation_broker::depths::depths;
use automation_broker::management::Management;
use automation_broker::publisher::Publisher;
use automation_broker::retry;
use automation_broker::topology::{DLX, WORK, ingest_queue, wait_queue, work_queue};
use automation_domain::id::RunId;
use automation_domain::priority::Priority;
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use automation_test_support::database::TestDatabase;
use engine::{Engine, event};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

fn call(engine: &Engine, arguments: &[&str], rungs: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(arguments)
        .arg("--json")
        .env_clear()
        .env("DATABASE_URL", engine.database.url())
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_AMQP_MANAGEMENT_URL", engine.vhost.management_url())
        .env("AUTOMATION_TENANT", "acme")
        .env("AUTOMATION_RETRY_RUNGS", rungs)
        .output()
        .unwrap()
}

fn done(engine: &Engine, arguments: &[&str]) -> Value {
    let output = call(engine, arguments, "1m,5m,15m,1h,6h");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code, and the checks.
fn doctor(engine: &Engine, rungs: &str) -> (i32, Vec<Value>) {
    let output = call(engine, &["doctor"], rungs);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), found["checks"].as_array().unwrap().clone())
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name} in {checks:?}"))
}

/// Asserts what a check came to, and that its words and its command hold these.
fn says(checks: &[Value], name: &str, level: &str, found: &str, next: &str) {
    let check = check(checks, name);
    assert_eq!(check["level"], level, "{check}");
    assert!(check["found"].as_str().unwrap().contains(found), "{found} in {check}");
    assert!(check["next"].as_str().unwrap_or_default().contains(next), "{next} in {check}");
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until each of these queues has a consumer, at this moment.
async fn consumed(engine: &Engine) {
    let queues: Vec<String> = Priority::ALL
        .into_iter()
        .flat_map(|one| [ingest_queue(one), work_queue(one)])
        .chain(["automation.dead", "automation.parking"])
        .map(str::to_owned)
        .collect();
    eventually("consumers", async || {
        let found = depths(engine.vhost.amqp_url(), &queues).await.unwrap();
        found.len() == queues.len() && found.values().all(|depth| depth.consumers > 0)
    })
    .await;
}

const STANDARD: &str = "1m,5m,15m,1h,6h";

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_ends_is_announced_then_keeps_events_out_and_is_renewed_by_the_command_that_is_named()
-> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    // The broker's statistics do not know these consumers yet; who has just started is well all the same.
    consumed(&engine).await;
    let (code, checks) = doctor(&engine, STANDARD);
    assert_eq!(code, 0, "{checks:?}");
    says(&checks, "publishers", "well", "no grant or key has ended", "");
    says(&checks, "inboxes", "well", "each queue has a consumer", "");

    let user = engine.publisher_user.clone();
    let grant = |expires: &str| {
        let given = ["tenant", "grant", "acme", "--user", &user, "--types", "form.*", "--expires", expires];
        done(&engine, &given)
    };
    grant("13d");
    done(&engine, &["apikey", "create", "site", "--types", "form.*", "--expires", "1h"]);
    let (code, checks) = doctor(&engine, STANDARD);
    assert_eq!(code, 0, "what ends soon is noted: {checks:?}");
    says(
        &checks,
        "publishers",
        "note",
        "API key site for tenant acme ends at",
        "automation apikey renew site",
    );
    assert!(
        check(&checks, "publishers")["found"].as_str().unwrap().contains(&format!("grant of user {user}"))
    );

    // By the database's clock: the end comes while ingest has the grant in memory.
    grant("1s");
    let listed = || done(&engine, &["tenant", "grants", "acme"])["data"].clone();
    let of_user =
        |rows: Value| rows.as_array().unwrap().iter().find(|row| row["user"] == *user).unwrap().clone();
    eventually("the end of the grant", async || of_user(listed())["state"] == "expired").await;
    engine.publish(vec![event("form.submitted", "1", "ada", json!({}))]).await?;
    engine.until("SELECT count(*) FROM parked_events WHERE reason = 'grant_expired'", 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM events").await?, 0);
    let (code, checks) = doctor(&engine, STANDARD);
    assert_eq!(code, 1, "{checks:?}");
    let next = format!("automation tenant grant acme --user {user} --expires");
    says(&checks, "publishers", "wrong", &format!("grant of user {user} for tenant acme ended at"), &next);
    says(&checks, "parked events", "note", "1 that nobody has handled", "automation parked list");

    grant("90d");
    done(&engine, &["apikey", "renew", "site", "--expires", "2099-01-31"]);
    let again = ["parked", "replay", "--reason", "grant_expired", "--yes"];
    done(&engine, &again);
    engine.until("SELECT count(*) FROM events", 1).await?;
    let (code, checks) = doctor(&engine, STANDARD);
    assert_eq!(code, 0, "{checks:?}");
    says(&checks, "publishers", "well", "no grant or key has ended", "");
    says(&checks, "parked events", "well", "0 that nobody has handled", "");
    let keys = done(&engine, &["apikey", "list"]);
    assert_eq!(keys["data"][0]["expires_at"], "2099-01-31T00:00:00.000Z");
    assert_eq!(of_user(listed())["state"], "good");
    assert_eq!(engine.count("SELECT count(*) FROM audit_links WHERE action = 'api_key.renew'").await?, 1);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nudges_that_cannot_come_back_and_rungs_that_are_not_there_are_named() -> anyhow::Result<()> {
    let ladder = Ladder { rungs: "200ms,1h".parse()?, ..Ladder::default() };
    let engine = Engine::prepare(ladder.clone(), Requests::default()).await?;
    let management = Management::new(engine.vhost.management_url())?;
    let vhost = engine.vhost.name();
    let publisher = Publisher::connect(engine.vhost.amqp_url(), "test").await?;
    let wait = async |delay: Duration| {
        let run = (Priority::High, delay, engine.tenant, RunId(Uuid::new_v4()));
        publisher.publish_all(retry::messages(&ladder.rungs, &[run], || Uuid::new_v4().to_string())).await
    };
    let statistics = async |queue: String, holds: fn(&automation_broker::management::Queue) -> bool| {
        eventually(&queue, async || {
            management.queues(vhost).await.unwrap().iter().any(|one| one.name == queue && holds(one))
        })
        .await;
    };

    // The ladder gets shorter while somebody waits on its last rung.
    wait(Duration::from_secs(3_600)).await?;
    statistics(wait_queue(Duration::from_secs(3_600)), |queue| queue.messages == Some(1)).await;
    let (code, checks) = doctor(&engine, "200ms");
    assert_eq!(code, 1, "the topology differs, and nobody consumes");
    let old = "automation.wait.3600000 is no rung any more and still holds 1";
    says(&checks, "retry queues", "note", old, "automation topology apply");
    for (queues, role) in [("ingest queues", "ingest"), ("work queues", "executor"), ("inboxes", "scheduler")]
    {
        says(
            &checks,
            queues,
            "wrong",
            "nobody consumes automation.",
            &format!("automation serve --roles {role}"),
        );
    }

    // Both places to which dead letters go are cut off, and the new ladder was not applied.
    for binding in management.bindings(vhost).await? {
        if [WORK, DLX].contains(&binding.source.as_str()) {
            management.unbind(vhost, &binding).await?;
        }
    }
    wait(Duration::from_millis(200)).await?;
    engine.publish(vec![event("form.submitted", "1", "ada", json!({}))]).await?;
    let queue = ingest_queue(Priority::High);
    eventually("the event", async || {
        let of = depths(engine.vhost.amqp_url(), &[queue.to_owned()]).await.unwrap();
        of.get(queue).is_some_and(|depth| depth.ready == 1)
    })
    .await;
    reject(&engine, queue).await?;
    statistics(wait_queue(Duration::from_millis(200)), |queue| queue.messages_dlx == 1).await;
    statistics(queue.to_owned(), |queue| queue.messages_dlx == 1).await;
    let (code, checks) = doctor(&engine, "200ms,7s");
    assert_eq!(code, 1);
    let stuck = "1 in automation.wait.200 have waited longer than 200 ms and cannot leave";
    says(&checks, "retry queues", "wrong", stuck, "automation topology apply");
    says(&checks, "retry queues", "wrong", "automation.wait.7000 is missing", "automation topology apply");
    says(
        &checks,
        "dead letters",
        "wrong",
        &format!("1 in {queue} cannot leave"),
        "automation topology apply",
    );
    publisher.close().await;
    engine.stop().await
}

/// Takes the first message of a queue and rejects it.
async fn reject(engine: &Engine, queue: &str) -> anyhow::Result<()> {
    let mut url = reqwest::Url::parse(engine.vhost.management_url())?;
    let path = ["api", "queues", engine.vhost.name(), queue, "get"];
    url.path_segments_mut().unwrap().pop_if_empty().extend(path);
    let ask = json!({ "count": 1, "ackmode": "reject_requeue_false", "encoding": "auto" });
    let taken: Value =
        reqwest::Client::new().post(url).json(&ask).send().await?.error_for_status()?.json().await?;
    anyhow::ensure!(taken.as_array().is_some_and(|taken| taken.len() == 1), "{taken}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_is_said_once() -> anyhow::Result<()> {
    let database = TestDatabase::create().await?;
    // Nothing listens on ports 1 and 2.
    let output = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(["doctor", "--json"])
        .env_clear()
        .env("DATABASE_URL", database.url())
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .env("AMQP_URL", "amqp://u:p@127.0.0.1:1/x")
        .env("AUTOMATION_AMQP_MANAGEMENT_URL", "http://u:p@127.0.0.1:2")
        .output()?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let checks = found["checks"].as_array().unwrap();
    says(checks, "broker", "wrong", "no broker at 127.0.0.1:1", "start RabbitMQ, or correct AMQP_URL");
    let blamed = checks.iter().filter(|check| check.to_string().contains("MANAGEMENT_URL"));
    assert_eq!(blamed.count(), 0, "{checks:?}");
    Ok(())
}
