//! The connectors against real listeners: where they go, where they never go, and what they make of bad servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod bad_servers;
mod certificates;
mod guard_cases;
mod guard_table;
mod redirects;
mod secrets;
mod server;
mod support;
mod tls;
