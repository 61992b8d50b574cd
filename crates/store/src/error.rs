//! What can go wrong with the database, by what a caller does about it.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another try of the whole transaction may succeed: deadlock, serialization, lock or statement time-out, lost
    /// connection, exhausted pool.
    #[error("database is busy or unreachable: {0}")]
    Transient(#[source] sqlx::Error),
    /// The database is not as it should be: the login, a grant, the schema, a read-only standby. The same transaction
    /// succeeds once somebody has mended that; what it was to write is not at fault.
    #[error("database is not ready for this: {0}")]
    Unprepared(#[source] sqlx::Error),
    /// This statement will not succeed as it is: a value or a constraint.
    #[error("database refused: {0}")]
    Refused(#[source] sqlx::Error),
    /// The audit log is not as it was written, or a key to check it with is missing.
    #[error("the audit log cannot be gone on with [audit_broken]: {0}")]
    Audit(#[from] automation_domain::audit::Broken),
    /// The tenant keeps more than its quota of these tables, which grow by what people set up.
    #[error("the tenant keeps more than its quota of {} [quota_exceeded]", .0.join(", "))]
    OverQuota(Vec<String>),
    /// What decides about a tenant's events would take more memory than it may.
    #[error(
        "with this workflow, triggers and entry rules of the tenant's workflows take {bytes} bytes of memory; \
         {most_bytes} at most [entry_too_large]"
    )]
    EntryTooLarge {
        /// What they would take.
        bytes: usize,
        /// What they may take, `AUTOMATION_CACHE_BYTES`.
        most_bytes: usize,
    },
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
    /// Whether the same transaction may succeed later as it is. Only when not is what it was to write at fault.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Unprepared(_))
    }

    /// The database's own code (SQLSTATE), where it gave one.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Transient(error) | Self::Unprepared(error) | Self::Refused(error) => {
                error.as_database_error()?.code().map(|code| code.into_owned())
            }
            Self::Unreadable { .. } | Self::Audit(_) | Self::OverQuota(_) | Self::EntryTooLarge { .. } => {
                None
            }
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match blame(&error) {
            Blame::Busy => Self::Transient(error),
            Blame::Unprepared => Self::Unprepared(error),
            Blame::Refused => Self::Refused(error),
        }
    }
}

enum Blame {
    Busy,
    Unprepared,
    Refused,
}

/// Only what a value can cause is held against the value. What is not known is the environment's fault: to try again
/// too long loses nothing, to give up on sound data does.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum may grow")]
fn blame(error: &sqlx::Error) -> Blame {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let is = |classes: &[&str]| classes.iter().any(|class| code.starts_with(class));
            // 22 data exception, 23 constraint, 54 program limit (an index entry, a row too large).
            if is(&["22", "23", "54"]) {
                Blame::Refused
            // 08 connection, 25P03 idle in transaction time-out, 40 rollback (deadlock, serialization), 53 resources,
            // 55P03 lock time-out, 57 operator intervention (shutdown, cancelled statement), 58 system error.
            } else if is(&["08", "25P03", "40", "53", "55P03", "57", "58"]) {
                Blame::Busy
            } else {
                Blame::Unprepared
            }
        }
        sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Configuration(_)
        | sqlx::Error::InvalidArgument(_) => Blame::Refused,
        _ => Blame::Busy,
    }
}
