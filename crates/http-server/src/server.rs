//! Accepting connections: bounded in number, in all and for each peer, in the time for their headers, and drained.

use crate::guard::{Connected, Guard, guard};
use crate::peer::{Peer, Proxies};
use crate::problem::Problem;
use anyhow::Context;
use automation_service_kit::shares::{Full, Place, Shares};
use axum::extract::DefaultBodyLimit;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use opentelemetry::metrics::Counter;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once; who comes then waits to be accepted.
const MOST_CONNECTIONS: usize = 1_024;
/// Longest time for the headers of a request, and for the next request on a connection.
const HEADERS_PATIENCE: Duration = Duration::from_secs(15);
/// Pause after an accept that failed, because the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections of one peer for each request that it may have under way: clients keep some that rest.
const CONNECTIONS_PER_REQUEST: usize = 4;
/// What a connection beyond its peer's share is told.
const REFUSAL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How requests are taken and answered.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Proxies whose word about their callers counts.
    pub proxies: Proxies,
    /// Requests of one peer under way at once, by which its connections are counted.
    pub per_peer: usize,
    /// Longest time for a request, from its headers to the answer, and for those under way when the server drains.
    pub timeout: Duration,
    /// What a request that takes longer is answered: the role knows what may have come of it.
    pub timed_out: Problem,
    /// Counts requests by `status`.
    pub requests: Counter<u64>,
}

/// A server that listens, and serves once it is told what.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Server {
    /// Listens at this address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn bind(addr: SocketAddr) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(addr).await.with_context(|| format!("binding the HTTP address {addr}"))?;
        let addr = listener.local_addr().context("asking for the HTTP address")?;
        Ok(Self { listener, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `drain` is cancelled; then requests under way have the time of a request to be answered.
    ///
    /// Handlers have the [`Peer`] of a request among its extensions. Bodies have no limit here: [`crate::body::read`] has.
    pub async fn serve(self, router: Router, settings: Settings, drain: CancellationToken) {
        let Self { listener, .. } = self;
        let guarding = Arc::new(Guard {
            proxies: settings.proxies.clone(),
            timeout: settings.timeout,
            timed_out: settings.timed_out.clone(),
            requests: settings.requests.clone(),
        });
        let router = router
            .layer(DefaultBodyLimit::disable())
            .layer(axum::middleware::from_fn_with_state(guarding, guard));
        let (places, connections) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), TaskTracker::new());
        let shares = Shares::new(MOST_CONNECTIONS);
        loop {
            let accepted = tokio::select! {
                () = drain.cancelled() => break,
                // The semaphore is never closed, so a place comes sooner or later.
                Ok(place) = places.clone().acquire_owned() => tokio::select! {
                    () = drain.cancelled() => break,
                    accepted = listener.accept() => accepted.map(|(stream, address)| (stream, address.ip(), place)),
                },
            };
            match accepted {
                Ok((stream, address, place)) => {
                    let Ok(share) = share(&settings, &shares, address) else {
                        // It fits into the buffer of a new connection, so nobody waits for the peer to read it.
                        let _sent = stream.try_write(REFUSAL);
                        continue;
                    };
                    let router = router.clone().layer(Extension(Connected(address)));
                    let drain = drain.clone();
                    connections.spawn(async move {
                        serve_connection(stream, router, drain).await;
                        drop((place, share));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(settings.timeout, connections.wait()).await.is_err() {
            let connections = connections.len();
            tracing::warn!(connections, "some requests were not answered before the drain ended");
        }
    }
}

/// The peer's share of the connections; proxies have as many as they need, since their callers' requests are counted.
fn share(
    settings: &Settings,
    shares: &Arc<Shares<Peer>>,
    address: IpAddr,
) -> Result<Place<Peer>, Full<Peer>> {
    let most = match settings.proxies.trusts(address) {
        true => MOST_CONNECTIONS,
        false => (settings.per_peer * CONNECTIONS_PER_REQUEST).min(MOST_CONNECTIONS),
    };
    shares.take(vec![(Peer::of(address), most)])
}

async fn serve_connection(stream: TcpStream, router: Router, drain: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What goes wrong with a connection is the caller's to notice: it has no answer.
    tokio::select! {
        _ended = connection.as_mut() => {}
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}
