//! Everything is killed with `kill -9`, again and again, under load: every accepted event still becomes exactly one
//! completed run.
//!
//! `AUTOMATION_TEST_KILLS` says how often each part is killed; 20 times by default.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests wait by the clock, draw names of their own, and say what they saw"
)]

mod ledger;
mod roles;
mod servers;
mod shop;

use roles::Role;
use servers::Servers;
use shop::Shop;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const ROLES: [&str; 3] = ["ingest", "executor", "scheduler"];
/// How long everything works between two kills, so that each hits a busy engine.
const AT_WORK: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn every_event_becomes_one_completed_run_whatever_is_killed_how_often() -> anyhow::Result<()> {
    let kills: usize = std::env::var("AUTOMATION_TEST_KILLS").map_or(Ok(20), |text| text.parse())?;
    let servers = Servers::start().await?;
    let shop = Shop::open(&servers).await?;
    let mut roles = Vec::new();
    for name in ROLES {
        roles.push(Role::start(name, &servers)?);
    }
    all_ready(&roles).await?;

    let closing = CancellationToken::new();
    let publishing = tokio::spawn(shop.publish_until(closing.clone()));
    let mut killed: BTreeMap<&str, usize> = BTreeMap::new();
    let begun = Instant::now();
    for round in 0..kills {
        // In every fourth round one thing at a time, while all else is up; in the others one right after the other.
        let one_by_one = round % 4 == 0;
        for role in &mut roles {
            tokio::time::sleep(AT_WORK).await;
            kill(role, &servers, &mut killed).await?;
            if one_by_one {
                role.ready().await?;
            }
        }
        tokio::time::sleep(AT_WORK).await;
        servers.kill("postgres").await?;
        if one_by_one {
            servers.restart().await?;
            all_ready(&roles).await?;
            tokio::time::sleep(AT_WORK).await;
        }
        servers.kill("rabbitmq").await?;
        servers.restart().await?;
        *killed.entry("postgres").or_default() += 1;
        *killed.entry("rabbitmq").or_default() += 1;
        all_ready(&roles).await?;
        println!("{:>4} s: round {} of {kills} is over", begun.elapsed().as_secs(), round + 1);
    }
    closing.cancel();
    let events = publishing.await??;
    let published_for = begun.elapsed().as_secs_f64();
    println!(
        "{published_for:>4.0} s: {events} events were accepted, {:.0} a second",
        events as f64 / published_for
    );
    let counted = ledger::settle_and_count(&servers.database_url(), events).await;
    println!("{:>4} s: all is quiet", begun.elapsed().as_secs());
    let counted = counted?;

    let list: Vec<_> = killed.iter().map(|(name, times)| format!("{name} {times}")).collect();
    println!(
        "killed: {}; events {events}, runs {}, lost {}, twice {}",
        list.join(", "),
        counted.completed,
        counted.lost,
        counted.twice
    );
    assert_eq!(killed.into_values().collect::<Vec<_>>(), [kills; 5]);
    assert_eq!(counted, ledger::Count { completed: events, lost: 0, twice: 0 });
    for role in roles {
        role.stop().await?;
    }
    servers.stop().await
}

async fn kill(
    role: &mut Role,
    servers: &Servers,
    killed: &mut BTreeMap<&'static str, usize>,
) -> anyhow::Result<()> {
    role.kill().await?;
    *killed.entry(role.name()).or_default() += 1;
    *role = Role::start(role.name(), servers)?;
    Ok(())
}

async fn all_ready(roles: &[Role]) -> anyhow::Result<()> {
    for role in roles {
        role.ready().await?;
    }
    Ok(())
}
