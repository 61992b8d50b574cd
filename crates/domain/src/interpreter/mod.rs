//! The interpreter: a pure function from a run's state and what happened to it to its next state and what it asks for.
//!
//! Executor, dry run and simulator share it. Files: what is saved (`state.rs`), what can happen
//! (`input.rs`), what is asked for (`command.rs`), what is owed (`owed.rs`); how a run moves (`advance.rs`, `walk.rs`), how
//! its actions are done (`act.rs`), and what comes back (`answers.rs`, `wake.rs`).

mod act;
mod advance;
mod answers;
mod command;
mod input;
mod owed;
mod revive;
mod state;
mod wake;
mod walk;
mod watch;

pub use act::{NothingStored, StoredRequests};
pub use advance::{Advanced, RunInput, advance, cancel};
pub use command::{Command, Send, Step, StepOutcome};
pub use input::{InboxInput, RunEvent};
pub use owed::{Owed, OwedFor};
pub use revive::{NotRevivable, ReplayKey};
pub use state::*;
pub use walk::{MOST_BRANCHES, Onward, Visit, Walk};
pub use watch::{Unwatched, Watch};
