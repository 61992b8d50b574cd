//! A role says that it is ready when it can do its work, and at no other time: also when it has nothing to do.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use anyhow::{Context, bail};
use automation_domain::event::admission::BrokerUsers;
use automation_domain::limits::Limits;
use automation_service_kit::health::Health;
use automation_test_support::ports::free_port;
use engine::{Engine, event, note_forms};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// The way to a server, which can be closed and opened.
struct Gate {
    server: String,
    port: u16,
    open: Option<JoinHandle<()>>,
}

impl Gate {
    /// A closed gate to the server of `url`, and the URL that leads through it.
    fn to(url: &str) -> anyhow::Result<(Self, String)> {
        let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).context("host and port")?;
        let port = free_port()?;
        let through = url.replacen(host, &format!("127.0.0.1:{port}"), 1);
        Ok((Self { server: host.to_owned(), port, open: None }, through))
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        let server = self.server.clone();
        self.open = Some(tokio::spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let server = server.clone();
                passing.spawn(async move {
                    let mut server = TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        }));
        Ok(())
    }

    /// Cuts off whoever is passing, too.
    async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            let _ = open.await;
        }
    }
}

async fn until(health: &Health, ready: bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while health.is_ready() != ready {
        if begun.elapsed() > Duration::from_secs(60) {
            bail!("ready is not {ready} after a minute: {health:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn ingest(database_url: String, amqp_url: String) -> automation_ingest::Config {
    automation_ingest::Config {
        database_url,
        amqp_url,
        users: BrokerUsers::default(),
        limits: Limits::default(),
        workers: 2,
        batch_messages: 500,
        first_look: Duration::from_millis(100),
    }
}

fn scheduler(database_url: String, amqp_url: String, amqp_user: &str) -> automation_scheduler::Config {
    automation_scheduler::Config {
        database_url,
        amqp_url,
        amqp_user: amqp_user.to_owned(),
        batch: 500,
        first_look: Duration::from_millis(100),
        partitions_ahead: 3,
        dedupe_days: 7,
        dead_letter_days: 90,
        parked_days: 30,
        catch_up: automation_domain::schedule::plan::Policy::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_role_is_ready_while_it_reaches_both_servers_and_never_else() -> anyhow::Result<()> {
    let engine = Engine::start(0).await?;
    for role in ["ingest", "scheduler"] {
        let (mut database, database_url) = Gate::to(engine.database.url())?;
        let (mut broker, amqp_url) = Gate::to(engine.vhost.amqp_url())?;
        let drain = CancellationToken::new();
        let health = Health::new(drain.clone());
        assert!(!health.is_ready(), "nothing is known yet");
        let running = if role == "ingest" {
            tokio::spawn(automation_ingest::run(
                ingest(database_url, amqp_url),
                health.clone(),
                drain.clone(),
            ))
        } else {
            let config = scheduler(database_url, amqp_url, engine.engine_user());
            tokio::spawn(automation_scheduler::run(config, health.clone(), drain.clone()))
        };
        database.open().await?;
        let names = format!("{role}.database\", Ok(())");
        let begun = Instant::now();
        while !format!("{health:?}").contains(&names) {
            assert!(!health.is_ready(), "{role} has never reached the broker");
            assert!(begun.elapsed() < Duration::from_secs(60), "{health:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!health.is_ready(), "{role} has never reached the broker");
        broker.open().await?;
        until(&health, true).await?;
        database.close().await;
        until(&health, false).await?;
        database.open().await?;
        until(&health, true).await?;
        broker.close().await;
        until(&health, false).await?;
        broker.open().await?;
        until(&health, true).await?;
        drain.cancel();
        running.await??;
    }
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_without_a_broker_leaves_what_is_due_where_it_is() -> anyhow::Result<()> {
    let mut engine = Engine::start(0).await?;
    engine.apply(note_forms("notes")).await?;
    // Only ingest works, so that the runs stay where they are.
    let drain = CancellationToken::new();
    let config = automation_ingest::Config {
        users: BrokerUsers { engine: vec![engine.engine_user().to_owned()], door: Vec::new() },
        ..ingest(engine.database.url().to_owned(), engine.vhost.amqp_url().to_owned())
    };
    let taking_in = tokio::spawn(automation_ingest::run(config, Health::new(drain.clone()), drain.clone()));
    let form = |number: i64| {
        event("form.submitted", &format!("{number}"), "ada", json!({ "form_id": "contact", "text": "x" }))
    };
    engine.publish((0..100).map(form).collect()).await?;
    engine.until("SELECT count(*) FROM wakeups WHERE due_at < now()", 100).await?;

    let (mut broker, amqp_url) = Gate::to(engine.vhost.amqp_url())?;
    let config = scheduler(engine.database.url().to_owned(), amqp_url, engine.engine_user());
    let health = Health::new(drain.clone());
    let sweeping = tokio::spawn(automation_scheduler::run(config, health.clone(), drain.clone()));
    // By its other work it is seen to live.
    let begun = Instant::now();
    while !format!("{health:?}").contains("scheduler.database\", Ok(())") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{health:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(engine.count("SELECT count(*) FROM wakeups WHERE sweeps > 0").await?, 0);
    broker.open().await?;
    engine.until("SELECT count(*) FROM wakeups WHERE sweeps > 0", 100).await?;
    drain.cancel();
    taking_in.await??;
    sweeping.await??;
    engine.start_roles();
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 100).await?;
    engine.stop().await
}
