//! Who is told what a walk evaluates.

use super::StepError;
use std::fmt::Debug;

/// Is told of each node before anything that its author wrote is evaluated, and may refuse it.
///
/// A walk has no other effect on the world. It is for whoever has to know what was in hand should the process die or hang.
pub trait Watch: Debug {
    /// A node is about to be evaluated.
    ///
    /// # Errors
    ///
    /// Why it is not evaluated: its step fails with this, and is not tried again.
    fn take(&self, node: &str) -> Result<(), StepError>;

    /// What was taken has been evaluated.
    fn put_down(&self);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn take(&self, _node: &str) -> Result<(), StepError> {
        Ok(())
    }

    fn put_down(&self) {}
}
