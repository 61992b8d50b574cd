//! `delay`: a token waits for a time.
//!
//! It waits for a length of time ([`Delay`]), until a date, or until a time of day.

mod clock;
mod date;
mod time_of_day;
mod values;

pub(super) use date::Date;
pub(crate) use values::{Moment, moment};

use super::{Behaviour, Kind, NodeText};
use crate::catalogue::{ActionEntry, Effect};
use crate::duration;
use crate::facts::FieldPath;
use crate::interpreter::{Onward, StepError, Visit, Walk};
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use crate::wall_clock::Weekdays;
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::schema::definitions;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) static KIND: DelayKind = DelayKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "delay",
    group: "flow",
    description: "Waits for a duration, until a date, or until a time of day before going on.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys {
    what: "a delay",
    known: &["for", "until", "offset", "offset_days", "at", "on", "timezone", "when_past"],
    later: &[],
};

/// The forms of a delay: by the option that makes it one, the others that it has.
const FORMS: [(&str, &[&str]); 3] = [
    ("for", &[]),
    ("until", &["offset", "offset_days", "at", "timezone", "when_past"]),
    ("at", &["on", "timezone"]),
];

#[derive(Debug)]
pub(super) struct DelayKind;

impl Kind for DelayKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        let or_template = |schema: Value, description: &str| json!({ "description": description, "anyOf": [schema, { "$ref": "#/$defs/template" }] });
        let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
        let days = duration::LONGEST.num_days();
        let forms = FORMS.map(|(form, options)| {
            let others = WITH.known.iter().filter(|key| **key != form && !options.contains(key));
            let others: Map<String, Value> = others.map(|key| ((*key).to_owned(), json!(false))).collect();
            json!({ "properties": others, "required": [form] })
        });
        json!({
            "type": "object",
            "properties": {
                "for": or_template(json!({ "$ref": "#/$defs/duration" }), "How long to wait: 30s, 15m, 1h, 7d or 1h30m. A day is 24 hours."),
                "until": or_template(
                    text("^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}.*)?$"),
                    "The date or time to wait for: 2027-01-31, 2027-01-31T08:00, or with its distance from UTC 2027-01-31T08:00:00+01:00.",
                ),
                "offset": or_template(
                    text("^[+-]?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"),
                    "Elapsed time that is added to the date: 3h, or -2d for two times 24 hours before it.",
                ),
                "offset_days": or_template(
                    json!({ "type": "integer", "minimum": -days, "maximum": days }),
                    "Days of the calendar that are added to the date; the time of day stays.",
                ),
                "at": or_template(
                    text("^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"),
                    "The time of day: on the date, or the next one without a date.",
                ),
                "on": {
                    "type": "array",
                    "minItems": 1,
                    "items": { "enum": Weekdays::WORDS },
                    "description": "The days on which at counts; every day without it.",
                },
                "timezone": or_template(json!({ "type": "string", "minLength": 1 }), "IANA name of the zone whose clock counts; the contact's without one, else the tenant's."),
                "when_past": {
                    "enum": date::WhenPast::ALL.map(|(word, _)| word),
                    "default": "go_on",
                    "description": "What to do when the date is past, or there is none: go on at once, go the way called past, or end the run.",
                },
            },
            "oneOf": forms,
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        // Some options do, and the schema says which.
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let form = FORMS.into_iter().find(|(form, _)| section.get(form).is_some());
        let Some((form, options)) = form else {
            return reader.problem("missing_key", section.at, "a delay needs \"for\", \"until\" or \"at\"");
        };
        let others = WITH.known.iter().filter(|key| **key != form && !options.contains(key));
        for other in others.filter(|key| section.get(key).is_some()) {
            let message = format!("{other} does not belong to a delay with \"{form}\"");
            reader.problem::<()>("bad_value", section.at(other), message);
        }
        match form {
            "for" => Some(Arc::new(Delay::read(reader, section)?)),
            "until" => Some(Arc::new(date::Date::read(reader, section)?)),
            _ => Some(Arc::new(time_of_day::TimeOfDay::read(reader, section)?)),
        }
    }
}

/// The time has come already.
fn go_on(
    walk: &mut Walk<'_>,
    visit: Visit<'_>,
    until: DateTime<Utc>,
    mut detail: Map<String, Value>,
) -> Onward {
    detail.insert("until".to_owned(), until.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
    walk.complete(visit, Value::Object(detail));
    Onward::To(visit.node.next)
}

/// A node that waits for a duration.
#[derive(Clone, Debug)]
pub struct Delay {
    /// `for`: a duration, or a template that gives one.
    pub duration: ValueTemplate,
}

impl Delay {
    fn read(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Self> {
        let (value, at) = (section.get("for")?, section.at("for"));
        let duration = reader.template(value, &at)?;
        if duration.is_literal() {
            reader.duration(value, &at)?;
        }
        Some(Self { duration })
    }
}

impl Behaviour for Delay {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        self.duration.references().into_iter().map(|path| (path, String::new())).collect()
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let error = |error: RenderError| StepError { code: error.code, message: error.message };
        let rendered = walk.evaluate(visit, |facts| self.duration.render(facts).map_err(error));
        let length = rendered.and_then(|rendered| {
            duration::of_value(&rendered).ok_or_else(|| StepError {
                code: StepCode::InvalidDuration.into(),
                message: format!("{} is not {}", excerpt(&rendered), duration::WANTED),
            })
        });
        match length {
            Ok(length) if length <= TimeDelta::zero() => {
                walk.complete(visit, Value::Null);
                Onward::To(visit.node.next)
            }
            Ok(length) => walk.wait_until(visit, walk.now() + length),
            Err(error) => walk.fail(visit, error),
        }
    }
}

#[cfg(test)]
mod tests;
