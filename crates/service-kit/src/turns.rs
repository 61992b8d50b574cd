//! Turns at something scarce, for those who wait: a party with many waits for its own, and not before others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many turns at once, and for each party fewer.
#[derive(Debug)]
pub struct Turns<P: Ord> {
    whole: Arc<Semaphore>,
    share: usize,
    parties: Mutex<BTreeMap<P, Party>>,
}

/// The turns of a party, and how many of it wait for one or have one.
#[derive(Debug)]
struct Party {
    turns: Arc<Semaphore>,
    here: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn<P: Ord> {
    // Given back in this order, before the party may be forgotten.
    _of_all: OwnedSemaphorePermit,
    _of_party: OwnedSemaphorePermit,
    _here: Here<P>,
}

/// Somebody who waits or has a turn; forgotten parties take no memory.
#[derive(Debug)]
struct Here<P: Ord> {
    turns: Arc<Turns<P>>,
    party: P,
}

impl<P: Ord + Clone> Turns<P> {
    /// `whole` turns at once, of which one party has `share` at most.
    pub fn new(whole: usize, share: usize) -> Arc<Self> {
        Arc::new(Self { whole: Arc::new(Semaphore::new(whole)), share, parties: Mutex::default() })
    }

    /// Waits for a turn. A future that is dropped gives up its place.
    pub async fn wait(self: &Arc<Self>, party: P) -> Turn<P> {
        let (here, own) = self.enter(party);
        let closed = "these semaphores are never closed";
        let of_party = own.acquire_owned().await.expect(closed);
        let of_all = self.whole.clone().acquire_owned().await.expect(closed);
        Turn { _of_all: of_all, _of_party: of_party, _here: here }
    }

    fn enter(self: &Arc<Self>, party: P) -> (Here<P>, Arc<Semaphore>) {
        let mut parties = self.parties();
        let entry = parties
            .entry(party.clone())
            .or_insert_with(|| Party { turns: Arc::new(Semaphore::new(self.share)), here: 0 });
        entry.here += 1;
        let own = entry.turns.clone();
        drop(parties);
        (Here { turns: self.clone(), party }, own)
    }
}

impl<P: Ord> Turns<P> {
    fn parties(&self) -> MutexGuard<'_, BTreeMap<P, Party>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Ord> Drop for Here<P> {
    fn drop(&mut self) {
        let mut parties = self.turns.parties();
        if let Some(party) = parties.get_mut(&self.party) {
            party.here = party.here.saturating_sub(1);
            if party.here == 0 {
                parties.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::pin::pin;

    #[tokio::test]
    async fn a_party_that_comes_first_with_many_does_not_hold_up_another() {
        let turns = Turns::new(3, 2);
        let held = [turns.wait("many").await, turns.wait("many").await];
        let mut waiting = pin!(turns.wait("many"));
        assert!(poll!(waiting.as_mut()).is_pending(), "its share is two");
        let other = turns.wait("other").await;
        let mut third = pin!(turns.wait("third"));
        assert!(poll!(third.as_mut()).is_pending(), "all three are had");
        drop(other);
        assert!(poll!(third.as_mut()).is_ready());
        drop(held);
        assert!(poll!(waiting.as_mut()).is_ready());
    }

    #[tokio::test]
    async fn whoever_gave_up_is_forgotten() {
        let turns = Turns::new(1, 1);
        let held = turns.wait("a").await;
        {
            let mut gives_up = pin!(turns.wait("b"));
            assert!(poll!(gives_up.as_mut()).is_pending());
            assert_eq!(turns.parties().len(), 2);
        }
        assert_eq!(turns.parties().len(), 1);
        drop(held);
        assert!(turns.parties().is_empty());
        assert_eq!(turns.whole.available_permits(), 1);
    }
}
