//! Two hundred steps fail for good, one attempt per rung, while executor and broker are killed in each gap: every step is
//! tried exactly as often and as late as the ladder says, under one key and with the same bytes, and ends as a dead letter
//! with an error for each attempt. A replay then succeeds, under the same key.

#[expect(dead_code, reason = "the tests of requests use the rest of it")]
#[path = "../recorder/mod.rs"]
mod recorder;
#[expect(dead_code, reason = "the other test that kills uses the rest of it")]
#[path = "../chaos_kill_nine/roles.rs"]
mod roles;
#[path = "../chaos_kill_nine/servers.rs"]
mod servers;
mod shop;

use anyhow::bail;
use automation_test_support::database::count;
use recorder::{Arrival, Recorder, Reply};
use roles::Role;
use servers::Servers;
use shop::Shop;
use std::time::{Duration, Instant};

const STEPS: usize = 200;
const ATTEMPTS: usize = 6;
/// Long enough for the broker to come back in it.
const RUNG: Duration = Duration::from_secs(30);
/// Most that an attempt may come later than its rung: connections have to be made again.
const LATE: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(90);
/// A queue that was declared less than five seconds before the broker is killed may not come back.
const SETTLED: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn failing_steps_climb_the_ladder_whatever_is_killed_in_its_gaps() -> anyhow::Result<()> {
    let recorder =
        Recorder::start(|_, number| Reply::Status(if number <= ATTEMPTS { 503 } else { 200 })).await?;
    let servers = Servers::start().await?;
    let rungs = vec![format!("{}s", RUNG.as_secs()); ATTEMPTS - 1].join(",");
    let shop = Shop::open(&servers, rungs.parse()?, &recorder.url("/")).await?;
    let declared = Instant::now();
    let settings = [
        ("AUTOMATION_RETRY_RUNGS", rungs.as_str()),
        ("AUTOMATION_OUTBOUND_ALLOW", &recorder.authority()),
        ("AUTOMATION_REQUESTS_PER_HOST", "200"),
    ];
    let start = |name| Role::start_with(name, &servers, &settings);
    let (ingest, mut executor, scheduler) = (start("ingest")?, start("executor")?, start("scheduler")?);
    for role in [&ingest, &executor, &scheduler] {
        role.ready().await?;
    }
    shop.publish(STEPS).await?;

    let url = servers.database_url();
    for gap in 1..ATTEMPTS {
        let waiting =
            format!("SELECT count(*) FROM effects WHERE status = 'pending' AND cardinality(tries) = {gap}");
        until(&url, &waiting, STEPS).await?;
        let begun = Instant::now();
        tokio::time::sleep(SETTLED.saturating_sub(declared.elapsed())).await;
        executor.kill().await?;
        servers.kill("rabbitmq").await?;
        executor = start("executor")?;
        servers.restart().await?;
        for role in [&ingest, &executor, &scheduler] {
            role.ready().await?;
        }
        println!(
            "gap {gap}: executor and broker were killed, and back after {} ms",
            begun.elapsed().as_millis()
        );
    }
    until(&url, "SELECT count(*) FROM dead_letters WHERE jsonb_array_length(attempts) = 6", STEPS).await?;
    assert_eq!(count(&url, "SELECT count(*) FROM dead_letters").await?, i64::try_from(STEPS)?);
    check(&recorder, ATTEMPTS);

    shop.replay_all().await?;
    until(&url, "SELECT count(*) FROM runs_finished WHERE status = 'completed'", STEPS).await?;
    check(&recorder, ATTEMPTS + 1);
    assert_eq!(count(&url, "SELECT count(*) FROM runs_open").await?, 0);
    for role in [ingest, executor, scheduler] {
        role.stop().await?;
    }
    servers.stop().await
}

/// One key for each step, this many arrivals under each, all of them alike, as far apart as the rungs.
fn check(recorder: &Recorder, arrivals_each: usize) {
    let by_key = recorder.by_key();
    assert_eq!(by_key.len(), STEPS);
    let mut late: Vec<Duration> = Vec::new();
    for (key, arrivals) in &by_key {
        assert_eq!(arrivals.len(), arrivals_each, "{key}");
        let is_alike = |one: &Arrival| one.body == arrivals[0].body && one.path == arrivals[0].path;
        assert!(!key.is_empty() && arrivals.iter().all(is_alike), "{arrivals:?}");
        for pair in arrivals[..ATTEMPTS].windows(2) {
            let waited = pair[1].at - pair[0].at;
            assert!(waited >= RUNG, "{key}: {waited:?} is too early");
            late.push(waited - RUNG);
        }
    }
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 100].as_millis();
    println!(
        "{} gaps; later than the rung by p50 {} ms, p99 {} ms, at most {} ms",
        late.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(late[late.len() - 1] <= LATE, "an attempt came {:?} late", late[late.len() - 1]);
}

async fn until(url: &str, sql: &str, expected: usize) -> anyhow::Result<()> {
    let (begun, expected) = (Instant::now(), i64::try_from(expected)?);
    loop {
        let actual = count(url, sql).await?;
        if actual == expected {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{sql}: {actual} after {PATIENCE:?}, expected {expected}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
