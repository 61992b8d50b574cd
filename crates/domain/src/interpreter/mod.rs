//! The interpreter: a pure function from a run's state and one input to its next state and commands.

mod advance;
mod nodes;
mod state;

pub use advance::{Surroundings, advance};
pub use state::*;
