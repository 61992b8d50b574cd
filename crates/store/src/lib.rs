//! The only crate with SQL: a folder for each subject, a file for each group of tables, one statement per table per batch.
//!
//! Functions take `&mut Conn<R>`, a connection whose role `R` is part of its type ([`role`]); the caller owns the
//! transaction, which [`Db::tx`] opens. Batches go in and out as arrays. Statements of workers are written for key look-ups
//! over small arrays: the settings of their role switch off the join methods that would read whole tables.

pub mod access;
pub mod audit;
pub mod blame;
mod db;
pub mod dead_letters;
mod error;
pub mod events;
mod migrate;
pub mod notices;
pub mod records;
pub mod role;
pub mod runs;
pub mod upkeep;
pub mod workflows;

pub use db::{Conn, Db, PoolSize, Scope};
pub use error::Error;
pub use migrate::{MigrationStatus, migrate, migration_status, migrations_fingerprint};
