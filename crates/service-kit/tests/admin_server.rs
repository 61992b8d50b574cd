//! The admin server, over real HTTP on loopback.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use automation_service_kit::health::{AdminServer, Health, serve};
use automation_service_kit::metrics::{MOMENTS, Metrics, meter, seconds};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn start() -> (AdminServer, Health, CancellationToken) {
    // The global meter is the process's own: the tests share one.
    static METRICS: std::sync::OnceLock<Metrics> = std::sync::OnceLock::new();
    let metrics = METRICS.get_or_init(|| Metrics::install().unwrap()).clone();
    let draining = CancellationToken::new();
    let health = Health::new(draining.clone());
    (serve(ANY_PORT, health.clone(), metrics).await.unwrap(), health, draining)
}

async fn get(admin: &AdminServer, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin.addr()).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_process_is_ready_once_all_its_components_are() {
    let (admin, health, _draining) = start().await;
    let broker = health.component("broker");
    health.register("database", || Ok(()));
    assert_eq!(get(&admin, "/readyz").await, (503, "{\"status\":\"not_ready\"}\n".to_owned()));
    broker.ready();
    assert_eq!(get(&admin, "/readyz").await, (200, "{\"status\":\"ready\"}\n".to_owned()));
    broker.failing("connection refused");
    assert!(!health.is_ready());
    let (code, body) = get(&admin, "/readyz?verbose").await;
    assert_eq!(code, 503);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "status": "not_ready", "components": [
            { "name": "broker", "status": "not_ready", "reason": "connection refused" },
            { "name": "database", "status": "ready" },
        ]})
    );
    assert_eq!(get(&admin, "/livez").await.0, 200, "a process that waits for the broker is alive");
}

#[tokio::test]
async fn a_draining_process_is_alive_but_not_ready() {
    let (admin, health, draining) = start().await;
    health.register("database", || Ok(()));
    draining.cancel();
    assert_eq!(get(&admin, "/readyz").await, (503, "{\"status\":\"draining\"}\n".to_owned()));
    assert_eq!(get(&admin, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_process_that_hangs_says_over_what_and_is_not_ready() {
    let (admin, health, _draining) = start().await;
    health.register("database", || Ok(()));
    health.hangs("node \"tag\"");
    let hanging = "{\"status\":\"hanging\",\"reason\":\"node \\\"tag\\\"\"}\n".to_owned();
    assert_eq!(get(&admin, "/livez").await, (503, hanging.clone()));
    assert_eq!(get(&admin, "/readyz").await, (503, hanging));
    assert!(!health.is_ready());
}

/// On a runtime with one thread, which is busy.
#[tokio::test]
async fn the_server_answers_while_every_thread_that_works_is_busy() {
    use std::io::{Read, Write};
    let (admin, _health, _draining) = start().await;
    let mut stream = std::net::TcpStream::connect(admin.addr()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn metrics_are_scraped_with_units_and_buckets_for_seconds() {
    let (admin, _health, _draining) = start().await;
    seconds("test.batch.duration", "How long.", &MOMENTS).record(0.003, &[]);
    meter().u64_counter("test.events").build().add(2, &[opentelemetry::KeyValue::new("outcome", "ok")]);
    let (code, body) = get(&admin, "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "test_batch_duration_seconds_bucket{le=\"0.0025\"} 0",
        "test_batch_duration_seconds_bucket{le=\"0.005\"} 1",
        "test_events_total{outcome=\"ok\"} 2",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "process_resident_memory_bytes ",
    ] {
        assert!(body.contains(line), "{line} is not in\n{body}");
    }
    let memory = body.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(memory.parse::<f64>().unwrap() > 1_000_000.0);
}

#[tokio::test]
async fn a_stopped_server_no_longer_listens() {
    let (admin, _health, _draining) = start().await;
    let addr = admin.addr();
    admin.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
}
