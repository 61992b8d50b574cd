//! Runs, and what each of them keeps and is owed.

pub mod answers;
pub mod approvals;
pub mod cancel;
pub mod checkpoints;
mod claims;
pub mod effects;
pub mod enrolments;
pub mod goals;
pub mod hold;
pub mod inbox;
mod insert;
pub mod lists;
pub(crate) mod moves;
pub mod stats;
pub mod supersede;
pub mod waits;
pub mod wakeups;

pub use claims::{Claim, ClaimedRun, Places, claim, claim_here, hand_back, renew, write_claims};
pub(crate) use claims::{Place, columns, decode_state, priority};
pub use insert::{NewRun, insert};
