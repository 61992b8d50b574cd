//! Events of a type for which something holds: what runs wait for, and what ends them.

use super::compile::{Reader, Section};
use crate::budget::Exceeded;
use crate::catalogue;
use crate::condition::{Condition, Explained};
use crate::event::{Event, is_type};
use crate::facts::Facts;
use chrono::TimeDelta;
use serde_json::{Value, json};

/// Longest that anybody looks back for events.
pub const LONGEST_LOOK_BACK: TimeDelta = TimeDelta::days(30);

/// Events of a type for which something holds.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// Their type.
    pub event: String,
    /// What has to hold of them; in it, `event.…` is the event that is looked at.
    pub condition: Option<Condition>,
}

impl EventFilter {
    /// Reads `event` and `where` of an object. Problems stay with the reader.
    pub(crate) fn read(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Self> {
        reader.required(section, "event");
        let (event, condition) = (event(reader, section), reader.condition(section, "where"));
        let is_read = section.get("where").is_some() == condition.is_some();
        Some(Self { event: event.filter(|_| is_read)?, condition })
    }

    /// The properties of the JSON Schema that [`EventFilter::read`] reads.
    pub(crate) fn schema() -> Value {
        json!({
            "event": { "type": "string", "description": "Type of an event of the run's contact." },
            "where": {
                "$ref": "#/$defs/condition",
                "description": "event.… is the event that is looked at; templates are worked out beforehand, over the event that \
                    started the run.",
            },
        })
    }

    /// What its templates come to.
    pub(crate) fn render(&self, facts: &Facts<'_>) -> Result<Vec<Value>, Exceeded> {
        self.condition.as_ref().map_or(Ok(Vec::new()), |condition| condition.render(facts))
    }

    /// Why an event is one of these; `None` when it is not. `values` is what the templates came to, and the facts have the event.
    pub(crate) fn explain(
        &self,
        values: &[Value],
        event: &Event,
        facts: &Facts<'_>,
    ) -> Result<Option<Explained>, Exceeded> {
        if self.event != event.event_type {
            return Ok(None);
        }
        let Some(condition) = &self.condition else { return Ok(Some(Explained::default())) };
        let condition = condition.with_values(values);
        if condition.holds(facts)? { condition.explain(facts).map(Some) } else { Ok(None) }
    }
}

/// How far `look_back` of a section looks back, if it is there and can be read; `who` looks, for people: `a wait`.
pub(crate) fn look_back(reader: &mut Reader<'_>, section: Section<'_>, who: &str) -> Option<TimeDelta> {
    let (value, at) = (section.get("look_back")?, section.at("look_back"));
    let length = reader.duration(value, &at)?;
    if length > LONGEST_LOOK_BACK {
        let message = format!("{who} looks back at most {} days", LONGEST_LOOK_BACK.num_days());
        return reader.problem("bad_value", at, message);
    }
    Some(length)
}

fn event(reader: &mut Reader<'_>, section: Section<'_>) -> Option<String> {
    let at = section.at("event");
    let event = section.get("event")?.as_str().filter(|event| is_type(event));
    let Some(event) = event else {
        let message =
            "an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes";
        return reader.problem("bad_name", at, message);
    };
    if let Some(message) = catalogue::nearly_known(event) {
        reader.warn("unknown_event", at, message);
    }
    Some(event.to_owned())
}
