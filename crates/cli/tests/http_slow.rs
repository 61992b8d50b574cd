//! Callers who send slowly, or nothing: what one address holds leaves the door to others.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "the ways to the broker and to single events are for other tests")]
mod door;
#[expect(dead_code, reason = "what publishes over AMQP is for other tests")]
mod engine;

use automation_door::Config;
use door::{Answer, Door, KEYS, send};
use reqwest::Client;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// What a slow caller hears: the beginning of the answer.
type Heard = String;

/// A webhook that takes a token, and its token.
fn hook(door: &Door, name: &str) -> anyhow::Result<(String, String)> {
    let keys = [("AUTOMATION_DOOR_KEYS", KEYS)];
    let made = door.cli(&["hook", "create", name, "--verification", "token"], &keys)?;
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    Ok((text("path"), text("secret")))
}

/// Connects from an address of its own: all of 127.0.0.0/8 is this machine.
async fn connect(door: &Door, from: [u8; 4]) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::from(from), 0))?;
    Ok(socket.connect(door.url.trim_start_matches("http://").parse()?).await?)
}

/// Sends the head of a request whose body never comes, and says what it hears.
async fn send_slowly(mut stream: TcpStream, head: String, heard: mpsc::UnboundedSender<Heard>) {
    // Who is refused while it connects may not get to write.
    let _written = stream.write_all(head.as_bytes()).await;
    let mut answer = vec![0; 12];
    if stream.read_exact(&mut answer).await.is_ok() {
        let _ = heard.send(String::from_utf8_lossy(&answer).into_owned());
    }
    // It stays until the test ends.
    std::future::pending::<()>().await;
}

/// A call of a webhook from this address, whole.
async fn call(door: &Door, from: [u8; 4], path: &str, token: &str) -> anyhow::Result<Answer> {
    let client = Client::builder().local_address(IpAddr::from(from)).build()?;
    let request =
        client.post(format!("{}{path}", door.url)).header("webhook-token", token).json(&json!({ "a": 1 }));
    tokio::time::timeout(Duration::from_secs(60), send(request)).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_slow_calls_of_one_address_leave_a_webhook_to_another() -> anyhow::Result<()> {
    // So slow that none of them is given up while the test looks.
    let patient = |config| Config { timeout: Duration::from_secs(600), ..config };
    let door = Door::open_with(patient).await?;
    let (path, token) = hook(&door, "shop")?;
    let (heard, mut answers) = mpsc::unbounded_channel();
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: door\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n\
             content-length: 100000\r\n\r\n"
        );
        slow.spawn(send_slowly(connect(&door, [127, 0, 0, 1]).await?, head, heard.clone()));
    }
    let (mut waiting, mut refused) = (0, 0);
    while waiting < 32 {
        match answers.recv().await.unwrap_or_default().as_str() {
            "HTTP/1.1 100" => waiting += 1,
            "HTTP/1.1 429" => refused += 1,
            other => anyhow::bail!("a slow call was answered {other}"),
        }
        anyhow::ensure!(refused <= 268, "fewer than 32 are let in");
    }
    // Another address calls the same webhook, and an unknown one, and is answered as if nobody else were there.
    let answer = call(&door, [127, 0, 0, 2], &path, &token).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    let unknown = format!("/v1/hooks/hk_{}", "A".repeat(32));
    assert_eq!(call(&door, [127, 0, 0, 2], &unknown, &token).await?.status, 401);
    slow.shutdown().await;
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_its_callers_are_told_apart() -> anyhow::Result<()> {
    let proxied = |config| Config {
        timeout: Duration::from_secs(600),
        per_peer: 2,
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
        ..config
    };
    let door = Door::open_with(proxied).await?;
    let (path, token) = hook(&door, "shop")?;
    let (heard, mut answers) = mpsc::unbounded_channel();
    let mut slow = tokio::task::JoinSet::new();
    // More connections than an address has that is no proxy.
    for number in 0..20 {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: door\r\nx-forwarded-for: 192.0.2.{}\r\nexpect: 100-continue\r\n\
             content-length: 100\r\n\r\n",
            number % 5
        );
        slow.spawn(send_slowly(connect(&door, [127, 0, 0, 1]).await?, head, heard.clone()));
    }
    let mut told = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..20 {
        *told.entry(answers.recv().await.unwrap_or_default()).or_default() += 1;
    }
    assert_eq!(told, [("HTTP/1.1 100".to_owned(), 10), ("HTTP/1.1 429".to_owned(), 10)].into());
    let forwarded = |from: &str| {
        let request = door.http.post(format!("{}{path}", door.url)).header("x-forwarded-for", from);
        send(request.header("webhook-token", &token).json(&json!({})))
    };
    assert_eq!(forwarded("192.0.2.77").await?.status, 202);
    let answer = forwarded("192.0.2.3").await?;
    assert_eq!((answer.status, answer.code()), (429, "too_many_at_once"), "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    slow.shutdown().await;
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_publishers_of_one_tenant_do_not_have_all_places() -> anyhow::Result<()> {
    let narrow = |config| Config { timeout: Duration::from_secs(600), requests: 3, per_tenant: 2, ..config };
    let door = Door::open_with(narrow).await?;
    let key = door.key("orders", "order.*", &[])?;
    let (heard, mut answers) = mpsc::unbounded_channel();
    let mut slow = tokio::task::JoinSet::new();
    for host in 1..=3 {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n\
             content-type: application/cloudevents+json\r\ncontent-length: 100\r\n\r\n"
        );
        slow.spawn(send_slowly(connect(&door, [127, 0, 0, host]).await?, head, heard.clone()));
    }
    let mut told: Vec<Heard> = Vec::new();
    while told.len() < 3 {
        told.push(answers.recv().await.unwrap_or_default());
    }
    told.sort();
    assert_eq!(told, ["HTTP/1.1 100", "HTTP/1.1 100", "HTTP/1.1 429"]);
    slow.shutdown().await;
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_is_not_waited_for() -> anyhow::Result<()> {
    let strict = |config| Config { timeout: Duration::from_secs(600), bytes_per_second: 1_000_000, ..config };
    let door = Door::open_with(strict).await?;
    let (path, _) = hook(&door, "shop")?;
    let mut stream = connect(&door, [127, 0, 0, 1]).await?;
    let head = format!("POST {path} HTTP/1.1\r\nhost: door\r\ncontent-length: 1000\r\n\r\nsome of it");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await??;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    door.close().await
}
