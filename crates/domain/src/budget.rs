//! What evaluating what people wrote may cost: one budget for everything that is evaluated together.
//!
//! All conditions, templates and regular expressions of one event and workflow draw on one [`Budget`], and so do all
//! those of one step. Each charges before it works: a text is charged before it is allocated, two values before they are
//! compared. So no sum of parts, each within its own limit, comes to more than the budget.
//!
//! Many steps follow each other in one walk, and many workflows look at one event. Each begins with a whole budget
//! ([`Budget::begin_next`]), and all of them together come to a few budgets at most: when those are spent
//! ([`Budget::is_worn_out`]) a walk stops before its next step and an event starts no more runs.
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
    log: Cell<usize>,
    refused: Cell<Option<Exceeded>>,
    before: Cell<Spent>,
    allowed: Allowed,
}

/// What was charged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// Steps.
    pub steps: u64,
    /// Bytes made.
    pub bytes: u64,
}

impl std::ops::Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { steps: self.steps + other.steps, bytes: self.bytes + other.bytes }
    }
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
    /// Events of one type that happened to the contact within the window of an aggregate.
    #[error("asks for a figure over more than {allowed} events")]
    Events {
        /// Most that are looked at.
        allowed: usize,
    },
    /// What happened to the contact, where nobody gathered it.
    #[error("asks what happened to the contact, and that is not known here")]
    Unknown,
}

/// Bytes that are looked at or copied for one step.
const BYTES_PER_STEP: usize = 64;

/// Whole budgets of steps after which a walk stops and an event starts no more runs.
pub const BUDGETS_TOGETHER: u64 = 4;

/// Bytes of comparisons that one step may log; what comes after is left out, and the log says how many those were.
pub const LOG_BYTES: usize = 64 * 1024;

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
            log: Cell::new(LOG_BYTES),
            refused: Cell::new(None),
            before: Cell::new(Spent::default()),
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
        left.map(drop).ok_or_else(|| self.refuse(Exceeded::Steps { allowed: self.allowed.steps }))
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
        left.ok_or_else(|| self.refuse(Exceeded::Bytes { allowed: self.allowed.bytes }))?;
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
            return Err(self.refuse(Exceeded::Depth { allowed: MAX_DEPTH }).into());
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
        if depth > allowed { Err(self.refuse(Exceeded::Depth { allowed })) } else { Ok(()) }
    }

    /// Whether the step may log so many bytes of comparisons more, which are then charged.
    ///
    /// # Errors
    ///
    /// As [`Budget::make`].
    pub fn log(&self, bytes: usize) -> Result<bool, Exceeded> {
        let left = self.log.get().checked_sub(bytes);
        self.log.set(left.unwrap_or(0));
        if left.is_some() {
            self.make(bytes)?;
        }
        Ok(left.is_some())
    }

    /// What was refused since the budget was whole, if anything was.
    pub fn refused(&self) -> Option<Exceeded> {
        self.refused.get()
    }

    /// Makes the budget whole for the next step, or the next workflow that looks at an event.
    pub fn begin_next(&self) {
        self.before.set(self.spent_together());
        self.steps.set(self.allowed.steps);
        self.bytes.set(self.allowed.bytes);
        self.log.set(LOG_BYTES);
        self.refused.set(None);
    }

    /// Whether all that began with a whole budget has come to [`BUDGETS_TOGETHER`] in steps, or to one in bytes: what
    /// is made in a walk is kept until it is stored.
    pub fn is_worn_out(&self) -> bool {
        let spent = self.spent_together();
        spent.steps >= self.allowed.steps.saturating_mul(BUDGETS_TOGETHER)
            || spent.bytes >= self.allowed.bytes
    }

    /// What was charged in all.
    pub fn spent_together(&self) -> Spent {
        self.before.get() + Spent { steps: self.spent_steps(), bytes: self.spent_bytes() }
    }

    #[cold]
    pub(crate) fn refuse(&self, exceeded: Exceeded) -> Exceeded {
        self.refused.set(Some(exceeded));
        exceeded
    }

    /// Steps charged since the budget was whole.
    pub fn spent_steps(&self) -> u64 {
        self.allowed.steps - self.steps.get()
    }

    /// Bytes charged since the budget was whole.
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
    fn each_begins_with_a_whole_budget_until_they_are_worn_out_together() {
        let budget = of(100, 1_000);
        for step in 0..BUDGETS_TOGETHER {
            assert!(!budget.is_worn_out(), "{step}");
            budget.begin_next();
            assert_eq!((budget.spend(100), budget.refused()), (Ok(()), None));
        }
        assert!(budget.is_worn_out());
        assert_eq!(budget.spent_together(), Spent { steps: 400, bytes: 0 });
        let exceeded = Exceeded::Steps { allowed: 100 };
        assert_eq!((budget.spend(1), budget.refused()), (Err(exceeded), Some(exceeded)));
    }

    #[test]
    fn bytes_wear_out_sooner_for_they_are_kept() {
        let budget = of(1_000, 1_000);
        budget.make(600).unwrap();
        budget.begin_next();
        assert!(!budget.is_worn_out());
        budget.make(400).unwrap();
        assert!(budget.is_worn_out());
    }

    #[test]
    fn a_step_logs_so_much_and_leaves_the_rest_out() {
        let budget = Budget::default();
        assert_eq!(budget.log(LOG_BYTES), Ok(true));
        assert_eq!(budget.log(1), Ok(false));
        assert_eq!(budget.spent_bytes(), LOG_BYTES as u64);
        budget.begin_next();
        assert_eq!(budget.log(1), Ok(true));
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
