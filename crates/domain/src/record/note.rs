//! Notes on contacts.

use crate::id::{ContactId, RecordId};
use serde::{Deserialize, Serialize};

/// A note on a contact.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Derived from run and step.
    pub note_id: RecordId,
    /// Whom it is about.
    pub contact_id: ContactId,
    /// The text.
    pub text: String,
}

impl Note {
    /// Bytes that it adds to what is kept.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }
}
