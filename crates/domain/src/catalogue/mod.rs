//! The catalogue: every trigger, action, operator and permission by its public key.

use crate::priority::Priority;
use crate::problem::nearest_hint;

pub mod payload;

mod planned;
mod triggers;
mod words;

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

/// A key of the catalogue that needs no more than a sentence: an operator, a permission, a group.
#[derive(Debug)]
pub struct Entry {
    /// Public key.
    pub key: &'static str,
    /// One sentence for people.
    pub description: &'static str,
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

impl Effect {
    /// Its public key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::External => "external",
            Self::Directive => "directive",
            Self::Flow => "flow",
        }
    }
}

/// The event that tells that somebody is asked to approve something.
pub const APPROVAL_REQUESTED: &str = "approval.requested";

/// The event that reminds of that.
pub const APPROVAL_REMINDER: &str = "approval.reminder";

/// All triggers, in the catalogue's order.
pub fn triggers() -> &'static [TriggerEntry] {
    triggers::TRIGGERS
}

/// The actions that nothing handles yet, in the catalogue's order. The others have their entry where they are handled.
pub fn planned_actions() -> &'static [ActionEntry] {
    planned::ACTIONS
}

/// The comparison operators of conditions.
pub fn operators() -> &'static [Entry] {
    words::OPERATORS
}

/// What joins conditions: AND, OR and NOT, written `all`, `any` and `not`.
pub fn logical_operators() -> &'static [Entry] {
    words::LOGICAL
}

/// What conditions can be about.
pub fn condition_types() -> &'static [Entry] {
    words::CONDITION_TYPES
}

/// What a member of a tenant may be allowed to do.
pub fn permissions() -> &'static [Entry] {
    words::PERMISSIONS
}

/// The groups of triggers, in the catalogue's order.
pub fn trigger_groups() -> &'static [Entry] {
    words::TRIGGER_GROUPS
}

/// The groups of actions, in the catalogue's order.
pub fn action_groups() -> &'static [Entry] {
    words::ACTION_GROUPS
}

/// The trigger with this key.
pub fn trigger(key: &str) -> Option<&'static TriggerEntry> {
    triggers().iter().find(|entry| entry.key == key)
}

/// For a type that is in no catalogue and nearly one that is, a sentence that says so: it may be a typo, and it may be meant.
pub fn nearly_known(event_type: &str) -> Option<String> {
    if trigger(event_type).is_some() || event_type.ends_with('*') {
        return None;
    }
    let hint = nearest_hint(event_type, triggers().iter().map(|entry| entry.key));
    (!hint.is_empty()).then(|| {
        format!("\"{event_type}\" is not in the catalogue, so it is taken for an event of your own{hint}")
    })
}

/// The priority of an event type; medium for one that the catalogue does not know.
pub fn priority_of(event_type: &str) -> Priority {
    trigger(event_type).map_or(Priority::Medium, |entry| entry.priority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_key_stands_once() {
        let keys = |entries: &[Entry]| entries.iter().map(|entry| entry.key).collect::<Vec<_>>();
        let lists = [
            triggers().iter().map(|entry| entry.key).collect(),
            planned_actions().iter().map(|entry| entry.key).collect(),
            keys(operators()),
            keys(permissions()),
            keys(condition_types()),
        ];
        assert_eq!(lists.each_ref().map(Vec::len), [54, 38, 13, 8, 6]);
        for list in lists {
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
        }
    }

    #[test]
    fn every_group_is_used_and_every_used_group_is_listed() {
        let used: BTreeSet<_> = triggers().iter().map(|entry| entry.group).collect();
        assert_eq!(used, trigger_groups().iter().map(|group| group.key).collect());
        // What steers the run is all there.
        let used: BTreeSet<_> = planned_actions().iter().map(|entry| entry.group).chain(["flow"]).collect();
        assert_eq!(used, action_groups().iter().map(|group| group.key).collect());
    }

    #[test]
    fn what_actions_emit_can_be_listened_for() {
        for event in planned_actions().iter().flat_map(|entry| entry.emits) {
            assert!(trigger(event).is_some(), "{event}");
        }
    }

    #[test]
    fn descriptions_are_sentences() {
        let descriptions = triggers()
            .iter()
            .map(|entry| entry.description)
            .chain(planned_actions().iter().map(|entry| entry.description))
            .chain(
                operators()
                    .iter()
                    .chain(permissions())
                    .chain(condition_types())
                    .map(|entry| entry.description),
            );
        for description in descriptions {
            assert!(
                description.ends_with('.') && description.starts_with(char::is_uppercase),
                "{description}"
            );
        }
    }

    #[test]
    fn a_type_that_may_be_a_typo_is_told() {
        assert!(nearly_known("form.submited").unwrap().ends_with("(did you mean \"form.submitted\"?)"));
        for fine in ["form.submitted", "form.*", "*", "com.example.thing"] {
            assert_eq!(nearly_known(fine), None, "{fine}");
        }
    }

    #[test]
    fn unknown_events_are_of_medium_priority() {
        assert_eq!(priority_of("order.created"), Priority::High);
        assert_eq!(priority_of("com.example.thing"), Priority::Medium);
    }
}
