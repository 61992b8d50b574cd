//! What people do with the engine: a use case for each, whoever asks for it.
//!
//! A use case takes a database, for a change who makes it ([`Auditor`]), and what is asked for. It owns its transactions,
//! writes the audit entry into the one that changes something, and wakes runs after the commit. What it gives is, as JSON, what
//! programs get; what it refuses has a stable code ([`Error::code`]). Who calls it reads arguments and shows results, nothing
//! else.
//!
//! Reads go through transactions that can change nothing, so a use case without an [`Auditor`] leaves everything as it is;
//! wrapping secrets anew ([`credentials::rekey`], [`hooks::rekey`]) is the exception, and changes nothing that a secret says.

pub mod api_keys;
pub mod approvals;
pub mod audit;
pub mod contacts;
mod counting;
pub mod credentials;
pub mod dead_letters;
pub mod doctor;
mod error;
pub mod events;
mod expiry;
pub mod grants;
pub mod hooks;
pub mod notices;
mod pace;
mod page;
pub mod parked_events;
pub mod quotas;
pub mod records;
mod refusal;
mod rekeyed;
pub mod retention;
pub mod runs;
pub mod schedules;
mod session;
mod shown_once;
pub mod tenants;
mod time;
mod transaction;
pub mod workflows;

pub use automation_domain::entry::EntryCondition;
pub use automation_store::Db;
pub use automation_store::audit::Auditor;
pub use automation_store::role::Role;
pub use error::Error;
pub use expiry::Expiry;
pub use pace::{Bulk, Gone, Progress};
pub use page::Page;
pub use refusal::{Kind, Refusal};
pub use rekeyed::{OfTenant, Rekeyed};
pub use session::Session;
pub use shown_once::ShownOnce;
pub use time::time;
