//! The catalogue: every trigger, action, operator and permission by its public key.

use crate::priority::Priority;

/// An event type that workflows can listen for.
#[derive(Debug)]
pub struct TriggerEntry {
    /// Public key, also the event's type.
    pub key: &'static str,
    /// Its group: `contact`, `form`, …
    pub group: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// The queue its runs go to unless the workflow says otherwise.
    pub priority: Priority,
    /// Payload fields that conditions are most often written on.
    pub data: &'static [&'static str],
}

/// Something a workflow can do.
#[derive(Debug)]
pub struct ActionEntry {
    /// Public key.
    pub key: &'static str,
    /// Its group.
    pub group: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// What kind of effect it has.
    pub effect: Effect,
    /// Event types it publishes.
    pub emits: &'static [&'static str],
}

/// Kinds of effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Writes our own records in the checkpoint's transaction.
    Record,
    /// Calls the outside world.
    External,
    /// Publishes a command for the module that owns the screen.
    Directive,
    /// Handled by the interpreter itself.
    Flow,
}

/// All triggers, in the catalogue's order.
pub fn triggers() -> &'static [TriggerEntry] {
    todo!()
}

/// All actions, in the catalogue's order.
pub fn actions() -> &'static [ActionEntry] {
    todo!()
}

/// The priority of an event type; medium for one that the catalogue does not know.
pub fn priority_of(event_type: &str) -> Priority {
    triggers().iter().find(|entry| entry.key == event_type).map_or(Priority::Medium, |entry| entry.priority)
}
