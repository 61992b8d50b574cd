//! Workflows, their versions, and what of them is looked up by itself.

pub mod catalogue;
pub mod schedules;
mod versions;

pub use versions::{
    Applied, PinnedVersion, StoredWorkflow, apply, by_key, check_entry_bytes, keep_paused, list, paused,
    published_at, release_held, set_state, versions,
};
