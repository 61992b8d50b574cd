//! Operators, types of conditions, permissions and groups.

use super::Entry;

/// Comparison operators, in the catalogue's order.
pub(super) static OPERATORS: &[Entry] = &[
    entry("equals", "The field is the value."),
    entry("not_equals", "The field is not the value, or is missing."),
    entry("greater_than", "The field is more than the value, or later."),
    entry("less_than", "The field is less than the value, or earlier."),
    entry("greater_or_equal", "The field is the value or more."),
    entry("less_or_equal", "The field is the value or less."),
    entry("contains", "The text contains the value, or the list has it as a member."),
    entry("not_contains", "The text or list does not contain the value, or is missing."),
    entry("starts_with", "The text begins with the value."),
    entry("ends_with", "The text ends with the value."),
    entry("regex_match", "The text matches the regular expression somewhere."),
    entry("is_empty", "The field is missing, null, or an empty text, list or object."),
    entry("is_not_empty", "The field holds something."),
];

/// What joins conditions: `all`, `any` and `not` in workflow files.
pub(super) static LOGICAL: &[Entry] = &[
    entry("AND", "Every one of the conditions holds; written as all."),
    entry("OR", "At least one of the conditions holds; written as any."),
    entry("NOT", "The condition does not hold; written as not."),
];

pub(super) static CONDITION_TYPES: &[Entry] = &[
    entry("contact", "A field, tag, segment or score of the contact."),
    entry("behavior", "Page visits, clicks and videos, counted over a time."),
    entry("crm", "The stage or amount of a deal, or the status of a task."),
    entry("subscription", "Plan, status and end of trial of a subscription."),
    entry(
        "temporal",
        "Time of day, date, day of the week, and dates before and after now, in the contact's time zone.",
    ),
    entry("aggregate", "Count, sum, average, minimum or maximum of events over a time."),
];

pub(super) static PERMISSIONS: &[Entry] = &[
    entry("workflow.create", "May make workflows."),
    entry("workflow.read", "May see workflows and their versions."),
    entry("workflow.update", "May change and publish workflows."),
    entry("workflow.delete", "May delete workflows."),
    entry("workflow.execute", "May start, cancel and replay runs."),
    entry("workflow.pause", "May pause and resume workflows and runs."),
    entry("workflow.view_runs", "May see runs, their steps and dead letters."),
    entry("workflow.view_analytics", "May see figures about workflows."),
];

pub(super) static TRIGGER_GROUPS: &[Entry] = &[
    entry("contact", "What happens to contacts."),
    entry("form", "What visitors do with forms."),
    entry("email", "What becomes of mails."),
    entry("funnel", "How contacts move through funnels."),
    entry("popup", "What visitors do with popups."),
    entry("behavior", "What visitors do on pages."),
    entry("crm", "What happens to deals and tasks."),
    entry("subscription", "What happens to subscriptions."),
    entry("ecommerce", "Carts, checkouts and orders."),
    entry("trading_room", "What happens in trading rooms."),
    entry("system", "Webhooks, schedules, approvals and the tenant's own events."),
];

pub(super) static ACTION_GROUPS: &[Entry] = &[
    entry("contact", "Change contacts."),
    entry("email", "Send mails and manage sequences."),
    entry("crm", "Work with deals, tasks, notes and owners."),
    entry("notification", "Tell people and other systems."),
    entry("funnel", "Move contacts through funnels."),
    entry("popup", "Show and hide popups."),
    entry("subscription", "Manage subscriptions."),
    entry("integration", "Call other systems."),
    entry("flow", "Steer the run itself."),
    entry("ai", "Let statistics or a language model help."),
];

const fn entry(key: &'static str, description: &'static str) -> Entry {
    Entry { key, description }
}
