//! What faces the internet: `POST /v1/events` with an API key, `POST /v1/hooks/{hook}` for other systems.
//!
//! What comes in is checked as ingest will check it, published on `automation.events` like everybody's events, on behalf
//! of the key's or webhook's grant, and answered 202 once the broker has it on disk. TLS is a proxy's business.

mod call;
mod events;
mod hooks;
mod keys;
mod pools;
mod problems;
mod publish;
mod quotas;
mod reading;
mod signature;

use anyhow::Context;
use automation_broker::publisher::{Publisher, PublisherConfig};
use automation_domain::event::admission::BrokerUsers;
use automation_domain::hook::HookId;
use automation_domain::id::TenantId;
use automation_domain::limits::Limits;
use automation_http_server::cache::Cache;
use automation_http_server::peer::{Peer, Proxies};
use automation_http_server::pools::Sizes;
use automation_http_server::rate::Rates;
use automation_http_server::server::{Server, Settings};
use automation_service_kit::health::Health;
use automation_service_kit::metrics::{counter, meter, observe_connections};
use automation_service_kit::turns::Turns;
use automation_store::{Db, PoolSize, role};
use automation_vault::KeyRing;
use axum::Router;
use axum::routing::post;
use ipnet::IpNet;
use opentelemetry::metrics::Counter;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Questions to the database at the same time: when a thousand ask the same, the first answer is everybody's.
const QUESTIONS: usize = 4;
/// Of these, for one peer: who guesses keys does not hold up who has one.
const QUESTIONS_PER_PEER: usize = 2;
/// Connections to the database: for questions, and for notes of what was used.
const DATABASE_CONNECTIONS: u32 = 6;
/// Longest wait for one of them.
const DATABASE_PATIENCE: Duration = Duration::from_secs(5);
/// Messages that wait for their confirms at the same time, each on a channel of its own.
const LANES: usize = 8;
/// Of these, for one tenant.
const LANES_PER_TENANT: usize = 4;
/// Longest wait for a channel, and for confirms: shorter than a client's patience.
const BROKER_PATIENCE: Duration = Duration::from_secs(5);

/// How the door is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Postgres; the login must be, or be a member of, `automation_door`.
    pub database_url: String,
    /// RabbitMQ.
    pub amqp_url: String,
    /// Broker users whom ingest lets publish on behalf of keys and webhooks.
    pub users: BrokerUsers,
    /// Limits on events.
    pub limits: Limits,
    /// Where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Where it listens, as soon as it does.
    pub bound: Arc<OnceLock<SocketAddr>>,
    /// The user of `amqp_url`: whom the broker vouches for.
    pub amqp_user: String,
    /// Events a second that a key or webhook may publish on average.
    pub events_per_second: u32,
    /// Events that it may publish at once.
    pub burst: u32,
    /// Requests under way at once of callers who have proved nothing, and again of those who have; beyond it, 503.
    pub requests: usize,
    /// Of these, of one address (IPv6: of one /64); beyond it, 429.
    pub per_peer: usize,
    /// Of these, of one tenant, and calls of one webhook; beyond it, 429.
    pub per_tenant: usize,
    /// How fast a body comes at least, on average and after a few seconds.
    pub bytes_per_second: u32,
    /// Networks of proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Longest time for a request, from its headers to the answer.
    pub timeout: Duration,
    /// What secrets of webhooks are encrypted with; without it, webhooks are answered 503.
    pub keys: Option<Arc<KeyRing>>,
}

/// What every request shares.
struct Door {
    config: Config,
    db: Db<role::Door>,
    publisher: Publisher,
    keys: keys::Keys,
    hooks: Cache<HookId, hooks::RememberedHook>,
    quotas: Cache<TenantId, Vec<String>>,
    secrets: Option<hooks::Secrets>,
    rates: Rates,
    pools: pools::Pools,
    questions: Arc<Turns<Peer>>,
    lanes: Arc<Turns<TenantId>>,
    accepted: Counter<u64>,
}

/// Serves until `drain` is cancelled and the requests under way are answered.
///
/// # Errors
///
/// When the configuration is refused, or the address cannot be bound. A broker or database that is away is waited for.
pub async fn run(config: Config, health: Health, drain: CancellationToken) -> anyhow::Result<()> {
    // Ingest would park what such a user publishes on behalf of keys and webhooks, after it was accepted.
    anyhow::ensure!(
        config.users.speaks_for_callers(&config.amqp_user),
        "the broker's user {} takes events over HTTP and is among neither AUTOMATION_DOOR_USERS nor AUTOMATION_ENGINE_USERS",
        config.amqp_user
    );
    let (server, settings) = (listen(&config).await?, settings(&config));
    let door = Arc::new(Door::new(config)?);
    let publisher = door.publisher.clone();
    health.register("door.publisher", move || publisher.health());
    let database = health.component("door.database");
    let (watched, stop) = (door.db.clone(), drain.clone());
    let watching = tokio::spawn(async move { database.watch(stop, || watched.ping()).await });
    let connecting = tokio::spawn(door.publisher.clone().keep_connected(drain.clone()));
    server.serve(router(door.clone()), settings, drain).await;
    // Both end with the drain.
    watching.await?;
    connecting.await?;
    door.publisher.close().await;
    door.db.close().await;
    Ok(())
}

async fn listen(config: &Config) -> anyhow::Result<Server> {
    let server = Server::bind(config.addr).await.context("listening at AUTOMATION_HTTP_ADDR")?;
    let addr = server.addr();
    // A second start with the same configuration would keep the first address; there is none.
    let _ = config.bound.set(addr);
    tracing::info!(%addr, "the door listens for HTTP");
    Ok(server)
}

fn settings(config: &Config) -> Settings {
    Settings {
        proxies: Proxies::new(config.trusted_proxies.clone()),
        per_peer: config.per_peer,
        timeout: config.timeout,
        timed_out: problems::unavailable("timeout", "the request took too long"),
        requests: meter().u64_counter("http.requests").with_description("Requests, by status").build(),
    }
}

impl Door {
    fn new(config: Config) -> anyhow::Result<Self> {
        let size = PoolSize { max: DATABASE_CONNECTIONS, acquire_timeout: DATABASE_PATIENCE };
        let db = Db::new(&config.database_url, size)?;
        let seen = db.clone();
        observe_connections("door", move || seen.connections());
        Ok(Self {
            db,
            publisher: Publisher::lazy_with(PublisherConfig {
                lanes: LANES,
                timeout: BROKER_PATIENCE,
                ..PublisherConfig::new(&config.amqp_url, "door")
            })?,
            keys: keys::Keys::default(),
            hooks: Cache::default(),
            quotas: Cache::default(),
            secrets: config.keys.clone().map(hooks::Secrets::new).transpose()?,
            rates: Rates::new(config.events_per_second, config.burst),
            pools: pools::Pools::new(Sizes {
                whole: config.requests,
                per_peer: config.per_peer,
                per_name: config.per_tenant,
            }),
            questions: Turns::new(QUESTIONS, QUESTIONS_PER_PEER),
            lanes: Turns::new(LANES, LANES_PER_TENANT),
            accepted: counter("http.events", "Events accepted over HTTP"),
            config,
        })
    }
}

fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/events", post(events::receive))
        .route("/v1/hooks/{hook}", post(hooks::receive))
        .fallback(async || problems::not_found())
        .method_not_allowed_fallback(async || problems::method_not_allowed())
        .with_state(door)
}
