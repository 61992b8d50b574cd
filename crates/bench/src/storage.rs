//! What the database writes and keeps: bytes of its log, and of its tables with their indexes.

use serde::Serialize;
use sqlx::PgConnection;

/// Bytes so far. The log is the server's: whoever else writes on it counts too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage {
    wal: i64,
    tables: i64,
}

/// Bytes between two moments, per run or event.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StorageEach {
    /// Of the write-ahead log.
    pub(crate) wal_bytes: f64,
    /// Of all tables and indexes, with the room that dead rows take.
    pub(crate) table_bytes: f64,
}

impl Storage {
    /// Asks the database of `connection`.
    pub(crate) async fn read(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let (wal, tables) = sqlx::query_as(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8,
                    (SELECT sum(pg_total_relation_size(c.oid))::int8 FROM pg_class c
                      WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace)",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self { wal, tables })
    }

    /// What each of `count` things took since `before`.
    pub(crate) fn each_since(self, before: Self, count: u64) -> StorageEach {
        let each = |bytes: i64| bytes as f64 / count.max(1) as f64;
        StorageEach { wal_bytes: each(self.wal - before.wal), table_bytes: each(self.tables - before.tables) }
    }

    /// Bytes of the log since `before`.
    pub(crate) fn wal_since(self, before: Self) -> i64 {
        self.wal - before.wal
    }
}
