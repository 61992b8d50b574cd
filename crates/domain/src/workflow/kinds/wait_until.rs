//! `wait_until`: a token waits for an event of the contact or for a condition, and takes the way of what comes first.

mod file;
mod heard;

use super::{Behaviour, Ways};
use crate::action::ContactUse;
use crate::catalogue::{ActionEntry, Effect};
use crate::condition::{Aggregate, Condition, Explained};
use crate::duration;
use crate::facts::FieldPath;
use crate::interpreter::{Awaited, CONTACT_CHANGES, Heard, Onward, StepError, Visit, Walk};
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use crate::workflow::event_filter::EventFilter;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) static KIND: WaitKind = WaitKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "wait_until",
    group: "flow",
    description: "Waits for an event of the contact or for a condition, and goes the way of what comes first.",
    effect: Effect::Flow,
    emits: &[],
};

/// The way that is taken when nothing came in time.
const TIMEOUT: &str = "timeout";

#[derive(Debug)]
pub(super) struct WaitKind;

/// A node that waits for events and conditions.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What it waits for, by the names of their ways, in the order in which it is asked.
    pub alternatives: Vec<(String, Alternative)>,
    /// What puts its time-out off.
    pub restarts: Vec<EventFilter>,
    /// How long it waits: a duration, or a template that gives one.
    pub timeout: Option<ValueTemplate>,
    /// How long before it an event may have happened.
    pub look_back: Option<TimeDelta>,
}

/// One thing that is waited for.
#[derive(Clone, Debug)]
pub enum Alternative {
    /// An event.
    Event(EventFilter),
    /// A condition, asked whenever what it reads may have changed.
    Condition(Condition),
}

impl Alternative {
    fn condition(&self) -> Option<&Condition> {
        match self {
            Self::Event(filter) => filter.condition.as_ref(),
            Self::Condition(condition) => Some(condition),
        }
    }

    fn event(&self) -> Option<&EventFilter> {
        if let Self::Event(filter) = self { Some(filter) } else { None }
    }
}

impl Behaviour for Wait {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        let alternatives = self.alternatives.iter().map(|(_, one)| one.condition()).enumerate();
        let restarts = self.restarts.iter().map(|one| one.condition.as_ref()).enumerate();
        let mut references = Vec::new();
        for (place, conditions) in
            [("any", alternatives.collect::<Vec<_>>()), ("restart", restarts.collect::<Vec<_>>())]
        {
            for (index, condition) in conditions {
                let paths = condition.into_iter().flat_map(Condition::references);
                references.extend(paths.map(|path| (path, format!("{place}[{index}].where"))));
            }
        }
        let timeout = self.timeout.iter().flat_map(ValueTemplate::references);
        references.extend(timeout.map(|path| (path, "timeout".to_owned())));
        references
    }

    fn aggregates(&self) -> Vec<&Aggregate> {
        let alternatives = self.alternatives.iter().filter_map(|(_, one)| one.condition());
        let restarts = self.restarts.iter().filter_map(|one| one.condition.as_ref());
        alternatives.chain(restarts).flat_map(Condition::aggregates).collect()
    }

    fn contact(&self) -> ContactUse {
        if self.alternatives.iter().any(|(_, one)| one.event().is_some()) {
            ContactUse::Needed
        } else {
            ContactUse::None
        }
    }

    fn ways(&self) -> Ways<'_> {
        let names = self.alternatives.iter().map(|(name, _)| name.as_str());
        Ways::Named(names.chain(self.timeout.as_ref().map(|_| TIMEOUT)).collect())
    }

    fn awaits(&self) -> Vec<&str> {
        let alternatives = self
            .alternatives
            .iter()
            .map(|(_, one)| one.event().map_or(CONTACT_CHANGES, |filter| filter.event.as_str()));
        // What conditions count may come true with each of them.
        let counted = self.conditions().flat_map(|(_, one)| one.aggregates()).map(Aggregate::event);
        let restarts = self.restarts.iter().map(|one| one.event.as_str());
        let types: BTreeSet<&str> = alternatives.chain(restarts).chain(counted).collect();
        types.into_iter().collect()
    }

    fn looks_back(&self) -> TimeDelta {
        self.look_back.unwrap_or_default()
    }

    /// A condition that holds already is not waited for.
    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        if self.contact() == ContactUse::Needed && !walk.has_contact() {
            let message =
                "wait_until needs a contact whose events it waits for, and the run has none".to_owned();
            return walk.fail(visit, StepError { code: StepCode::NoContact.into(), message });
        }
        match self.condition_that_holds(walk, visit) {
            Ok(None) => {}
            Ok(Some((name, explained))) => {
                return take(walk, visit, name, &explained, json!({ "already": true }));
            }
            Err(error) => return walk.fail(visit, error),
        }
        match self.begin(walk, visit) {
            Ok(awaited) => {
                let detail = self.told(&awaited);
                walk.await_others(visit, awaited, detail)
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
            Heard::Event(event) => self.hear_event(walk, visit, awaited, (event, false)),
            Heard::Before(event) => self.hear_event(walk, visit, awaited, (event, true)),
            Heard::Change => match self.condition_that_holds(walk, visit) {
                Ok(Some((name, explained))) => Some(take(walk, visit, name, &explained, json!({}))),
                Ok(None) => {
                    awaited.look_at = self.next_turn(walk, visit).ok().flatten();
                    None
                }
                Err(error) => Some(walk.fail(visit, error)),
            },
            // It asks nobody.
            Heard::Answer(_) => None,
            Heard::TimedOut => Some(walk.finish(visit, TIMEOUT, Value::Null, json!({ "case": TIMEOUT }))),
        }
    }
}

impl Wait {
    /// What the wait settles when it begins.
    fn begin(&self, walk: &Walk<'_>, visit: Visit<'_>) -> Result<Awaited, StepError> {
        let (since, began_at) = (walk.now(), walk.began_at());
        let from = self.look_back.map_or(began_at, |length| began_at.min(since - length));
        let until = self.length(walk, visit)?.map(|length| since + length);
        let filters = walk.evaluate(visit, |facts| {
            Ok(self.filters().map(|filter| filter.render(facts)).collect::<Result<Vec<_>, _>>()?)
        })?;
        let look_at = self.next_turn(walk, visit)?;
        let types = self.awaits().into_iter().map(str::to_owned).collect();
        Ok(Awaited { since, from, until, look_at, looked_back: false, types, filters, asked: None })
    }

    /// How long it waits.
    fn length(&self, walk: &Walk<'_>, visit: Visit<'_>) -> Result<Option<TimeDelta>, StepError> {
        let Some(timeout) = &self.timeout else { return Ok(None) };
        let error = |error: RenderError| StepError { code: error.code, message: error.message };
        let rendered = walk.evaluate(visit, |facts| timeout.render(facts).map_err(error))?;
        duration::of_value(&rendered).map(Some).ok_or_else(|| StepError {
            code: StepCode::InvalidDuration.into(),
            message: format!("the timeout {} is not {}", excerpt(&rendered), duration::WANTED),
        })
    }

    /// The events it looks at: those it waits for, in their order, and those that put the time-out off.
    fn filters(&self) -> impl Iterator<Item = &EventFilter> {
        self.alternatives.iter().filter_map(|(_, one)| one.event()).chain(&self.restarts)
    }

    /// When a condition may come true by the clock alone.
    fn next_turn(&self, walk: &Walk<'_>, visit: Visit<'_>) -> Result<Option<DateTime<Utc>>, StepError> {
        walk.evaluate(visit, |facts| Ok(self.conditions().filter_map(|(_, one)| one.next_turn(facts)).min()))
    }

    fn conditions(&self) -> impl Iterator<Item = (&str, &Condition)> {
        self.alternatives.iter().filter_map(|(name, one)| match one {
            Alternative::Event(_) => None,
            Alternative::Condition(condition) => Some((name.as_str(), condition)),
        })
    }

    fn condition_that_holds(
        &self,
        walk: &Walk<'_>,
        visit: Visit<'_>,
    ) -> Result<Option<(&str, Explained)>, StepError> {
        if self.conditions().next().is_none() {
            return Ok(None);
        }
        walk.evaluate(visit, |facts| {
            for (name, condition) in self.conditions() {
                if condition.holds(facts)? {
                    return Ok(Some((name, condition.explain(facts)?)));
                }
            }
            Ok(None)
        })
    }

    /// What the log says of a wait that begins: what is waited for, with what its templates came to.
    fn told(&self, awaited: &Awaited) -> Value {
        let mut filters = awaited.filters.iter();
        let told = |(name, one): &(String, Alternative)| {
            let mut told = json!({ "case": name });
            if let Some(filter) = one.event() {
                told["event"] = filter.event.as_str().into();
                let values = filters.next().filter(|values| !values.is_empty());
                if let Some(values) = values {
                    told["values"] = values.iter().map(|value| Value::String(excerpt(value))).collect();
                }
            }
            told
        };
        json!({ "for": self.alternatives.iter().map(told).collect::<Vec<_>>() })
    }
}

fn take(walk: &mut Walk<'_>, visit: Visit<'_>, name: &str, explained: &Explained, detail: Value) -> Onward {
    walk.finish(visit, name, Value::Null, told(name, explained, detail))
}

/// What the log says of the way that was taken.
fn told(name: &str, explained: &Explained, mut detail: Value) -> Value {
    detail["case"] = name.into();
    if !explained.comparisons.is_empty() {
        detail["comparisons"] = json!(explained.comparisons);
    }
    if explained.left_out > 0 {
        detail["left_out"] = explained.left_out.into();
    }
    detail
}
