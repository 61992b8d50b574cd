//! The door for events over HTTP.

use super::{flattened, rule};
use clap::Args;
use std::net::SocketAddr;
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
    /// Requests under way at once; beyond it, 503. Default 256.
    pub requests: usize,
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
            requests: usize::try_from(args.http_concurrency).unwrap_or(usize::MAX),
            timeout: Duration::from_secs(args.http_answer_seconds.into()),
        }
    }
}

flattened!(HttpConfig, HttpArgs);

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:9610 or [::]:9610".to_owned())
}

fn positive(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err("must be a whole number from 1 to 1000000".to_owned()),
    }
}
