//! Whether the process lives and may be given work, and the admin server that tells.
//!
//! | path | answers |
//! |---|---|
//! | `/livez` | 200 while the process can answer at all, 503 with what hangs once its watchdog is about to end it |
//! | `/readyz` | 200 when there are components, all are well, and the process does not drain, else 503; `?verbose` lists components |
//! | `/metrics` | Prometheus's text format |
//!
//! The server has a thread of its own: it answers whatever becomes of the threads that work.

use crate::metrics::Metrics;
use anyhow::Context;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Between two looks of [`Component::watch`].
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// The longest that one of its looks may take.
const WATCH_PATIENCE: Duration = Duration::from_secs(5);

/// Answers at once: `Err` says in one sentence what is wrong. It must not wait or call anyone.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The components of a process, and how they are.
#[derive(Clone)]
pub struct Health {
    checks: Arc<RwLock<BTreeMap<String, Check>>>,
    /// What hangs, once something does.
    hanging: Arc<OnceLock<String>>,
    draining: CancellationToken,
}

/// A component that reports its own state whenever it changes; not ready until it first says so.
#[derive(Clone, Debug)]
pub struct Component {
    state: Arc<RwLock<Result<(), String>>>,
}

/// The running admin server.
#[derive(Debug)]
pub struct AdminServer {
    addr: SocketAddr,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

/// The body of `/livez` and `/readyz`.
#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<ComponentState>>,
}

#[derive(Serialize)]
struct ComponentState {
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Health {
    /// No components yet; not ready once `draining` is cancelled.
    pub fn new(draining: CancellationToken) -> Self {
        Self { checks: Arc::default(), hanging: Arc::default(), draining }
    }

    /// Adds a component that is asked at every look; one of the same name is replaced.
    pub fn register(&self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.checks.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::new(check));
    }

    /// Adds a component that reports by itself.
    pub fn component(&self, name: &str) -> Component {
        let component = Component { state: Arc::new(RwLock::new(Err("starting".to_owned()))) };
        let state = component.state.clone();
        self.register(name, move || state.read().unwrap_or_else(PoisonError::into_inner).clone());
        component
    }

    /// Has `/livez` say that the process hangs, and over what. It does not recover from that.
    pub fn hangs(&self, over: &str) {
        // What hung first is what is told.
        let _ = self.hanging.set(over.to_owned());
    }

    /// Whether the process may be given work; one that has not named its components yet may not.
    pub fn is_ready(&self) -> bool {
        !self.draining.is_cancelled() && self.hanging.get().is_none() && is_well(&self.states())
    }

    fn states(&self) -> Vec<(String, Result<(), String>)> {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        checks.into_iter().map(|(name, check)| (name, check())).collect()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("states", &self.states()).finish_non_exhaustive()
    }
}

impl Component {
    /// The component is well.
    pub fn ready(&self) {
        self.set(Ok(()));
    }

    /// Asks `check` again and again, and reports what it says, until `drain` is cancelled.
    ///
    /// For what a role finds out only by working: an idle one would otherwise keep its last impression for ever.
    pub async fn watch<E: fmt::Display, C>(self, drain: CancellationToken, check: impl Fn() -> C)
    where
        C: Future<Output = Result<(), E>>,
    {
        loop {
            match tokio::time::timeout(WATCH_PATIENCE, check()).await {
                Ok(Ok(())) => self.ready(),
                Ok(Err(error)) => self.failing(error.to_string()),
                Err(_) => self.failing("no answer in time"),
            }
            tokio::select! {
                () = drain.cancelled() => return,
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
            }
        }
    }

    /// The component is not well, and why.
    pub fn failing(&self, reason: impl Into<String>) {
        self.set(Err(reason.into()));
    }

    fn set(&self, state: Result<(), String>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Starts the admin server; port 0 takes a free one. It serves while the process drains, until it is stopped or dropped.
///
/// # Errors
///
/// When the address cannot be bound, or the server's thread not be started.
pub async fn serve(addr: SocketAddr, health: Health, metrics: Metrics) -> anyhow::Result<AdminServer> {
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("binding the admin address {addr} (AUTOMATION_ADMIN_ADDR)"))?;
    let addr = listener.local_addr().context("asking for the admin address")?;
    let listener = listener.into_std().context("handing the admin listener to its thread")?;
    let router = Router::new()
        .route("/livez", get(livez).with_state(health.clone()))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(scrape).with_state(metrics));
    let runtime = Builder::new_current_thread().enable_all().build().context("preparing the admin server")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (ending, ended) = oneshot::channel();
    let serving = move || {
        let served = runtime.block_on(async {
            let listener = TcpListener::from_std(listener)?;
            // A client that holds its connection open is cut off with the runtime.
            tokio::select! {
                served = axum::serve(listener, router).into_future() => served,
                () = stopped.cancelled() => Ok(()),
            }
        });
        if let Err(error) = served {
            tracing::error!(%error, "the admin server ended");
        }
        drop(runtime);
        // Nobody waits when the server was dropped instead of stopped.
        let _ = ending.send(());
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(serving)
        .context("starting the admin server")?;
    tracing::info!(%addr, "admin server listens");
    Ok(AdminServer { addr, stop, ended })
}

impl AdminServer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening; a client that holds its connection open is cut off.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Ended well or not: either way it is gone.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn is_well(states: &[(String, Result<(), String>)]) -> bool {
    !states.is_empty() && states.iter().all(|(_, state)| state.is_ok())
}

async fn livez(State(health): State<Health>) -> Response {
    match health.hanging.get() {
        None => json(StatusCode::OK, &Readiness { status: "ok", reason: None, components: None }),
        Some(over) => {
            let body = Readiness { status: "hanging", reason: Some(over.clone()), components: None };
            json(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

async fn readyz(State(health): State<Health>, RawQuery(query): RawQuery) -> Response {
    let states = health.states();
    let (code, status) = if health.hanging.get().is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "hanging")
    } else if health.draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if is_well(&states) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    let components =
        is_verbose(query.as_deref()).then(|| states.into_iter().map(ComponentState::from).collect());
    json(code, &Readiness { status, reason: health.hanging.get().cloned(), components })
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl From<(String, Result<(), String>)> for ComponentState {
    fn from((name, state): (String, Result<(), String>)) -> Self {
        match state {
            Ok(()) => Self { name, status: "ready", reason: None },
            Err(reason) => Self { name, status: "not_ready", reason: Some(reason) },
        }
    }
}

fn is_verbose(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| matches!(pair.split('=').next(), Some("verbose")))
}

fn json(code: StatusCode, body: &Readiness) -> Response {
    let body = serde_json::to_string(body).expect("strings serialise");
    (code, [(header::CONTENT_TYPE, "application/json")], body + "\n").into_response()
}
