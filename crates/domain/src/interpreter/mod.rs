//! The interpreter: a pure function from a run's state and one input to its next state and commands.

mod advance;
mod answers;
mod revive;
mod state;
mod wake;
mod walk;
mod watch;

pub use advance::{Surroundings, advance};
pub use revive::{NotRevivable, ReplayKey};
pub use state::*;
pub use walk::{Onward, Visit, Walk};
pub use watch::{Unwatched, Watch};
