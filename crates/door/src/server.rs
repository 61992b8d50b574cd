//! Accepting connections: bounded in number, in the time for their headers, and drained.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
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

/// Serves until `drain` is cancelled; then requests under way have `patience` to be answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Duration,
    drain: CancellationToken,
) {
    let (places, connections) = (Arc::new(Semaphore::new(MOST_CONNECTIONS)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            () = drain.cancelled() => break,
            // The semaphore is never closed, so a place comes sooner or later.
            Ok(place) = places.clone().acquire_owned() => tokio::select! {
                () = drain.cancelled() => break,
                accepted = listener.accept() => accepted.map(|(stream, _peer)| (stream, place)),
            },
        };
        match accepted {
            Ok((stream, place)) => {
                let (router, drain) = (router.clone(), drain.clone());
                connections.spawn(async move {
                    serve_connection(stream, router, drain).await;
                    drop(place);
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
    if tokio::time::timeout(patience, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "some requests were not answered before the drain ended"
        );
    }
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
