//! What a walk has to know beside its run.

use super::{CONTACT_CHANGES, RunState};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// Something that a walk has to know beside its run. Whoever keeps runs gathers it for a batch of them, by one query for each
/// kind.
///
/// What nodes read is known of a [`Workflow`](crate::workflow::Workflow) before any walk. What shows only on the way, a token
/// waits for: its state says so, and the run is walked again at once with what it needs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// The event that started the run.
    Event,
    /// The run's contact.
    Contact,
    /// Events of the contact that were recorded before tokens of the run began to wait for such.
    Before {
        /// From when on.
        from: DateTime<Utc>,
        /// Of which types.
        types: BTreeSet<String>,
    },
}

impl RunState {
    /// What tokens need before they go on.
    pub fn needs(&self) -> Option<Need> {
        let looking: Vec<_> = self.awaiting().filter(|awaited| !awaited.looked_back).collect();
        let from = looking.iter().map(|awaited| awaited.from).min()?;
        let types = looking.iter().flat_map(|awaited| &awaited.types);
        let types = types.filter(|one| *one != CONTACT_CHANGES).cloned().collect();
        Some(Need::Before { from, types })
    }
}
