//! What can go wrong with the database, by what a caller does about it.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another try of the whole transaction may succeed: deadlock, serialization, lock or statement time-out, lost
    /// connection, exhausted pool.
    #[error("database is busy or unreachable: {0}")]
    Transient(#[source] sqlx::Error),
    /// This statement will not succeed as it is: a constraint, a value, a missing grant.
    #[error("database refused: {0}")]
    Refused(#[source] sqlx::Error),
    /// A stored row cannot be read back.
    #[error("unreadable row in {table}.{column} for {id}: {reason}")]
    Unreadable {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Key of the row.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Whether another try of the whole transaction may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) { Self::Transient(error) } else { Self::Refused(error) }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's enum may grow; what is unknown is not tried again"
)]
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        // 08 connection, 40 rollback (deadlock, serialization), 53 resources, 55P03 lock time-out, 57 operator
        // intervention (shutdown, cancelled statement), 58 system error, 25P03 idle in transaction time-out.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                || code == "55P03"
                || code == "25P03"
        }),
        _ => false,
    }
}
