//! `automation health`: asks a role of this machine whether it is ready, for images that have no HTTP client.

use crate::terminal::Lines;
use crate::{exit, output};
use clap::Args;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest answer that is read: a list of components with their reasons.
const LONGEST: u64 = 64 * 1024;

/// Arguments of `automation health`.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// Where the role serves its admin port; an address that means "all", such as 0.0.0.0, is asked on loopback
    #[arg(
        long,
        env = "AUTOMATION_ADMIN_ADDR",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9600"
    )]
    admin_addr: SocketAddr,
    /// Ask whether the process lives, not whether it is ready
    #[arg(long)]
    live: bool,
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=60))]
    wait: u64,
}

/// Prints what the role says of its components; fails when it is not well or does not answer.
pub async fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let address = reachable(args.admin_addr);
    let path = if args.live { "/livez" } else { "/readyz?verbose" };
    let answer = match timeout(Duration::from_secs(args.wait), ask(address, path)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", args.wait)),
    };
    let answer = answer.map_err(|reason| {
        exit::wrong(format!("{address} does not answer: {reason}"), "start the role, or correct --admin-addr")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !is_ok(head) {
        let next = "read the reasons, and docs/runbooks/worker-crash.md";
        return Err(exit::wrong(format!("not ready: {}", body.trim().replace('\n', "; ")), next));
    }
    output::say(Lines::of_block(body));
    Ok(())
}

/// One request of HTTP/1.0: the server closes the connection behind its answer.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether the first line says 200.
fn is_ok(head: &str) -> bool {
    head.split_ascii_whitespace().nth(1) == Some("200")
}

/// The address to connect to for one that is listened on.
fn reachable(mut listens: SocketAddr) -> SocketAddr {
    if listens.ip().is_unspecified() {
        listens.set_ip(match listens {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    listens
}
