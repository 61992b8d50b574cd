//! Why a use case did not do what it was asked for.

use crate::Refusal;
use automation_broker::management;
use automation_broker::publisher::PublishError;

/// What a caller tells apart: a refusal is about what was asked for, the rest about servers and keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be done, and nothing was.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database, or a rule that it keeps.
    #[error(transparent)]
    Store(#[from] automation_store::Error),
    /// The broker did not take a message.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The broker's management API.
    #[error(transparent)]
    Management(#[from] management::Error),
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Vault(#[from] automation_vault::Error),
}

impl Error {
    /// Stable code, listed in `docs/errors.md`; `None` for trouble with servers, the schema or keys, which answers nothing that
    /// was asked for.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => Some(refusal.code()),
            Self::Store(error) => of_store(error),
            Self::Publish(_) | Self::Management(_) | Self::Vault(_) => None,
        }
    }
}

fn of_store(error: &automation_store::Error) -> Option<&'static str> {
    use automation_store::Error::{
        Audit, EntryTooLarge, OverQuota, Refused, Transient, Unprepared, Unreadable,
    };
    match error {
        OverQuota(_) => Some("quota_exceeded"),
        EntryTooLarge { .. } => Some("entry_too_large"),
        Audit(_) => Some("audit_broken"),
        Transient(_) | Unprepared(_) | Refused(_) | Unreadable { .. } => None,
    }
}
