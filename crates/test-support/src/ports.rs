//! Ports for processes that have to be told theirs before they start.

use anyhow::bail;
use std::net::{Ipv4Addr, TcpListener};
use uuid::Uuid;

/// Below what `./dev` chooses from, and below 32768: from there on the kernel hands out ports to outgoing connections and
/// to whoever asks for any, and one of those could sit on ours before the process does.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// A port of loopback that nobody listens on.
///
/// # Errors
///
/// When none is found.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let (_, luck, _, _) = Uuid::new_v4().as_fields();
        let port = FIRST + luck % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST} on is free")
}
