//! RabbitMQ, on the server side: the topology, confirmed publishing, consuming and the management API.
//!
//! No other crate knows lapin. What travels is described in `docs/topology.md`.

pub mod asyncapi;
mod clock;
pub mod consumer;
pub mod depths;
pub mod management;
pub mod nudge;
pub mod permissions;
pub mod publisher;
pub mod retry;
pub mod topology;

mod connection;

pub use connection::vhost_of;

/// The virtual host that everything lives in, unless a deployment names another.
pub const VHOST: &str = "automation";
