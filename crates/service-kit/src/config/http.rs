//! The door for events over HTTP.

use super::{flattened, rule};
use clap::Args;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How events come in over HTTP; flatten it into a command's arguments.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where `/v1/events` and `/v1/hooks` are served; port 0 takes a free one. Default 127.0.0.1:9610.
    pub addr: SocketAddr,
    /// Events a second that one API key or webhook may send on average, in each process. Default 500.
    pub events_per_second: u32,
    /// Events that it may send at once. Default 5,000.
    pub burst: u32,
    /// Requests under way at once of callers who have proved nothing, and of those who have; beyond it, 503. Default 256.
    pub requests: usize,
    /// Of these, of one address (IPv6: of one /64); beyond it, 429. Default 32.
    pub per_peer: usize,
    /// Of these, of one tenant, and calls of one webhook; beyond it, 429. Default 64.
    pub per_tenant: usize,
    /// How fast a body comes at least, on average and after a few seconds. Default 1,024.
    pub bytes_per_second: u32,
    /// Networks of proxies whose `X-Forwarded-For` counts. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Longest time for a request, from its headers to the answer. Default 30 s.
    pub timeout: Duration,
}

#[derive(Args)]
#[command(next_help_heading = "HTTP")]
struct HttpArgs {
    /// Where the door takes events over HTTP; port 0 takes a free one
    ///
    /// Plain HTTP: TLS is the business of a proxy in front of it.
    #[arg(long, env = "AUTOMATION_HTTP_ADDR", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9610")]
    #[arg(value_parser = rule(address))]
    http_addr: SocketAddr,
    /// Events a second that one API key or webhook may send on average, in each process
    #[arg(long, env = "AUTOMATION_HTTP_EVENTS_PER_SECOND", value_name = "EVENTS", default_value = "500")]
    #[arg(value_parser = rule(positive))]
    http_events_per_second: u32,
    /// Events that one API key or webhook may send at once
    #[arg(long, env = "AUTOMATION_HTTP_BURST", value_name = "EVENTS", default_value = "5000")]
    #[arg(value_parser = rule(positive))]
    http_burst: u32,
    /// Requests under way at once; beyond it, 503
    #[arg(long, env = "AUTOMATION_HTTP_CONCURRENCY", value_name = "REQUESTS", default_value = "256")]
    #[arg(value_parser = rule(positive))]
    http_concurrency: u32,
    /// Requests of one address under way at once (IPv6: of one /64); beyond it, 429
    #[arg(long, env = "AUTOMATION_HTTP_PER_PEER", value_name = "REQUESTS", default_value = "32")]
    #[arg(value_parser = rule(positive))]
    http_per_peer: u32,
    /// Requests of one tenant under way at once, and calls of one webhook; beyond it, 429
    #[arg(long, env = "AUTOMATION_HTTP_PER_TENANT", value_name = "REQUESTS", default_value = "64")]
    #[arg(value_parser = rule(positive))]
    http_per_tenant: u32,
    /// How fast a body comes at least, in bytes a second, on average after the first five seconds; slower is 408
    #[arg(long, env = "AUTOMATION_HTTP_MIN_BYTES_PER_SECOND", value_name = "BYTES", default_value = "1024")]
    #[arg(value_parser = rule(positive))]
    http_min_bytes_per_second: u32,
    /// Networks of proxies whose X-Forwarded-For counts, comma-separated [default: none]
    ///
    /// Such as 10.0.0.0/8 or fd00::/8. Without them, all that comes through a proxy counts as one address.
    #[arg(long, env = "AUTOMATION_HTTP_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',', value_parser = rule(network))]
    http_trusted_proxies: Vec<IpNet>,
    /// Longest time for a request, in seconds
    #[arg(long, env = "AUTOMATION_HTTP_ANSWER_SECONDS", value_name = "SECONDS", default_value = "30")]
    #[arg(value_parser = rule(positive))]
    http_answer_seconds: u32,
}

impl From<HttpArgs> for HttpConfig {
    fn from(args: HttpArgs) -> Self {
        Self {
            addr: args.http_addr,
            events_per_second: args.http_events_per_second,
            burst: args.http_burst,
            requests: places(args.http_concurrency),
            per_peer: places(args.http_per_peer),
            per_tenant: places(args.http_per_tenant),
            bytes_per_second: args.http_min_bytes_per_second,
            trusted_proxies: args.http_trusted_proxies,
            timeout: Duration::from_secs(args.http_answer_seconds.into()),
        }
    }
}

flattened!(HttpConfig, HttpArgs);

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:9610 or [::]:9610".to_owned())
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be networks or addresses, such as 10.0.0.0/8 or ::1".to_owned())
}

fn places(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn positive(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err("must be a whole number from 1 to 1000000".to_owned()),
    }
}
