//! For tests only: one database and one virtual host per test, builders.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests draw names, wait by the clock, and call the servers"
)]

pub mod broker;
pub mod builders;
pub mod database;
mod everything;
pub mod ports;
