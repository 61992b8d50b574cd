//! Events: what was received, what was refused, and what is to leave.

pub mod history;
pub mod of_contacts;
pub mod outbox;
pub mod parked;
pub mod receipts;
mod recorded;

pub(crate) use recorded::received_at;
pub use recorded::{NewEvent, by_ids, by_name, insert};
