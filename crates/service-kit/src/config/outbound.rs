//! What requests to the world outside may reach and use up, as flags.

use super::{flattened, rule};
use automation_domain::outbound::{AllowEntry, AllowList, Outbound, REFUSED_PORTS};
use clap::Args;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Bounds of requests to the world outside; flatten it into a command's arguments.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// The bounds.
    pub outbound: Outbound,
}

#[derive(Args)]
#[command(next_help_heading = "Requests to the world outside")]
struct OutboundArgs {
    /// Private destinations that are allowed all the same, as host:port or network:port, comma-separated [default: none]
    ///
    /// Such as crm.internal:8080, 10.1.0.0/16:443 or [fd00::/8]:443.
    #[arg(long, env = "AUTOMATION_OUTBOUND_ALLOW", value_name = "ENTRIES", value_delimiter = ',', value_parser = rule(entry))]
    outbound_allow: Vec<AllowEntry>,
    /// Ports that no request goes to, comma-separated, or none [default: those of mail, shells, databases, brokers]
    #[arg(long, env = "AUTOMATION_OUTBOUND_REFUSED_PORTS", value_name = "PORTS", value_parser = rule(ports))]
    outbound_refused_ports: Option<Ports>,
    /// Longest wait for a connection, TLS included, in milliseconds
    #[arg(long, env = "AUTOMATION_HTTP_CONNECT_TIMEOUT_MS", value_name = "MILLISECONDS", default_value = "5000", value_parser = rule(|text| millis(text, 1..=60_000)))]
    http_connect_timeout_ms: Duration,
    /// Longest exchange, whatever a workflow asks for, in milliseconds
    #[arg(long, env = "AUTOMATION_HTTP_TIMEOUT_MS", value_name = "MILLISECONDS", default_value = "120000", value_parser = rule(|text| millis(text, 1..=3_600_000)))]
    http_timeout_ms: Duration,
    /// Most bytes read of a response's body
    #[arg(long, env = "AUTOMATION_HTTP_RESPONSE_BYTES", value_name = "BYTES", default_value = "1048576", value_parser = rule(bytes))]
    http_response_bytes: usize,
    /// Most bytes of a response's body that history keeps
    #[arg(long, env = "AUTOMATION_HTTP_KEPT_BYTES", value_name = "BYTES", default_value = "16384", value_parser = rule(bytes))]
    http_kept_bytes: usize,
}

#[derive(Clone)]
struct Ports(BTreeSet<u16>);

impl From<OutboundArgs> for OutboundConfig {
    fn from(args: OutboundArgs) -> Self {
        let ports =
            args.outbound_refused_ports.map_or_else(|| BTreeSet::from(REFUSED_PORTS), |ports| ports.0);
        let outbound = Outbound {
            allow: AllowList::new(args.outbound_allow),
            refused_ports: ports,
            connect_timeout: args.http_connect_timeout_ms,
            max_timeout: args.http_timeout_ms,
            response_bytes: args.http_response_bytes,
            kept_bytes: args.http_kept_bytes,
        };
        Self { outbound }
    }
}

flattened!(OutboundConfig, OutboundArgs);

fn entry(text: &str) -> Result<AllowEntry, String> {
    text.parse()
}

fn ports(text: &str) -> Result<Ports, String> {
    if text.trim() == "none" {
        return Ok(Ports(BTreeSet::new()));
    }
    text.split(',')
        .map(|port| port.trim().parse::<u16>())
        .collect::<Result<_, _>>()
        .map(Ports)
        .map_err(|_| "must be port numbers separated by commas, or none".to_owned())
}

fn millis(text: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(Duration::from_millis(number)),
        Ok(_) | Err(_) => {
            Err(format!("must be a whole number of milliseconds, {} to {}", range.start(), range.end()))
        }
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        Ok(_) | Err(_) => Err("must be a whole number of bytes, at least 1".to_owned()),
    }
}
