//! Applying a change to a contact.

use super::{ContactChange, EmittedEvent};
use crate::contact::Contact;

pub(super) fn apply(change: &ContactChange, contact: &mut Contact) -> Option<EmittedEvent> {
    let _ = (change, contact);
    todo!()
}
