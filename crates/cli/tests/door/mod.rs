//! An engine with a door for events over HTTP, and a client for it.

mod gate;

use crate::engine::Engine;
use anyhow::Context;
use automation_broker::permissions;
use automation_domain::limits::Limits;
use automation_service_kit::health::Health;
use automation_vault::KeyRing;
use gate::Gate;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What secrets of webhooks are encrypted with.
pub const KEYS: &str = "test:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A running engine with a door.
pub struct Door {
    pub engine: Engine,
    pub http: Client,
    pub url: String,
    /// The door's way to the broker.
    pub gate: Gate,
    drain: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
}

/// What a request came to.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Door {
    pub async fn open() -> anyhow::Result<Self> {
        Self::open_with(|config| config).await
    }

    pub async fn open_with(
        change: impl FnOnce(automation_door::Config) -> automation_door::Config,
    ) -> anyhow::Result<Self> {
        let engine = Engine::start(1).await?;
        // It works as what it is at both servers: this user, and the role that it takes in the database.
        let user = engine.door_user();
        engine.management.create_user(&user, "secret").await?;
        let (general, topic) = permissions::door();
        engine.management.set_permissions(engine.vhost.name(), &user, &general).await?;
        engine.management.set_topic_permissions(engine.vhost.name(), &user, &topic).await?;
        let amqp_url = engine.vhost.amqp_url_as(&user, "secret")?;
        let direct = reqwest::Url::parse(&amqp_url)?;
        let (host, port) = (direct.host_str().unwrap_or("127.0.0.1"), direct.port().unwrap_or(5672));
        let gate = Gate::to(format!("{host}:{port}")).await?;
        let bound = Arc::<OnceLock<_>>::default();
        let config = change(automation_door::Config {
            database_url: engine.database.url().to_owned(),
            amqp_url: gate.url(&amqp_url)?,
            users: engine.users(),
            limits: Limits::default(),
            addr: "127.0.0.1:0".parse()?,
            bound: bound.clone(),
            amqp_user: user,
            events_per_second: 500,
            burst: 5_000,
            requests: 256,
            per_peer: 32,
            per_tenant: 64,
            bytes_per_second: 1_024,
            trusted_proxies: Vec::new(),
            timeout: Duration::from_secs(30),
            keys: Some(Arc::new(KeyRing::parse(KEYS)?)),
        });
        let drain = CancellationToken::new();
        let serving = tokio::spawn(automation_door::run(config, Health::new(drain.clone()), drain.clone()));
        let begun = Instant::now();
        let addr = loop {
            match bound.get() {
                Some(addr) => break *addr,
                None if serving.is_finished() => {
                    serving.await??;
                    anyhow::bail!("the door ended before it listened");
                }
                None if begun.elapsed() > Duration::from_secs(30) => {
                    anyhow::bail!("the door does not listen")
                }
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let door = Self { engine, http: Client::new(), url: format!("http://{addr}"), gate, drain, serving };
        door.wait_for_broker().await?;
        Ok(door)
    }

    /// A door answers before it has reached the broker; tests want it to have.
    async fn wait_for_broker(&self) -> anyhow::Result<()> {
        let key = self.key("probe", "*", &[])?;
        let begun = Instant::now();
        loop {
            let answer = send(self.batch(&key, "[]")).await?;
            match answer.status {
                202 => return Ok(()),
                503 if begun.elapsed() < Duration::from_secs(30) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => anyhow::bail!("the door answers {other}: {}", answer.body),
            }
        }
    }

    /// Calls the command line as operator of the tenant `acme`.
    pub fn cli(&self, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_automation"))
            .args(arguments)
            .arg("--json")
            .env_clear()
            .env("DATABASE_URL", self.engine.database.url())
            .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
            .env("AUTOMATION_TENANT", "acme")
            .envs(variables.iter().copied())
            .output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("what a command prints")
    }

    /// A new API key of the tenant `acme`.
    pub fn key(&self, name: &str, types: &str, more: &[&str]) -> anyhow::Result<String> {
        let made = self.cli(&[&["apikey", "create", name, "--types", types], more].concat(), &[])?;
        Ok(made["key"].as_str().context("a key")?.to_owned())
    }

    /// A structured event.
    pub fn event(&self, key: &str, body: impl ToString) -> RequestBuilder {
        self.post(key, "application/cloudevents+json", body)
    }

    /// A batch.
    pub fn batch(&self, key: &str, body: impl ToString) -> RequestBuilder {
        self.post(key, "application/cloudevents-batch+json", body)
    }

    fn post(&self, key: &str, content_type: &str, body: impl ToString) -> RequestBuilder {
        let url = format!("{}/v1/events", self.url);
        self.http.post(url).bearer_auth(key).header("content-type", content_type).body(body.to_string())
    }

    /// Drains the door's process; a client's connections do not hold it up.
    pub async fn close(self) -> anyhow::Result<()> {
        self.drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.serving).await;
        ended.context("the door did not drain")???;
        self.engine.management.delete_user(&self.engine.door_user()).await?;
        self.engine.stop().await
    }
}

/// Sends a request; reads the answer.
pub async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    Ok(Answer { status: StatusCode::as_u16(&status), headers, body })
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}
