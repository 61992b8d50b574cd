//! Archiving dead letters, and the way back.

use super::DeadLetterStatus;
use crate::{Auditor, Error, Page, Session};
use automation_domain::id::DeadLetterId;
use automation_store::dead_letters;
use serde::Serialize;
use std::collections::BTreeSet;

/// Dead letters changed in one transaction.
const AT_ONCE: usize = 500;

/// What came of a dead letter.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handled {
    /// The dead letter.
    pub id: DeadLetterId,
    /// The state that it is in now, or `unchanged`.
    pub result: &'static str,
    /// Whether it was changed.
    #[serde(skip)]
    pub changed: bool,
}

/// Puts open dead letters into the archive.
///
/// # Errors
///
/// [`Error::Store`]: then some may be there already.
pub async fn discard(
    session: &Session,
    auditor: &Auditor,
    ids: &[DeadLetterId],
    note: Option<&str>,
) -> Result<Page<Handled>, Error> {
    let mut changed = BTreeSet::new();
    for chunk in ids.chunks(AT_ONCE) {
        let discard = async |connection: &mut _| {
            dead_letters::discard(connection, session.tenant, chunk, auditor, note).await
        };
        changed.extend(session.change_noted(discard).await?.changed);
    }
    Ok(told(ids, &changed, DeadLetterStatus::Discarded))
}

/// Takes dead letters out of the archive.
///
/// # Errors
///
/// [`Error::Store`]: then some may be open already.
pub async fn restore(
    session: &Session,
    auditor: &Auditor,
    ids: &[DeadLetterId],
    note: Option<&str>,
) -> Result<Page<Handled>, Error> {
    let mut changed = BTreeSet::new();
    for chunk in ids.chunks(AT_ONCE) {
        let restore = async |connection: &mut _| {
            dead_letters::restore(connection, session.tenant, chunk, auditor, note).await
        };
        changed.extend(session.change_noted(restore).await?.changed);
    }
    Ok(told(ids, &changed, DeadLetterStatus::Open))
}

fn told(ids: &[DeadLetterId], changed: &BTreeSet<DeadLetterId>, to: DeadLetterStatus) -> Page<Handled> {
    let row = |id: &DeadLetterId| {
        let changed = changed.contains(id);
        Handled { id: *id, result: if changed { to.as_str() } else { "unchanged" }, changed }
    };
    Page::whole(ids.iter().map(row).collect())
}
