//! The only crate with SQL: a folder for each subject, a file for each group of tables, one statement per table per batch.
//!
//! Functions take `&mut PgConnection`; the caller owns the transaction, which [`Db::tx`] opens. Batches go in and out
//! as arrays. Statements are written for key look-ups over small arrays: [`Db`] switches off the join methods that
//! would read whole tables once they are small enough to tempt the planner.

pub mod access;
pub mod audit;
pub mod blame;
mod db;
pub mod dead_letters;
mod error;
pub mod events;
mod migrate;
pub mod records;
pub mod runs;
pub mod upkeep;
pub mod workflows;

pub use db::{Db, DbRole, PoolSize, Scope};
pub use error::Error;
pub use migrate::{MigrationStatus, migrate, migration_status, migrations_fingerprint};
pub use sqlx::PgConnection;
