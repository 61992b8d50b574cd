//! The only crate with SQL: one file per group of tables, one statement per table per batch.
//!
//! Functions take `&mut PgConnection`; the caller owns the transaction, which [`Db::tx`] opens. Batches go in and out
//! as arrays. Statements are written for key look-ups over small arrays: [`Db`] switches off the join methods that
//! would read whole tables once they are small enough to tempt the planner.

pub mod api_keys;
pub mod audit;
pub mod catalogue;
pub mod checkpoints;
pub mod contacts;
pub mod credentials;
mod db;
pub mod dead_letters;
pub mod effects;
pub mod enrolments;
mod error;
pub mod events;
pub mod hooks;
pub mod lag;
mod migrate;
pub mod outbox;
pub mod parked;
pub mod partitions;
pub mod receipts;
pub mod record_lists;
pub mod records;
pub mod run_cancel;
pub mod run_lists;
pub mod run_stats;
pub mod runs;
pub mod schedules;
pub mod suspects;
pub mod suspended_parts;
pub mod tenants;
pub mod usage;
pub mod wakeups;
pub mod workflows;

pub use db::{Db, DbRole, PoolSize, Scope};
pub use error::Error;
pub use migrate::{MigrationStatus, migrate, migration_status, migrations_fingerprint};
pub use sqlx::PgConnection;
