//! What evaluating what people wrote may cost: one budget for everything that is evaluated together.
//!
//! All conditions, templates and regular expressions of one event and workflow draw on one [`Budget`], and so do all
//! those of one step. Each charges before it works: a text is charged before it is allocated, two values before they are
//! compared. So no sum of parts, each within its own limit, comes to more than the budget.
//!
//! There is no clock in it. A step of the budget is work of a bounded time, so a bound on steps is one on time.

use crate::limits::Limits;
use std::cell::Cell;

/// What is left to spend; shared by reference, since everything evaluated together spends from it.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    depth: Cell<u32>,
    allowed: Allowed,
}

#[derive(Clone, Copy, Debug)]
struct Allowed {
    steps: u64,
    bytes: u64,
}

/// What was asked for is more than what is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Exceeded {
    /// Steps: a part of an expression evaluated, 64 bytes looked at, a value compared.
    #[error("takes more than {allowed} steps")]
    Steps {
        /// The whole budget.
        allowed: u64,
    },
    /// Bytes that were made: texts, lists, output, what is logged of it.
    #[error("makes more than {allowed} bytes")]
    Bytes {
        /// The whole budget.
        allowed: u64,
    },
    /// Values or expressions inside each other.
    #[error("is nested more than {allowed} deep")]
    Depth {
        /// The deepest allowed.
        allowed: u32,
    },
}

/// Bytes that are looked at or copied for one step.
const BYTES_PER_STEP: usize = 64;

/// Deepest nesting of expressions and of values that are made; JSON from outside has a limit of its own below it.
pub const MAX_DEPTH: u32 = 128;

impl Budget {
    /// The whole budget for one evaluation.
    pub fn new(limits: &Limits) -> Self {
        let allowed = Allowed { steps: limits.evaluation_steps, bytes: limits.evaluation_bytes };
        Self {
            steps: Cell::new(allowed.steps),
            bytes: Cell::new(allowed.bytes),
            depth: Cell::new(0),
            allowed,
        }
    }

    /// Charges for work.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Steps`]; the budget is empty from then on.
    pub fn spend(&self, steps: u64) -> Result<(), Exceeded> {
        let left = self.steps.get().checked_sub(steps);
        self.steps.set(left.unwrap_or(0));
        left.map(drop).ok_or(Exceeded::Steps { allowed: self.allowed.steps })
    }

    /// Charges for looking at `bytes`: comparing, searching, walking through.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Steps`]; the budget is empty from then on.
    pub fn look_at(&self, bytes: usize) -> Result<(), Exceeded> {
        self.spend(1 + (bytes / BYTES_PER_STEP) as u64)
    }

    /// Charges for making something of `bytes`, before it is made.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Bytes`] or [`Exceeded::Steps`]; the budget is empty from then on.
    pub fn make(&self, bytes: usize) -> Result<(), Exceeded> {
        let left = self.bytes.get().checked_sub(bytes as u64);
        self.bytes.set(left.unwrap_or(0));
        left.ok_or(Exceeded::Bytes { allowed: self.allowed.bytes })?;
        self.look_at(bytes)
    }

    /// Runs `inner` one level deeper.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Depth`], and whatever `inner` gives.
    pub fn deeper<T, E: From<Exceeded>>(&self, inner: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err(Exceeded::Depth { allowed: MAX_DEPTH }.into());
        }
        self.depth.set(depth + 1);
        let result = inner();
        self.depth.set(depth);
        result
    }

    /// Checks the depth of a value that is made, or of one that is looked through.
    ///
    /// # Errors
    ///
    /// [`Exceeded::Depth`] beyond `allowed`.
    pub fn nest(&self, depth: u32, allowed: u32) -> Result<(), Exceeded> {
        if depth > allowed { Err(Exceeded::Depth { allowed }) } else { Ok(()) }
    }

    /// Steps charged so far.
    pub fn spent_steps(&self) -> u64 {
        self.allowed.steps - self.steps.get()
    }

    /// Bytes charged so far.
    pub fn spent_bytes(&self) -> u64 {
        self.allowed.bytes - self.bytes.get()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(steps: u64, bytes: u64) -> Budget {
        Budget::new(&Limits { evaluation_steps: steps, evaluation_bytes: bytes, ..Limits::default() })
    }

    #[test]
    fn what_is_spent_together_never_exceeds_the_whole() {
        let budget = of(10, 1_000);
        assert_eq!(budget.spend(6), Ok(()));
        assert_eq!(budget.spend(4), Ok(()));
        assert_eq!(budget.spend(1), Err(Exceeded::Steps { allowed: 10 }));
        assert_eq!(budget.spent_steps(), 10);
    }

    #[test]
    fn after_a_refusal_nothing_is_left() {
        let budget = of(100, 100);
        assert_eq!(budget.make(101), Err(Exceeded::Bytes { allowed: 100 }));
        assert_eq!(budget.make(1), Err(Exceeded::Bytes { allowed: 100 }));
        assert_eq!(budget.spend(101), Err(Exceeded::Steps { allowed: 100 }));
        assert_eq!(budget.spend(1), Err(Exceeded::Steps { allowed: 100 }));
    }

    #[test]
    fn bytes_that_are_made_are_looked_at_too() {
        let budget = of(1_000, 6_400);
        budget.make(6_400).unwrap();
        assert_eq!((budget.spent_steps(), budget.spent_bytes()), (101, 6_400));
    }

    #[test]
    fn depth_is_given_back_on_the_way_out() {
        fn down(budget: &Budget, levels: u32) -> Result<(), Exceeded> {
            budget.deeper(|| if levels > 1 { down(budget, levels - 1) } else { Ok(()) })
        }
        let budget = Budget::default();
        assert_eq!(down(&budget, MAX_DEPTH), Ok(()));
        assert_eq!(down(&budget, MAX_DEPTH + 1), Err(Exceeded::Depth { allowed: MAX_DEPTH }));
        assert_eq!(down(&budget, MAX_DEPTH), Ok(()));
    }
}
