//! `pause_workflow`: a token stands until a person lets it go on, or until a time or an event, whichever comes first.

use super::{Behaviour, Kind, NodeText, Ways, delay, length::Length};
use crate::action::ContactUse;
use crate::catalogue::{ActionEntry, Effect};
use crate::condition::Explained;
use crate::event::RecordedEvent;
use crate::facts::FieldPath;
use crate::interpreter::{Answer, Asked, Awaited, Heard, Onward, StepError, Visit, Walk, happened_at};
use crate::step_code::StepCode;
use crate::workflow::compile::{Keys, Reader};
use crate::workflow::event_filter::EventFilter;
use crate::workflow::schema::definitions;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) static KIND: PauseKind = PauseKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "pause_workflow",
    group: "flow",
    description: "Stands until a person lets it go on, or until a time or an event, whichever comes first.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys {
    what: "pause_workflow",
    known: &["for", "until", "offset", "offset_days", "at", "timezone", "event", "where"],
    later: &[],
};

/// What belongs to `until` alone.
const OF_UNTIL: [&str; 4] = ["offset", "offset_days", "at", "timezone"];

/// The way that is taken when the time came first; the plain one where it has no edge.
const TIMEOUT: &str = "timeout";

#[derive(Debug)]
pub(super) struct PauseKind;

impl Kind for PauseKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        let mut properties = Map::new();
        // A time is told as a delay tells it.
        let of_delay = delay::KIND.schema();
        for key in ["for", "until"].iter().chain(&OF_UNTIL) {
            properties.insert((*key).to_owned(), of_delay["properties"][key].clone());
        }
        let filter = EventFilter::schema();
        let both = ("event", "where");
        properties.insert(both.0.to_owned(), filter[both.0].clone());
        properties.insert(both.1.to_owned(), filter[both.1].clone());
        let only_with = |keys: &[&str]| json!(keys);
        let mut depends: Map<String, Value> =
            OF_UNTIL.iter().map(|key| ((*key).to_owned(), only_with(&["until"]))).collect();
        depends.insert("where".to_owned(), only_with(&["event"]));
        json!({
            "type": "object",
            "properties": properties,
            "dependentRequired": depends,
            "not": { "required": ["for", "until"] },
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let has = |key: &str| section.get(key).is_some();
        if has("for") && has("until") {
            let message = "a pause has \"for\" or \"until\", not both";
            reader.problem::<()>("bad_value", section.at("until"), message);
        }
        for key in OF_UNTIL.into_iter().filter(|key| has(key) && !has("until")) {
            reader.problem::<()>("misplaced_key", section.at(key), format!("{key} belongs to \"until\""));
        }
        if has("where") && !has("event") {
            let message = "where says what has to hold of an event, and there is none";
            reader.problem::<()>("misplaced_key", section.at("where"), message);
        }
        let length = Length::read(reader, section, "for")?;
        let until = if has("until") { Some(delay::Date::read(reader, section)?) } else { None };
        let event = if has("event") { Some(EventFilter::read(reader, section)?) } else { None };
        Some(Arc::new(Pause { length, until, event }))
    }
}

/// A node that stands until somebody or something lets it go on.
#[derive(Clone, Debug)]
struct Pause {
    length: Option<Length>,
    until: Option<delay::Date>,
    event: Option<EventFilter>,
}

impl Behaviour for Pause {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        let mut references: Vec<_> = self.length.iter().flat_map(Length::references).collect();
        references.extend(self.until.iter().flat_map(Behaviour::references));
        let condition = self.event.iter().filter_map(|filter| filter.condition.as_ref());
        let paths = condition.flat_map(|condition| condition.references());
        references.extend(paths.map(|path| (path, "where".to_owned())));
        references
    }

    fn contact(&self) -> ContactUse {
        match &self.event {
            Some(_) => ContactUse::Needed,
            None => self.until.as_ref().map_or(ContactUse::None, Behaviour::contact),
        }
    }

    fn ways(&self) -> Ways<'_> {
        if self.length.is_some() || self.until.is_some() { Ways::OneOr(&[TIMEOUT]) } else { Ways::One }
    }

    fn awaits(&self) -> Vec<&str> {
        self.event.iter().map(|filter| filter.event.as_str()).collect()
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        if self.event.is_some() && !walk.has_contact() {
            let message =
                "pause_workflow needs a contact whose event it waits for, and the run has none".to_owned();
            return walk.fail(visit, StepError { code: StepCode::NoContact.into(), message });
        }
        match self.begin(walk, visit) {
            Ok(awaited) if awaited.until.is_some_and(|until| until <= walk.now()) => {
                self.time_out(walk, visit, awaited.until)
            }
            Ok(awaited) => {
                let mut detail = json!({ "for": "a person" });
                if let Some(filter) = &self.event {
                    detail["event"] = filter.event.as_str().into();
                }
                walk.ask(visit, awaited, detail)
            }
            Err(error) => walk.fail(visit, error),
        }
    }

    fn hear(
        &self,
        walk: &mut Walk<'_>,
        visit: Visit<'_>,
        awaited: &mut Awaited,
        heard: Heard<'_>,
    ) -> Option<Onward> {
        match heard {
            Heard::Event(event) | Heard::Before(event) => self.hear_event(walk, visit, awaited, event),
            Heard::Answer(answer) => Some(resume(walk, visit, answer)),
            Heard::TimedOut => Some(self.time_out(walk, visit, awaited.until)),
            Heard::Change => None,
        }
    }
}

impl Pause {
    /// What the pause settles when it begins. Of events, those count that happen from then on.
    fn begin(&self, walk: &Walk<'_>, visit: Visit<'_>) -> Result<Awaited, StepError> {
        let now = walk.now();
        let until = match (&self.length, &self.until) {
            (Some(length), _) => Some(now + length.get(walk, visit)?),
            (None, Some(date)) => walk.evaluate(visit, |facts| date.ends_at(facts))?,
            (None, None) => None,
        };
        let filters = walk.evaluate(visit, |facts| {
            Ok(self.event.iter().map(|filter| filter.render(facts)).collect::<Result<Vec<_>, _>>()?)
        })?;
        let types: Vec<String> = self.event.iter().map(|filter| filter.event.clone()).collect();
        Ok(Awaited {
            since: now,
            from: now,
            until,
            look_at: None,
            looked_back: types.is_empty(),
            types,
            filters,
            asked: Some(Box::new(Asked::GoOn)),
        })
    }

    fn hear_event(
        &self,
        walk: &mut Walk<'_>,
        visit: Visit<'_>,
        awaited: &Awaited,
        recorded: &RecordedEvent,
    ) -> Option<Onward> {
        let (filter, event) = (self.event.as_ref()?, &recorded.event);
        let values = awaited.filters.first().map_or(&[][..], Vec::as_slice);
        let explained =
            walk.evaluate_over(visit, Some(recorded), |facts| Ok(filter.explain(values, event, facts)?));
        match explained {
            Err(error) => Some(walk.fail(visit, error)),
            Ok(None) => None,
            Ok(Some(Explained { comparisons, .. })) => {
                let known =
                    json!({ "id": event.id, "type": event.event_type, "time": told(happened_at(recorded)) });
                let mut output = known.clone();
                output["subject"] = event.subject.as_deref().into();
                output["data"] = event.data.clone();
                let mut detail = json!({ "event": known });
                if !comparisons.is_empty() {
                    detail["comparisons"] = json!(comparisons);
                }
                Some(walk.go_on_with(visit, json!({ "event": output }), detail))
            }
        }
    }

    /// The time came first.
    fn time_out(&self, walk: &mut Walk<'_>, visit: Visit<'_>, until: Option<DateTime<Utc>>) -> Onward {
        let detail = json!({ "case": TIMEOUT, "until": until.map(told) });
        let result = walk.result(visit);
        result.case = Some(TIMEOUT.to_owned());
        result.output = Value::Null;
        result.error = None;
        walk.complete(visit, detail);
        Onward::To(visit.node.ways.get(TIMEOUT).copied().or(visit.node.next))
    }
}

/// Somebody lets it go on.
fn resume(walk: &mut Walk<'_>, visit: Visit<'_>, answer: &Answer) -> Onward {
    let output = answer.output("resumed_at");
    walk.go_on_with(visit, output.clone(), json!({ "resumed": output }))
}

fn told(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
#[path = "pause_workflow_tests.rs"]
mod tests;
