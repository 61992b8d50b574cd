//! What every role that answers HTTP needs, and nothing of what it answers: a server with limits, problems, the reading of
//! bodies, rates and shares.
//!
//! A role makes a [`axum::Router`] whose handlers answer with [`problem::Problem`] what goes wrong, and hands it to
//! [`server::Server`]. Handlers find the caller's [`peer::Peer`] among the extensions of a request. A body is read with
//! [`body::read`], after whatever can be checked without it. TLS is a proxy's business.

pub mod authorization;
pub mod body;
pub mod cache;
pub mod coding;
pub mod form;
mod guard;
pub mod peer;
pub mod pools;
pub mod problem;
pub mod query;
pub mod rate;
pub mod server;
