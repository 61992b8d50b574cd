//! Workflows, their versions, and what of them is looked up by itself.

pub mod catalogue;
pub mod drafts;
pub mod history;
pub mod lifecycle;
pub mod schedules;
mod versions;
pub mod watched;

pub use versions::{
    Applied, Origin, PinnedVersion, Publication, Standing, StoredWorkflow, apply, by_key, check_entry_bytes,
    keep_paused, list, publish, published_at, release_held, set_state, standing, take_turns, versions,
};
