//! What requests to the world outside may reach and use up, as a deployment configures it.

mod allow;

pub use allow::{AllowEntry, AllowList};

use std::collections::BTreeSet;
use std::time::Duration;

/// Ports that no request goes to unless the deployment allows it: mail, remote shells, databases, brokers, caches.
pub const REFUSED_PORTS: [u16; 30] = [
    19, 22, 23, 25, 53, 110, 119, 135, 139, 143, 389, 445, 465, 514, 587, 636, 993, 995, 1433, 2049, 2375,
    3306, 3389, 5432, 5671, 5672, 6379, 9042, 11211, 27017,
];

/// Bounds of requests to the world outside.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Private and reserved destinations that are allowed all the same. Default: none.
    pub allow: AllowList,
    /// Ports that are refused. Default [`REFUSED_PORTS`].
    pub refused_ports: BTreeSet<u16>,
    /// Longest wait for a connection, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest exchange, whatever a request asks for. Default 2 min.
    pub max_timeout: Duration,
    /// Most bytes read of a response's body. Default 1 MiB.
    pub response_bytes: usize,
    /// Most bytes of a response's body that history keeps. Default 16 KiB.
    pub kept_bytes: usize,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            allow: AllowList::default(),
            refused_ports: BTreeSet::from(REFUSED_PORTS),
            connect_timeout: Duration::from_secs(5),
            max_timeout: Duration::from_secs(120),
            response_bytes: 1024 * 1024,
            kept_bytes: 16 * 1024,
        }
    }
}
