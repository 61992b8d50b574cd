//! `automation health` against the admin server of a role.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

use automation_service_kit::health::{self, Health};
use automation_service_kit::metrics::Metrics;
use automation_test_support::ports::free_port;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Exit code, and everything it wrote.
async fn probe(address: SocketAddr, options: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(["health", "--admin-addr", &address.to_string()])
        .args(options)
        .env_clear()
        .output()
        .await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_healthy_when_all_its_components_are() -> anyhow::Result<()> {
    let drain = CancellationToken::new();
    let state = Health::new(drain.clone());
    let database = state.component("ingest.database");
    let server = health::serve("0.0.0.0:0".parse()?, state, Metrics::install()?).await?;
    let address = server.addr();

    database.failing("connection refused");
    let (code, text) = probe(address, &[]).await?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ingest.database") && text.contains("connection refused"), "{text}");
    assert_eq!(probe(address, &["--live"]).await?.0, Some(0), "it lives all the same");

    database.ready();
    let (code, text) = probe(address, &[]).await?;
    assert_eq!(code, Some(0), "{text}");

    drain.cancel();
    assert_eq!(probe(address, &[]).await?.0, Some(1), "one that drains gets no new work");

    server.stop().await;
    let (code, text) = probe(address, &[]).await?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not answer"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_has_not_reached_its_servers_lives_and_is_not_ready() -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let mut role = Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(["serve", "--admin-addr", &address.to_string()])
        .env_clear()
        // Port 1: nobody listens there.
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/nothing")
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let begun = Instant::now();
    while probe(address, &["--live"]).await?.0 != Some(0) {
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "the process does not come to life");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (code, text) = probe(address, &[]).await?;
    assert_eq!(code, Some(1), "{text}");
    for role in ["door", "ingest", "executor", "scheduler"] {
        assert!(text.contains(&format!("{role}.database")) && text.contains("starting"), "{text}");
    }
    role.kill().await?;
    Ok(())
}
