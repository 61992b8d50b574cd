//! A server that repeats everything that proves who calls, in every way that a careless one could.

use crate::canary::Canary;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What stands beside each echo, so that a place without it was not reached at all.
pub const MARKER: &str = "echo-of-a-careless-server";

/// The ways, each a path; `ok` alone succeeds.
pub const WAYS: [&str; 11] = [
    "text",
    "json",
    "broken-json",
    "headers",
    "redirect",
    "abroad",
    "inside",
    "nowhere",
    "loop",
    "cut",
    "garbage",
];

/// The server, at two ports: the second one is another origin.
pub struct Echo {
    pub home: u16,
    pub abroad: u16,
    arrivals: Arc<AtomicUsize>,
    serving: Vec<JoinHandle<()>>,
}

impl Echo {
    /// Starts it; it knows the secrets that only sign, and repeats them too.
    pub async fn start(known: Vec<String>) -> anyhow::Result<Self> {
        let (home, abroad) =
            (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let ports = (home.local_addr()?.port(), abroad.local_addr()?.port());
        let arrivals = Arc::<AtomicUsize>::default();
        let known = Arc::new(known);
        let serving = [home, abroad]
            .into_iter()
            .map(|listener| tokio::spawn(accept(listener, ports.1, arrivals.clone(), known.clone())))
            .collect();
        Ok(Self { home: ports.0, abroad: ports.1, arrivals, serving })
    }

    pub fn url(&self, way: &str) -> String {
        format!("http://127.0.0.1:{}/{way}", self.home)
    }

    /// How many requests arrived with something to repeat.
    pub fn arrivals(&self) -> usize {
        self.arrivals.load(Ordering::SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, abroad: u16, arrivals: Arc<AtomicUsize>, known: Arc<Vec<String>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (arrivals, known) = (arrivals.clone(), known.clone());
        // A client that goes away is its own business.
        tokio::spawn(async move { serve(stream, abroad, &arrivals, &known).await.ok() });
    }
}

async fn serve(
    stream: TcpStream,
    abroad: u16,
    arrivals: &AtomicUsize,
    known: &[String],
) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut headers, mut length) = (String::new(), Vec::new(), 0);
    stream.read_line(&mut line).await?;
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).await? <= 2 {
            break;
        }
        if let Some((name, value)) = header.trim_end().split_once(": ") {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            }
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let secrets = secrets(&target, &headers, known);
    if !secrets.is_empty() {
        arrivals.fetch_add(1, Ordering::SeqCst);
    }
    let way = target.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
    stream.write_all(answer(way, abroad, &secrets).as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// Everything in a request that could prove who calls.
fn secrets(target: &str, headers: &[(String, String)], known: &[String]) -> Vec<String> {
    let mut secrets: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name == "authorization" || name == "x-api-key")
        .map(|(_, value)| value.split_once(' ').map_or(value.as_str(), |(_, secret)| secret).to_owned())
        .collect();
    let decoded = secrets.iter().filter_map(|secret| STANDARD.decode(secret).ok());
    let passwords =
        decoded.filter_map(|pair| Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned()));
    secrets.extend(passwords.collect::<Vec<_>>());
    if let Ok(url) = reqwest::Url::parse(&format!("http://x{target}")) {
        secrets
            .extend(url.query_pairs().filter(|(name, _)| name == "key").map(|(_, value)| value.into_owned()));
    }
    if headers.iter().any(|(name, _)| name == "webhook-signature") {
        secrets.extend(known.iter().cloned());
    }
    secrets
}

fn answer(way: &str, abroad: u16, secrets: &[String]) -> String {
    let echoes: Vec<(&str, String)> = secrets.iter().flat_map(|secret| Canary::echoes(secret)).collect();
    let text = || echoes.iter().map(|(form, echo)| format!("{form}: {echo}")).collect::<Vec<_>>().join("; ");
    let json = || {
        let mut members = Map::new();
        for (form, echo) in &echoes {
            members.insert((*form).to_owned(), json!([echo, { echo: form }]));
        }
        Value::Object(members).to_string()
    };
    let header = |name: &str| {
        let lines = echoes.iter().map(|(form, echo)| format!("{name}-{form}: {MARKER} {echo}\r\n"));
        lines.collect::<String>()
    };
    let first = secrets.first().map(|secret| Canary::echoes(secret)[4].1.clone()).unwrap_or_default();
    let to = |place: String| reply("302 Found", &format!("location: {place}\r\n"), MARKER);
    match way {
        "ok" => {
            reply("200 OK", "content-type: application/json\r\n", &format!("{{\"{MARKER}\": {}}}", json()))
        }
        "text" => reply("500 Failed", "content-type: text/html\r\n", &format!("{MARKER} {}", text())),
        "json" => reply(
            "500 Failed",
            "content-type: application/json\r\n",
            &format!("{{\"{MARKER}\": {}}}", json()),
        ),
        "broken-json" => reply(
            "422 No",
            "content-type: application/json\r\n",
            &format!("{{\"{MARKER}\": {}", json().replace('/', "\\/")),
        ),
        "headers" => reply(&format!("503 {}", text()), &header("x-echo"), MARKER),
        "redirect" => to(format!("/text?token={first}")),
        "abroad" => to(format!("http://127.0.0.1:{abroad}/text/{first}?key={first}")),
        "inside" => to(format!("http://10.0.0.1/{first}?token={first}")),
        "nowhere" => to(format!("http://shop:{first}@no-such-host.invalid/{first}")),
        "loop" => to(format!("/loop/{first}?token={first}")),
        "cut" => {
            let body = format!("{MARKER} {}", text());
            let half = body.floor_char_boundary(body.len() / 2);
            format!(
                "HTTP/1.1 500 Failed\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}",
                body.len(),
                &body[..half]
            )
        }
        "garbage" => format!("{} {}\r\n{}", MARKER, text(), header("x")),
        _ => reply("404 Not Found", "", "no such way"),
    }
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}
