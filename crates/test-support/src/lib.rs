//! For tests only: one database and one virtual host per test, builders.

pub mod broker;
pub mod builders;
pub mod database;
mod everything;
pub mod ports;
