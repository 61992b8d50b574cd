//! Who is next, when several priorities wait.

/// The weights of high, medium and low.
pub const PRIORITY_WEIGHTS: [u32; 3] = [12, 4, 1];

/// Deals out turns by weight: in each round every input gets up to its weight, the heavier first.
///
/// Whoever has something waiting gets a turn in every round, so none is starved; turns that nobody wants are not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turns {
    weights: Vec<u32>,
    left: Vec<u32>,
}

impl Turns {
    /// Turns for inputs of these weights; a weight is at least 1.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Vec<_> = weights.into_iter().map(|weight| weight.max(1)).collect();
        Self { left: weights.clone(), weights }
    }

    /// The input that is next among those that are not `empty`; `None` when all are.
    pub fn next(&mut self, mut is_empty: impl FnMut(usize) -> bool) -> Option<usize> {
        let waiting: Vec<_> = (0..self.weights.len()).filter(|input| !is_empty(*input)).collect();
        let first = *waiting.first()?;
        let next = waiting.into_iter().find(|input| self.left[*input] > 0).unwrap_or_else(|| {
            self.left.clone_from(&self.weights);
            first
        });
        self.left[next] -= 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deal(turns: &mut Turns, count: usize, waiting: [bool; 3]) -> [usize; 3] {
        let mut dealt = [0; 3];
        for _ in 0..count {
            dealt[turns.next(|input| !waiting[input]).unwrap()] += 1;
        }
        dealt
    }

    #[test]
    fn full_inputs_share_by_weight() {
        let mut turns = Turns::new(PRIORITY_WEIGHTS);
        assert_eq!(deal(&mut turns, 170, [true; 3]), [120, 40, 10]);
    }

    #[test]
    fn batches_smaller_than_a_round_still_reach_low() {
        let mut turns = Turns::new(PRIORITY_WEIGHTS);
        let lows: usize = (0..17).map(|_| deal(&mut turns, 2, [true; 3])[2]).sum();
        assert_eq!(lows, 2);
    }

    #[test]
    fn who_waits_alone_gets_every_turn() {
        let mut turns = Turns::new(PRIORITY_WEIGHTS);
        assert_eq!(deal(&mut turns, 100, [false, false, true]), [0, 0, 100]);
        assert_eq!(turns.next(|_| true), None);
    }

    proptest! {
        #[test]
        fn whoever_waits_is_served_within_a_round(history in prop::collection::vec(any::<[bool; 3]>(), 0..60)) {
            let mut turns = Turns::new(PRIORITY_WEIGHTS);
            for waiting in history {
                let _ = turns.next(|input| !waiting[input]);
            }
            let dealt = deal(&mut turns, 2 * 17, [true; 3]);
            prop_assert!(dealt.iter().all(|count| *count > 0));
        }
    }
}
