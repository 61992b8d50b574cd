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
