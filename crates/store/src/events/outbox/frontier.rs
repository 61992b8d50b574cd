//! Where a relay begins to look.
//!
//! A queue in a table dies from its head: until vacuum comes, the index begins with the entries of all events that have left,
//! and whoever reads from its beginning passes over them each time. So a relay begins at an id below which there is nothing,
//! and never will be.

/// What a look at the outbox saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The lowest id.
    pub first: i64,
    /// Transactions before this number had ended.
    pub ended_before: i64,
    /// Transactions from this number on had not begun.
    pub begun_before: i64,
}

/// An id below which no event is or will be. Ids are taken from a sequence while a transaction runs and appear when it commits,
/// so a higher one may appear before a lower one: an id that was seen becomes the frontier when every transaction that ran
/// then has ended, as far as a later look does not show that one of them left something lower.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    from: i64,
    candidate: Option<Seen>,
}

impl Frontier {
    /// The id.
    pub fn from(&self) -> i64 {
        self.from
    }

    /// Moves on by what was seen from here on.
    pub fn saw(&mut self, seen: Seen) {
        match self.candidate {
            Some(candidate) if seen.ended_before < candidate.begun_before => {}
            before => {
                // Whoever runs now began after the candidate was seen, and took higher ids.
                self.from = before.map_or(self.from, |candidate| candidate.first.min(seen.first));
                self.candidate = Some(seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn an_id_is_the_frontier_when_all_who_ran_when_it_was_seen_have_ended() {
        let mut frontier = Frontier::default();
        frontier.saw(Seen { first: 10, ended_before: 5, begun_before: 8 });
        frontier.saw(Seen { first: 20, ended_before: 7, begun_before: 9 });
        assert_eq!(frontier.from(), 0);
        frontier.saw(Seen { first: 30, ended_before: 8, begun_before: 9 });
        assert_eq!(frontier.from(), 10);
    }

    #[test]
    fn what_appears_late_below_it_keeps_it_back() {
        let mut frontier = Frontier::default();
        frontier.saw(Seen { first: 10, ended_before: 5, begun_before: 8 });
        frontier.saw(Seen { first: 4, ended_before: 8, begun_before: 8 });
        assert_eq!(frontier.from(), 4);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A transaction begins.
        Begin,
        /// One that runs takes an id.
        Take(usize),
        /// One that runs commits.
        Commit(usize),
        /// The relay looks, and takes away so many.
        Look(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Begin),
            (0usize..8).prop_map(Step::Take),
            (0usize..8).prop_map(Step::Commit),
            (0usize..6).prop_map(Step::Look),
        ]
    }

    proptest! {
        #[test]
        fn nothing_ever_appears_below_the_frontier(steps in prop::collection::vec(step(), 0..300)) {
            let mut frontier = Frontier::default();
            let mut running: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            let (mut next_transaction, mut next_id) = (1, 1);
            let mut visible: BTreeSet<i64> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Begin => {
                        running.insert(next_transaction, Vec::new());
                        next_transaction += 1;
                    }
                    Step::Take(which) => {
                        if let Some(ids) = running.values_mut().nth(which) {
                            ids.push(next_id);
                            next_id += 1;
                        }
                    }
                    Step::Commit(which) => {
                        if let Some(transaction) = running.keys().nth(which).copied() {
                            visible.extend(running.remove(&transaction).unwrap_or_default());
                        }
                    }
                    Step::Look(count) => {
                        let Some(first) = visible.range(frontier.from()..).next().copied() else { continue };
                        let ended_before = running.keys().next().copied().unwrap_or(next_transaction);
                        frontier.saw(Seen { first, ended_before, begun_before: next_transaction });
                        for id in visible.range(first..).take(count).copied().collect::<Vec<_>>() {
                            visible.remove(&id);
                        }
                    }
                }
                let lowest = visible.iter().chain(running.values().flatten()).min();
                prop_assert!(lowest.is_none_or(|lowest| frontier.from() <= *lowest), "{frontier:?} {lowest:?}");
            }
        }
    }
}
