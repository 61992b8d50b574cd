//! Workflows played in memory and in virtual time: what would happen, and why. Nothing is sent, and nothing is stored.
//!
//! Ingest's decisions (what an event says of its contact, triggers, entry rules, who hears of it) and the executor's (the walk of
//! a run, its needs, its tries) are those of `domain`, by the same functions; here are the clock, the records and the queue that
//! the servers are elsewhere. Requests are recorded and answered as the test says, read by what reads real answers.
//!
//! Files: what is played with (`setting.rs`), the clock and what comes next (`simulation.rs`), an event that is taken in
//! (`intake.rs`), a run that is walked (`walking.rs`), what is told of it all (`story.rs`, `effect.rs`). Tests of workflows, as
//! files: `test_file.rs` reads one, `case.rs` plays its cases, `judge.rs` holds what came against what was expected.

mod answers;
mod case;
mod counting;
mod effect;
mod goals;
mod intake;
mod judge;
mod run;
mod setting;
mod simulation;
mod story;
pub mod test_file;
mod walking;

pub use answers::{Answer, DEFAULT as DEFAULT_ANSWER, Failure};
pub use case::{Played, play};
pub use effect::{Done, Effect};
pub use judge::Mismatch;
pub use run::{Ended, Run};
pub use setting::{Happening, Setting};
pub use simulation::{MOST_RUNS, MOST_STEPS, MOST_TOLD_BYTES, Simulation, TooMuch};
pub use story::{Told, Verdict, What};
