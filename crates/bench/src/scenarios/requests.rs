//! Runs that each call a service over HTTP.

use super::latency::{self, percentile};
use crate::check::{Expected, finish};
use crate::commits::Watching;
use crate::effort::Effort;
use crate::fleet::Fleet;
use crate::load::{Bounds, ClosedLoop, Load, Packing};
use crate::prepared::Prepared;
use crate::workload::Workload;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long the service takes for an answer.
const SERVICE_TIME: Duration = Duration::from_millis(20);
/// Runs in flight: each has one request.
const IN_FLIGHT: u64 = 200;

/// What was measured of runs that each send one request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Requests {
    pub(crate) in_flight: u64,
    /// How long the service itself took, in milliseconds.
    pub(crate) service_ms: u64,
    pub(crate) requests_per_second: f64,
    /// Milliseconds from an event to the commit that finished its run.
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Measures with a service in this process.
pub(crate) async fn measure(prepared: &Prepared, effort: Effort) -> anyhow::Result<Requests> {
    let service = Service::start().await?;
    let workload = Workload::Request(service.authority.clone());
    let fleet = Fleet::start(prepared, &workload).await?;
    let mut monitor = fleet.database.superuser().await?;
    let load = |source| Load::all_matching(&fleet, Packing::Single, source);
    let bounds = Bounds { in_flight: IN_FLIGHT, chunk: 10, own: 0 };
    let warm_up = ClosedLoop::start(&fleet, &load("warm-up"), bounds);
    tokio::time::sleep(effort.warm_up).await;
    let warm_up = warm_up.stop().await?;
    fleet.until_done(warm_up, warm_up).await?;
    let watching = Watching::start(fleet.database.superuser().await?).await?;
    let (begun, before) = (Instant::now(), fleet.progress.finished());
    let running = ClosedLoop::start(&fleet, &load("measured"), bounds);
    tokio::time::sleep(effort.measure).await;
    let (seconds, requests) = (begun.elapsed().as_secs_f64(), fleet.progress.finished() - before);
    let measured = running.stop().await?;
    let expected = Expected { events: warm_up + measured, runs: warm_up + measured };
    fleet.until_done(expected.events, expected.runs).await?;
    let commits = watching.stop().await?;
    finish(&fleet, &mut monitor, &workload, expected).await?;
    let mut latencies = latency::read(&mut monitor, "measured", &commits).await?;
    fleet.stop().await?;
    service.task.abort();
    latencies.sort_unstable_by(f64::total_cmp);
    Ok(Requests {
        in_flight: IN_FLIGHT,
        service_ms: u64::try_from(SERVICE_TIME.as_millis())?,
        requests_per_second: requests as f64 / seconds,
        p50_ms: percentile(&latencies, 0.5),
        p95_ms: percentile(&latencies, 0.95),
        p99_ms: percentile(&latencies, 0.99),
    })
}

/// A service that takes orders.
struct Service {
    authority: String,
    task: JoinHandle<()>,
}

impl Service {
    async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let answer = async || {
            tokio::time::sleep(SERVICE_TIME).await;
            ([(CONTENT_TYPE, "application/json")], r#"{"ok":true}"#)
        };
        let router = Router::new().route("/orders", post(answer));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the service that requests go to: {error}");
            }
        });
        Ok(Self { authority, task })
    }
}
