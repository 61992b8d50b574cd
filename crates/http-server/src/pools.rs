//! Places for requests: some for callers who have proved nothing, others for those who have, each with shares.

use crate::peer::Peer;
use automation_service_kit::shares::{Full, Place, Shares};
use std::sync::Arc;

/// Whom a place is counted for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party<K> {
    /// The address that a request came from.
    Peer(Peer),
    /// What the role counts by besides, such as tenants.
    Named(K),
}

/// How many requests may be under way.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Of those who have proved nothing, and again of those who have.
    pub whole: usize,
    /// Of these, of one peer.
    pub per_peer: usize,
    /// Of these, of whatever else the role counts by.
    pub per_name: usize,
}

/// Both pools.
#[derive(Debug)]
pub struct Pools<K: Ord> {
    sizes: Sizes,
    unproven: Arc<Shares<Party<K>>>,
    proven: Arc<Shares<Party<K>>>,
}

impl<K: Ord + Clone> Pools<K> {
    /// With all places free.
    pub fn new(sizes: Sizes) -> Self {
        Self { sizes, unproven: Shares::new(sizes.whole), proven: Shares::new(sizes.whole) }
    }

    /// A place for a caller who has proved nothing so far, in the name of what it calls where that has a share.
    ///
    /// # Errors
    ///
    /// [`Full`]: whose share is taken, or that all places are.
    pub fn enter(&self, peer: Peer, called: Option<K>) -> Result<Place<Party<K>>, Full<Party<K>>> {
        let called = called.map(|called| (Party::Named(called), self.sizes.per_name));
        self.unproven.take([self.of(peer)].into_iter().chain(called).collect())
    }

    /// A place for one who has proved that this is its name.
    ///
    /// # Errors
    ///
    /// As [`Self::enter`].
    pub fn admit(&self, peer: Peer, name: K) -> Result<Place<Party<K>>, Full<Party<K>>> {
        self.proven.take(vec![self.of(peer), (Party::Named(name), self.sizes.per_name)])
    }

    fn of(&self, peer: Peer) -> (Party<K>, usize) {
        (Party::Peer(peer), self.sizes.per_peer)
    }
}
