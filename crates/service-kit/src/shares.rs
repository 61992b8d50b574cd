//! Places that are shared: so many in all, and for each party fewer, so that none has them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for parties `P`, such as peers or tenants. Who finds none is refused and comes again; [`crate::turns::Turns`] are
/// for those who wait.
#[derive(Debug)]
pub struct Shares<P: Ord> {
    whole: usize,
    taken: Mutex<Taken<P>>,
}

#[derive(Debug)]
struct Taken<P> {
    all: usize,
    by_party: BTreeMap<P, usize>,
    is_closed: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full<P> {
    /// All are taken, or there are none any more.
    Whole,
    /// This party has its share.
    Share(P),
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place<P: Ord> {
    shares: Arc<Shares<P>>,
    parties: Vec<P>,
}

impl<P: Ord + Clone> Shares<P> {
    /// So many places in all.
    pub fn new(whole: usize) -> Arc<Self> {
        let taken = Taken { all: 0, by_party: BTreeMap::new(), is_closed: false };
        Arc::new(Self { whole, taken: Mutex::new(taken) })
    }

    /// Takes a place in the name of each of these parties, which may have so many at once.
    ///
    /// # Errors
    ///
    /// [`Full`]: the first party that has its share, before all places are looked at, so that who has too many is told so.
    pub fn take(self: &Arc<Self>, parties: Vec<(P, usize)>) -> Result<Place<P>, Full<P>> {
        let mut taken = self.taken();
        for (party, share) in &parties {
            if taken.by_party.get(party).is_some_and(|has| has >= share) {
                return Err(Full::Share(party.clone()));
            }
        }
        if taken.is_closed || taken.all >= self.whole {
            return Err(Full::Whole);
        }
        taken.all += 1;
        let parties: Vec<P> = parties.into_iter().map(|(party, _)| party).collect();
        for party in &parties {
            *taken.by_party.entry(party.clone()).or_default() += 1;
        }
        drop(taken);
        Ok(Place { shares: self.clone(), parties })
    }

    /// From now on there are none: the process drains.
    pub fn close(&self) {
        self.taken().is_closed = true;
    }
}

impl<P: Ord> Shares<P> {
    fn taken(&self) -> MutexGuard<'_, Taken<P>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Ord> Drop for Place<P> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all = taken.all.saturating_sub(1);
        for party in &self.parties {
            if let Some(has) = taken.by_party.get_mut(party) {
                *has = has.saturating_sub(1);
                if *has == 0 {
                    taken.by_party.remove(party);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_with_its_share_leaves_the_rest_to_others() {
        let shares = Shares::new(3);
        let (a, b) = (shares.take(vec![("slow", 2)]).unwrap(), shares.take(vec![("slow", 2)]).unwrap());
        assert_eq!(shares.take(vec![("slow", 2)]).err(), Some(Full::Share("slow")));
        let other = shares.take(vec![("fast", 2)]).unwrap();
        assert_eq!(shares.take(vec![("third", 2)]).err(), Some(Full::Whole));
        drop((a, other));
        let again = shares.take(vec![("slow", 2)]).unwrap();
        assert_eq!(shares.take(vec![("slow", 2)]).err(), Some(Full::Share("slow")));
        drop((b, again));
        assert!(shares.taken().by_party.is_empty(), "who has nothing is forgotten");
        shares.close();
        assert_eq!(shares.take(vec![("fast", 2)]).err(), Some(Full::Whole));
    }

    #[test]
    fn a_place_counts_for_each_of_its_parties_or_for_none() {
        let shares = Shares::new(10);
        let both = shares.take(vec![("tenant", 2), ("host", 1)]).unwrap();
        assert_eq!(shares.take(vec![("tenant", 2), ("host", 1)]).err(), Some(Full::Share("host")));
        let alone = shares.take(vec![("tenant", 2)]).unwrap();
        assert_eq!(shares.take(vec![("tenant", 2)]).err(), Some(Full::Share("tenant")));
        drop((both, alone));
        assert_eq!(shares.taken().all, 0);
    }
}
