//! Two hundred steps fail for good, one attempt per rung, while executor and broker are killed in each gap: every step is
//! tried exactly as often and as late as the ladder says, under one key and with the same bytes, and ends as a dead letter
//! with an error for each attempt. A replay then succeeds, under the same key and with the same bytes.
//!
//! `AUTOMATION_TEST_STEPS` and `AUTOMATION_TEST_RUNG_SECONDS` make it larger.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests wait by the clock, draw names of their own, and say what they saw"
)]

mod ledger;
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
use ledger::Ledger;
use recorder::{Recorder, Reply};
use roles::Role;
use servers::Servers;
use shop::Shop;
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEPS: usize = 200;
const ATTEMPTS: usize = 6;
/// Long enough for all steps to fail, as far apart as [`LATE`] lets them come, and for the broker to be killed before the
/// first of them is due.
const RUNG_SECONDS: usize = 20;
/// Most that an attempt may come later than its rung, or than broker and executor were back: connections have to be made
/// again.
const LATE: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(90);
/// A queue that was declared less than five seconds before the broker is killed may not come back.
const SETTLED: Duration = Duration::from_secs(6);

/// From when until when broker and executor were away, since 1970.
struct Outage {
    from: Duration,
    to: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_steps_climb_the_ladder_whatever_is_killed_in_its_gaps() -> anyhow::Result<()> {
    let steps = setting("AUTOMATION_TEST_STEPS", STEPS)?;
    let rung = setting("AUTOMATION_TEST_RUNG_SECONDS", RUNG_SECONDS)?;
    let ledger = Arc::new(Ledger::create()?);
    let book = ledger.clone();
    let recorder = Recorder::start(move |arrival, number| {
        book.add(arrival).expect("the disk takes it");
        Reply::Status(if number <= ATTEMPTS { 503 } else { 200 })
    })
    .await?;
    let servers = Servers::start().await?;
    let rungs = vec![format!("{rung}s"); ATTEMPTS - 1].join(",");
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
    tokio::time::sleep(SETTLED.saturating_sub(declared.elapsed())).await;
    shop.publish(steps).await?;

    let url = servers.database_url();
    let mut outages = Vec::new();
    for gap in 1..ATTEMPTS {
        let waiting =
            format!("SELECT count(*) FROM effects WHERE status = 'pending' AND cardinality(tries) = {gap}");
        until(&url, &waiting, steps).await?;
        let from = ledger::now()?;
        executor.kill().await?;
        servers.kill("rabbitmq").await?;
        executor = start("executor")?;
        servers.restart().await?;
        for role in [&ingest, &executor, &scheduler] {
            role.ready().await?;
        }
        let outage = Outage { from, to: ledger::now()? };
        println!("gap {gap}: executor and broker were away for {} ms", (outage.to - outage.from).as_millis());
        outages.push(outage);
    }
    let every_error =
        "SELECT count(*) FROM dead_letters WHERE status = 'open' AND jsonb_array_length(attempts) = 6
        AND NOT jsonb_path_exists(attempts, '$[*] ? (@.code != \"http_503\" || @.status != 503)')";
    until(&url, every_error, steps).await?;
    let letters = i64::try_from(steps)?;
    assert_eq!(count(&url, "SELECT count(DISTINCT run_id) FROM dead_letters").await?, letters);
    check(&ledger, steps, ATTEMPTS, Duration::from_secs(u64::try_from(rung)?), &outages)?;

    shop.replay_all().await?;
    until(&url, "SELECT count(*) FROM runs_finished WHERE status = 'completed'", steps).await?;
    check(&ledger, steps, ATTEMPTS + 1, Duration::from_secs(u64::try_from(rung)?), &outages)?;
    assert_eq!(count(&url, "SELECT count(*) FROM dead_letters WHERE status = 'replayed'").await?, letters);
    assert_eq!(count(&url, "SELECT count(*) FROM dead_letters").await?, letters);
    assert_eq!(count(&url, "SELECT count(*) FROM runs_open").await?, 0);
    for role in [ingest, executor, scheduler] {
        role.stop().await?;
    }
    servers.stop().await
}

/// One key for each step, this many arrivals under each, all of them alike, as far apart as the rungs; each gap had its
/// outage.
fn check(
    ledger: &Ledger,
    steps: usize,
    arrivals_each: usize,
    rung: Duration,
    outages: &[Outage],
) -> anyhow::Result<()> {
    let by_key = ledger.by_key()?;
    assert_eq!(by_key.len(), steps);
    let mut late: Vec<Duration> = Vec::new();
    for (key, arrivals) in &by_key {
        assert_eq!(arrivals.len(), arrivals_each, "{key}");
        let first = &arrivals[0];
        let is_alike = arrivals.iter().all(|one| (&one.body, &one.path) == (&first.body, &first.path));
        assert!(!key.is_empty() && !first.body.is_empty() && is_alike, "{arrivals:?}");
        for (pair, outage) in arrivals[..ATTEMPTS].windows(2).zip(outages) {
            assert!(
                pair[0].at <= outage.from && outage.from <= pair[1].at,
                "{key}: killed outside of the gap"
            );
            let due = pair[0].at + rung;
            assert!(pair[1].at >= due, "{key}: {:?} too early", due - pair[1].at);
            late.push(pair[1].at.saturating_sub(due.max(outage.to)));
        }
    }
    late.sort_unstable();
    let at = |share: usize| late[(late.len() - 1) * share / 100].as_millis();
    println!(
        "{} gaps; later than the rung or the outage by p50 {} ms, p99 {} ms, at most {} ms",
        late.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(late[late.len() - 1] <= LATE, "an attempt came {:?} late", late[late.len() - 1]);
    Ok(())
}

fn setting(name: &str, otherwise: usize) -> anyhow::Result<usize> {
    Ok(std::env::var(name).map(|text| text.parse()).unwrap_or(Ok(otherwise))?)
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
