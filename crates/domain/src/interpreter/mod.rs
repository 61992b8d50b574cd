//! The interpreter: a pure function from a run's state and what happened to it to its next state and what it asks for.
//!
//! Executor, dry run and simulator share it. Files: what is saved (`state.rs`), what can happen
//! (`input.rs`), what is asked for (`command.rs`), what is owed (`owed.rs`), what others bring (`awaited.rs`), what people are
//! asked (`asked.rs`), what is to be known first (`need.rs`), what ends it early (`exit.rs`, `goal.rs`); how a run moves
//! (`advance.rs`, `walk.rs`), how its actions are done (`act.rs`), how branches part (`fork.rs`, `each.rs`) and meet (`join.rs`),
//! and what comes back (`came_back.rs`, `answers.rs`, `wake.rs`).

mod act;
mod advance;
mod answers;
mod asked;
mod awaited;
mod came_back;
mod command;
mod each;
mod exit;
mod fork;
mod goal;
mod input;
mod join;
mod need;
mod owed;
mod revive;
mod state;
mod wake;
mod walk;
mod watch;

pub use act::{NothingStored, StoredRequests};
pub use advance::{Advanced, RunInput, advance, cancel};
pub use asked::{Answer, Asked, Open, Verdict};
pub use awaited::{Awaited, CONTACT_CHANGES, Heard, NothingRecorded, RecordedEvents, happened_at};
pub use came_back::{Asker, received, unknown};
pub use command::{Command, Send, Step, StepOutcome};
pub use each::{BODY, Each, OnItemError};
pub use fork::MOST_BRANCHES;
pub use goal::reach_goal;
pub use input::{InboxInput, Reached, RunEvent};
use join::Place;
pub use join::{JOIN_AT, Join, JoinRule};
pub use need::Need;
pub use owed::{Owed, OwedFor};
pub use revive::{NotRevivable, ReplayKey};
pub use state::*;
pub use walk::{Onward, Visit, Walk};
pub use watch::{Unwatched, Watch};
