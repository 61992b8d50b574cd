//! What a workflow is for: an event of the contact that counts as its success, also after the run has ended.

use super::compile::{Keys, Reader, Section};
use super::event_filter::EventFilter;
use crate::budget::Exceeded;
use crate::condition::Condition;
use crate::facts::Facts;
use crate::limits::Limits;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest window of a goal.
pub const LONGEST_WINDOW: TimeDelta = TimeDelta::days(90);

const GOAL: Keys = Keys { what: "a goal", known: &["event", "where", "within", "ends_run"], later: &[] };

/// Roots that goals cannot read: they are asked apart from the run, also when it has ended.
const OF_STEPS: [&str; 4] = ["vars", "steps", "item", "workflow"];

/// What a workflow is for.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The event that counts.
    pub filter: EventFilter,
    /// How long after the event that started the run it may happen.
    pub within: TimeDelta,
    /// Whether it ends the run.
    pub ends_run: bool,
    /// Under which name its type is watched for goals, beside the type itself.
    watched_as: String,
    /// The condition as it is written.
    condition: Value,
}

/// What the goal of one run looks for: its condition, with what the templates came to when the run began.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunGoal {
    /// The condition as it is written; null without one.
    #[serde(rename = "where", default, skip_serializing_if = "Value::is_null")]
    condition: Value,
    /// What its templates came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<Value>,
    /// What the run is unique by, where the condition reads that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
}

/// Under which name a type is watched for goals, beside the type itself.
pub fn watched_as(event_type: &str) -> String {
    format!("goal/{event_type}")
}

impl Goal {
    /// Reads `goal` of a document. Problems stay with the reader.
    pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Option<Self> {
        let section = reader.section(document.get("goal")?, "goal", &GOAL)?;
        let filter = EventFilter::read(reader, section);
        let at = section.at("within");
        let within = reader.required(section, "within").and_then(|value| reader.duration(value, &at));
        let ends_run = reader.flag(section, "ends_run").unwrap_or(true);
        if within.is_some_and(|within| within <= TimeDelta::zero() || within > LONGEST_WINDOW) {
            let message = format!("must be longer than 0s, and at most {} days", LONGEST_WINDOW.num_days());
            return reader.problem("bad_value", at, message);
        }
        let filter = filter?;
        if filter.condition.iter().flat_map(Condition::aggregates).next().is_some() {
            let message = "a goal counts nothing: of the past it knows the event at hand".to_owned();
            return reader.problem("bad_value", section.at("where"), message);
        }
        for path in filter.condition.iter().flat_map(Condition::references) {
            let is_version = path.segments().first().is_some_and(|root| root == "run")
                && path.segments().get(1).is_none_or(|field| field != "key" && field != "id");
            if OF_STEPS.contains(&path.root()) || is_version {
                let message = format!(
                    "\"{}\" does not exist here: a goal counts also when its run has ended; of the run it may read run.id and run.key",
                    path.as_str()
                );
                return reader.problem("unknown_field", section.at("where"), message);
            }
        }
        Some(Self {
            watched_as: watched_as(&filter.event),
            condition: section.get("where").cloned().unwrap_or_default(),
            filter,
            within: within?,
            ends_run,
        })
    }

    /// Its JSON Schema.
    pub(super) fn schema() -> Value {
        let mut properties = EventFilter::schema();
        properties["within"] = json!({
            "$ref": "#/$defs/duration",
            "description": "How long after the event that started the run it may happen, at most 90d.",
        });
        properties["ends_run"] = json!({
            "type": "boolean",
            "default": true,
            "description": "Whether it ends the run, if that is open; else it only counts.",
        });
        json!({
            "type": "object",
            "description": "What the workflow is for: an event that counts once for each run.",
            "properties": properties,
            "required": ["event", "within"],
            "additionalProperties": false,
        })
    }

    /// Whether working out what it looks for takes the contact.
    pub fn reads_contact(&self) -> bool {
        self.filter.condition.as_ref().is_some_and(|condition| condition.reads("contact"))
    }

    /// Under which names its type is watched.
    pub(super) fn watched(&self) -> [&str; 2] {
        [&self.filter.event, &self.watched_as]
    }

    /// What it looks for in a run that begins; the facts have the run. What cannot be worked out is nothing.
    pub fn of_run(&self, facts: &Facts<'_>) -> RunGoal {
        let values = self.filter.render(facts).unwrap_or_default();
        let reads_run = self.filter.condition.as_ref().is_some_and(|condition| condition.reads("run"));
        let run_key = facts.run.filter(|_| reads_run).map(|run| run.run_key.to_owned());
        RunGoal { condition: self.condition.clone(), values, run_key }
    }

    /// Until when an event counts for a run whose event happened then; one that happened at that instant counts.
    pub fn until(&self, began_at: DateTime<Utc>) -> DateTime<Utc> {
        began_at.checked_add_signed(self.within).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// From when until when events count for a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// When the event happened that started it: what counts happened after it.
    pub began_at: DateTime<Utc>,
    /// The last instant that counts.
    pub until: DateTime<Utc>,
}

impl Window {
    /// Whether what happened then counts.
    pub fn has(&self, at: DateTime<Utc>) -> bool {
        self.began_at < at && at <= self.until
    }
}

impl RunGoal {
    /// Whether deciding takes the contact.
    pub fn reads_contact(&self, limits: &Limits) -> bool {
        self.condition(limits).is_some_and(|condition| condition.reads("contact"))
    }

    /// Whether an event, which the facts have, is what it looks for. A condition that this version cannot read holds never.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] when deciding takes more than is left of the facts' budget.
    pub fn is_met_by(&self, facts: &Facts<'_>, limits: &Limits) -> Result<bool, Exceeded> {
        if self.condition.is_null() {
            return Ok(true);
        }
        let Some(condition) = self.condition(limits) else { return Ok(false) };
        condition.with_values(&self.values).holds(facts)
    }

    fn condition(&self, limits: &Limits) -> Option<Condition> {
        Condition::parse(&self.condition, "goal.where", limits).ok()
    }
}

#[cfg(test)]
#[path = "goal_tests.rs"]
mod tests;
