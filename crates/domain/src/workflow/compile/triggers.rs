//! What starts a run.

use super::reader::{Keys, Reader, Section};
use crate::catalogue;
use crate::condition::Condition;
use crate::event::is_type;
use crate::problem::nearest_hint;

const TRIGGER: Keys = Keys { what: "a trigger", known: &["id", "event", "where"], later: &["schedule"] };

/// A trigger before its edge is known.
pub(super) struct DraftTrigger {
    pub(super) at: String,
    pub(super) id: Option<String>,
    pub(super) event: Option<String>,
    pub(super) condition: Option<Condition>,
}

pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Vec<DraftTrigger> {
    let Some(items) = reader.list(document, "triggers") else {
        return Vec::new();
    };
    if items.is_empty() {
        reader.problem::<()>("no_triggers", "triggers", "a workflow needs at least one trigger");
    }
    let mut triggers = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("triggers[{index}]");
        let mut draft = DraftTrigger { at: at.clone(), id: None, event: None, condition: None };
        if let Some(section) = reader.section(item, &at, &TRIGGER) {
            draft.id = reader.name(section, "id").map(str::to_owned);
            draft.event = event(reader, section);
            draft.condition = reader.condition(section, "where");
        }
        triggers.push(draft);
    }
    triggers
}

fn event(reader: &mut Reader<'_>, section: Section<'_>) -> Option<String> {
    if section.get("schedule").is_some() && section.get("event").is_none() {
        return None;
    }
    let event = reader.text(section, "event")?;
    let at = section.at("event");
    if event.starts_with("schedule.") {
        return reader.problem("not_available", at, "schedules are not available yet");
    }
    // What ingest would park can start nothing.
    if !is_type(event) {
        let message =
            "an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes";
        return reader.problem("bad_name", at, message);
    }
    if catalogue::trigger(event).is_none() {
        let hint = nearest_hint(event, catalogue::triggers().iter().map(|entry| entry.key));
        if !hint.is_empty() {
            let message =
                format!("\"{event}\" is not in the catalogue, so it is taken for an event of your own{hint}");
            reader.warn("unknown_event", at, message);
        }
    }
    Some(event.to_owned())
}
