//! `delay`: a token waits for a time.

use super::{Behaviour, Kind, NodeText};
use crate::catalogue::{ActionEntry, Effect};
use crate::duration;
use crate::facts::FieldPath;
use crate::interpreter::{Onward, StepError, Visit, Walk};
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use crate::workflow::compile::{Keys, Reader};
use crate::workflow::schema::definitions;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) static KIND: DelayKind = DelayKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "delay",
    group: "flow",
    description: "Waits for a duration before going on.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys {
    what: "a delay",
    known: &["for"],
    later: &["until", "at", "field", "offset", "weekdays", "timezone", "if_past"],
};

const MAX_DAYS: i64 = duration::LONGEST.num_days();

#[derive(Debug)]
pub(super) struct DelayKind;

impl Kind for DelayKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "for": { "$ref": "#/$defs/duration", "description": "How long to wait: 30s, 15m, 1h, 7d or 1h30m." },
            },
            "required": ["for"],
            "additionalProperties": false,
            "$defs": { "duration": definitions()["duration"] },
        })
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let until_other = WITH.later.iter().any(|key| section.get(key).is_some());
        let value = match section.get("for") {
            // What takes the place of `for` was refused already.
            None if until_other => return None,
            _ => reader.required(section, "for")?,
        };
        let at = section.at("for");
        let duration = reader.template(value, &at)?;
        if duration.is_literal() {
            reader.duration(value, &at)?;
        }
        Some(Arc::new(Delay { duration }))
    }
}

/// A node that waits for a duration.
#[derive(Clone, Debug)]
pub struct Delay {
    /// `for`: a duration, or a template that gives one.
    pub duration: ValueTemplate,
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
            length(&rendered).ok_or_else(|| StepError {
                code: StepCode::InvalidDuration.into(),
                message: format!(
                    "{} is not a duration: write 30s, 15m, 1h, 7d or a number of seconds, at most {MAX_DAYS} days",
                    excerpt(&rendered)
                ),
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

/// A duration as text, or a number of seconds.
fn length(rendered: &Value) -> Option<TimeDelta> {
    let length = match rendered {
        Value::String(text) => {
            let text = text.trim();
            duration::parse(text).or_else(|| text.parse().ok().and_then(seconds))
        }
        Value::Number(number) => number.as_f64().and_then(seconds),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }?;
    (length <= TimeDelta::days(MAX_DAYS)).then_some(length)
}

fn seconds(seconds: f64) -> Option<TimeDelta> {
    let millis = (seconds * 1000.0).round();
    // Beyond this the conversion below would saturate.
    (millis.abs() < 1e15).then(|| TimeDelta::milliseconds(millis as i64))
}
