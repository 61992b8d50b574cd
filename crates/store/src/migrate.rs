//! Migrations, embedded in the binary.

use crate::role::{OneOf, Operator, Owner};
use crate::{Db, Error};
use sqlx::migrate::Migrator;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// How far a database is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MigrationStatus {
    /// Migrations applied.
    pub applied: usize,
    /// Migrations this binary knows.
    pub known: usize,
}

/// Applies every migration that is missing, as the owner; returns how many it applied.
///
/// # Errors
///
/// [`anyhow::Error`] with the migration's name when one fails or was edited after it was applied.
pub async fn migrate(db: &Db<Owner>) -> anyhow::Result<usize> {
    let before = migration_status(db).await?.applied;
    MIGRATOR.run(db.pool()).await?;
    Ok(MIGRATOR.iter().count().saturating_sub(before))
}

/// Compares the database with this binary.
///
/// # Errors
///
/// When the database cannot be asked.
pub async fn migration_status(db: &Db<impl OneOf<(Operator, Owner)>>) -> Result<MigrationStatus, Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(db.pool()).await?;
    let applied: i64 = if exists {
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success").fetch_one(db.pool()).await?
    } else {
        0
    };
    Ok(MigrationStatus { applied: usize::try_from(applied).unwrap_or(0), known: MIGRATOR.iter().count() })
}

/// A short word that changes whenever a migration does: what a migrated template database is named by.
pub fn migrations_fingerprint() -> String {
    MIGRATOR
        .iter()
        .flat_map(|migration| migration.checksum.iter())
        // FNV-1a: the checksums are cryptographic already.
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
        .to_be_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
