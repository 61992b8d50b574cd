//! A server that keeps what arrives, for tests of what the engine sends.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: Instant,
    pub path: String,
    /// Its `Idempotency-Key`; empty without one.
    pub key: String,
    /// Its `Authorization`; empty without one.
    pub authorization: String,
    /// Its `traceparent`; empty without one.
    pub traceparent: String,
    pub body: Vec<u8>,
}

/// What arrived, by key, in order.
pub type Arrivals = BTreeMap<String, Vec<Arrival>>;

/// How an arrival is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With this status and `{"ok": true}`.
    Status(u16),
    /// 429 with `Retry-After` of these seconds.
    Later(u64),
    /// With this status, once the gate has a permit.
    Behind(Arc<Semaphore>, u16),
    /// With this status and body.
    Text(u16, String),
    /// Not at all.
    Never,
}

/// The server; it answers until it is dropped.
pub struct Recorder {
    port: u16,
    arrivals: Arc<Mutex<Arrivals>>,
    arrived: Arc<Notify>,
    server: JoinHandle<()>,
}

impl Recorder {
    /// Starts it; `reply` says how an arrival is answered, given the number of arrivals with its key, itself included.
    pub async fn start(
        reply: impl Fn(&Arrival, usize) -> Reply + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let arrivals: Arc<Mutex<Arrivals>> = Arc::default();
        let (kept, reply) = (arrivals.clone(), Arc::new(reply));
        let arrived = Arc::new(Notify::new());
        let tell = arrived.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (kept, reply, tell) = (kept.clone(), reply.clone(), tell.clone());
            async move {
                let reply = record(&kept, request, &*reply).await;
                tell.notify_one();
                answer(reply).await
            }
        });
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the recording server serves");
        });
        Ok(Self { port, arrivals, arrived, server })
    }

    /// The address of a path on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where it listens, as an allow-list names it.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What arrived so far, by key, in order.
    pub fn by_key(&self) -> Arrivals {
        lock(&self.arrivals).clone()
    }

    /// Waits until this many have arrived.
    pub async fn until(&self, count: usize) {
        while self.count() < count {
            self.arrived.notified().await;
        }
    }

    /// How many arrived so far.
    pub fn count(&self) -> usize {
        lock(&self.arrivals).values().map(Vec::len).sum()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What arrived before something panicked is still what arrived.
fn lock(arrivals: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn record(
    kept: &Mutex<Arrivals>,
    request: Request,
    reply: &(impl Fn(&Arrival, usize) -> Reply + ?Sized),
) -> Reply {
    let path = request.uri().path().to_owned();
    let key = header(&request, "idempotency-key");
    let authorization = header(&request, "authorization");
    let traceparent = header(&request, "traceparent");
    let body = axum::body::to_bytes(request.into_body(), 1024 * 1024).await.unwrap_or_default().to_vec();
    let arrival = Arrival { at: Instant::now(), path, key, authorization, traceparent, body };
    let mut kept = lock(kept);
    let of_key = kept.entry(arrival.key.clone()).or_default();
    let reply = reply(&arrival, of_key.len() + 1);
    of_key.push(arrival);
    reply
}

fn header(request: &Request, name: &str) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

async fn answer(reply: Reply) -> (StatusCode, HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let ok = "{\"ok\":true}".to_owned();
    match reply {
        Reply::Status(status) => (StatusCode::from_u16(status).unwrap_or_default(), headers, ok),
        Reply::Text(status, text) => (StatusCode::from_u16(status).unwrap_or_default(), headers, text),
        Reply::Later(seconds) => {
            headers.insert("retry-after", HeaderValue::from(seconds));
            (StatusCode::TOO_MANY_REQUESTS, headers, ok)
        }
        Reply::Behind(gate, status) => {
            gate.acquire().await.expect("the gate stays").forget();
            (StatusCode::from_u16(status).unwrap_or_default(), headers, ok)
        }
        Reply::Never => std::future::pending().await,
    }
}
