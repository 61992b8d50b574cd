//! What starts a run.

use super::reader::{Keys, Reader, Section};
use super::schedules;
use crate::catalogue;
use crate::condition::Condition;
use crate::event::is_type;
use crate::schedule::{EVENT_PREFIX, Schedule};
use serde_json::Value;

const TRIGGER: Keys = Keys { what: "a trigger", known: &["id", "event", "schedule", "where"], later: &[] };

/// A trigger before its edge is known.
pub(super) struct DraftTrigger {
    pub(super) at: String,
    pub(super) id: Option<String>,
    pub(super) event: Option<String>,
    pub(super) schedule: Option<Schedule>,
    pub(super) condition: Option<Condition>,
}

pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Vec<DraftTrigger> {
    let Some(items) = reader.list(document, "triggers") else {
        return Vec::new();
    };
    if items.is_empty() {
        reader.problem::<()>("no_triggers", "triggers", "a workflow needs at least one trigger");
    }
    let most = reader.limits.triggers;
    if items.len() > most {
        let message = format!("a workflow may have at most {most} triggers; this has {}", items.len());
        reader.problem::<()>("too_many_triggers", "triggers", message);
    }
    let mut triggers = Vec::new();
    for (index, item) in items.iter().take(most).enumerate() {
        let at = format!("triggers[{index}]");
        let mut draft =
            DraftTrigger { at: at.clone(), id: None, event: None, schedule: None, condition: None };
        if let Some(section) = reader.section(item, &at, &TRIGGER) {
            draft.id = reader.name(section, "id").map(str::to_owned);
            match section.get("schedule") {
                Some(value) => {
                    draft.schedule = schedule(reader, section, value);
                    draft.event = draft.schedule.as_ref().map(|schedule| schedule.event_type().to_owned());
                }
                None => draft.event = event(reader, section),
            }
            draft.condition = reader.condition(section, "where");
        }
        triggers.push(draft);
    }
    triggers
}

fn schedule(reader: &mut Reader<'_>, section: Section<'_>, value: &Value) -> Option<Schedule> {
    if section.get("event").is_some() {
        let message = "a trigger listens for an event or has a schedule, not both";
        reader.problem::<()>("bad_value", section.at("event"), message);
    }
    schedules::read(reader, value, &section.at("schedule"))
}

fn event(reader: &mut Reader<'_>, section: Section<'_>) -> Option<String> {
    if section.get("event").is_none() {
        return reader.problem("missing_key", section.at, "a trigger needs \"event\" or \"schedule\"");
    }
    let event = reader.text(section, "event")?;
    let at = section.at("event");
    if event.starts_with(EVENT_PREFIX) {
        let message = "slots start the trigger whose schedule they belong to: write \"schedule\" instead";
        return reader.problem("bad_value", at, message);
    }
    // What ingest would park can start nothing.
    if !is_type(event) {
        let message =
            "an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes";
        return reader.problem("bad_name", at, message);
    }
    if let Some(message) = catalogue::nearly_known(event) {
        reader.warn("unknown_event", at, message);
    }
    Some(event.to_owned())
}
