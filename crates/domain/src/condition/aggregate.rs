//! Figures over what happened to the contact: a count, a sum, an average, a minimum or a maximum of events within a time.
//!
//! - The window ends now, and begins exactly so long ago: an event of that age counts, one a millisecond older does not. Events
//!   count by when they happened (`time`, or receipt where that says so), each once.
//! - The event at hand is one of them, from its receipt on where its time is ahead of that. No other event counts before its time.
//! - Before there is a run, of events that were received together those count that happened before the one at hand.
//! - Of values that are no numbers, and texts that are none, there is no sum; they are skipped, and counted.
//! - Of no events the count and the sum are 0, and an average, a minimum and a maximum are missing.

mod read;
mod turn;

use super::compare::{number_in, order_numbers};
use super::explain::{Counted, cut};
use super::operator::Operator;
use super::{Comparison, Condition, Expected, Explained, Resolved, Test};
use crate::budget::Exceeded;
use crate::event::RecordedEvent;
use crate::facts::{Facts, FieldPath};
use crate::interpreter::happened_at;
use crate::past::{Asked, MOST_EVENTS, Past, PastEvent, Sum, Values};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// Shortest and longest window.
pub const SHORTEST_WINDOW: TimeDelta = TimeDelta::minutes(1);
/// See [`SHORTEST_WINDOW`].
pub const LONGEST_WINDOW: TimeDelta = TimeDelta::days(90);

/// What is worked out of the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Count,
    Sum,
    Average,
    Min,
    Max,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Count, Self::Sum, Self::Average, Self::Min, Self::Max];

    /// The key of the format.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// A figure over past events, and what it is compared with.
#[derive(Clone, Debug)]
pub struct Aggregate {
    kind: Kind,
    /// Of which type.
    event: String,
    /// Which of them.
    filter: Option<Condition>,
    /// What is added up or compared of each.
    of: Option<FieldPath>,
    /// How old they may be.
    within: TimeDelta,
    /// How that is written.
    window: String,
    /// Where it stands in the definition.
    at: String,
    op: Operator,
    expected: Expected,
}

/// What a figure came to.
#[derive(Clone, PartialEq, Debug, Default)]
struct Figure {
    /// `None`: there is none.
    value: Option<Number>,
    /// Events that it is of.
    events: u64,
    /// Those of them that have no number there.
    skipped: u64,
    /// Events of which a value that is asked for is too long to be known.
    not_kept: u64,
    /// Whether there were more events than are looked at: then there may be more.
    at_least: bool,
}

impl Aggregate {
    /// The type of the events.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What it asks of the past.
    pub fn asks(&self) -> Asked<'_> {
        Asked { event: &self.event, within: self.within, paths: self.paths() }
    }

    /// How far it looks back, as it is written, and where it stands.
    pub fn window(&self) -> (TimeDelta, &str, &str) {
        (self.within, &self.window, &self.at)
    }

    /// What its templates read; what it asks of the events that it is of is not among it.
    pub(super) fn references(&self) -> Vec<&FieldPath> {
        let mut templates = self.filter.iter().flat_map(Condition::templates).collect::<Vec<_>>();
        if let Expected::Template(template) = &self.expected {
            templates.push(template);
        }
        templates.into_iter().flat_map(|template| template.references()).collect()
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> Result<bool, Exceeded> {
        let figure = self.figure(facts)?;
        let expected = self.expected.resolve(facts)?;
        self.compare(&figure, &expected, facts)
    }

    pub(super) fn explain_into(
        &self,
        facts: &Facts<'_>,
        explained: &mut Explained,
    ) -> Result<bool, Exceeded> {
        let figure = self.figure(facts)?;
        let expected = self.expected.resolve(facts)?;
        let holds = self.compare(&figure, &expected, facts)?;
        let (expected, expected_bytes) = cut(expected.into_value(), facts.budget)?;
        let actual = figure.value.map_or(Value::Null, Value::Number);
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let counted = Counted {
            from: time(facts.now - self.within),
            until: time(facts.now),
            events: figure.events,
            skipped: figure.skipped,
            not_kept: figure.not_kept,
            at_least: figure.at_least,
        };
        let (field, op) = (self.name(), self.op.as_str().to_owned());
        let (actual_bytes, counted) = (None, Some(counted));
        let comparison =
            Comparison { field, op, actual, actual_bytes, expected, expected_bytes, holds, counted };
        explained.keep(comparison, facts.budget)?;
        Ok(holds)
    }

    /// For people: `sum of event.data.total over order.completed within 30d`.
    fn name(&self) -> String {
        let of = self.of.as_ref().map_or_else(String::new, |of| format!(" of {}", of.as_str()));
        let over = if of.is_empty() { "of" } else { "over" };
        format!("{}{of} {over} {} within {}", self.kind.as_str(), self.event, self.window)
    }

    fn compare(&self, figure: &Figure, expected: &Resolved<'_>, facts: &Facts<'_>) -> Result<bool, Exceeded> {
        if figure.at_least && !self.is_decided(figure, expected) {
            let refused = Exceeded::Events { allowed: MOST_EVENTS };
            return Err(facts.budget.refuse(refused));
        }
        let Some(value) = &figure.value else { return Ok(self.op.holds_for_missing()) };
        self.op.holds(Some(&Value::Number(value.clone())), expected, facts.budget)
    }

    /// Whether more events would not change the result: a count only grows with them, and is beyond what it is compared with.
    fn is_decided(&self, figure: &Figure, expected: &Resolved<'_>) -> bool {
        let Resolved::Value(expected) = expected else { return false };
        let expected = match &**expected {
            Value::Number(number) => Some(number.clone()),
            Value::String(text) => number_in(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return true,
        };
        let (Kind::Count, Some(count), Some(expected)) = (self.kind, &figure.value, expected) else {
            return false;
        };
        order_numbers(&expected, count).is_some_and(Ordering::is_lt)
            || (order_numbers(&expected, count).is_some_and(Ordering::is_eq)
                && matches!(self.op, Operator::GreaterOrEqual | Operator::LessThan))
    }

    fn figure(&self, facts: &Facts<'_>) -> Result<Figure, Exceeded> {
        let filter = self.filter_for(facts)?;
        let mut figure = Figure::default();
        let (mut sum, mut least, mut most) = (Sum::default(), None::<Number>, None::<Number>);
        let paths = self.paths();
        figure.at_least = self.each(facts, |event| {
            figure.not_kept += u64::from(paths.iter().any(|path| event.values.lacks(path)));
            if let Some(filter) = &filter
                && !fits(filter, &event.values, facts)?
            {
                return Ok(());
            }
            figure.events += 1;
            let Some(of) = &self.of else { return Ok(()) };
            facts.budget.spend(1)?;
            let Some(number) = event.values.get(of).and_then(as_number) else {
                figure.skipped += 1;
                return Ok(());
            };
            sum.add(&number);
            least = Some(extreme(least.take(), &number, Ordering::Less));
            most = Some(extreme(most.take(), &number, Ordering::Greater));
            Ok(())
        })?;
        figure.value = match self.kind {
            Kind::Count => Some(figure.events.into()),
            Kind::Sum => sum.total(),
            Kind::Average => sum.mean(),
            Kind::Min => least,
            Kind::Max => most,
        };
        Ok(figure)
    }

    /// Its filter with what its templates come to over these facts.
    fn filter_for(&self, facts: &Facts<'_>) -> Result<Option<Cow<'_, Condition>>, Exceeded> {
        let Some(filter) = &self.filter else { return Ok(None) };
        if filter.templates().is_empty() {
            return Ok(Some(Cow::Borrowed(filter)));
        }
        let values = filter.render(facts)?;
        Ok(Some(Cow::Owned(filter.with_values(&values))))
    }

    /// Looks at each event in the window; whether there are more in it than were gathered.
    fn each<'f>(
        &self,
        facts: &Facts<'f>,
        mut look: impl FnMut(&PastEvent) -> Result<(), Exceeded>,
    ) -> Result<bool, Exceeded> {
        let history = match facts.past {
            Past::Unknown => return Err(facts.budget.refuse(Exceeded::Unknown)),
            Past::Nobody => return Ok(false),
            Past::Of(history) => history,
        };
        let Some(of_type) = history.of_type(&self.event) else {
            return Err(facts.budget.refuse(Exceeded::Unknown));
        };
        let at_hand = facts.event.filter(|event| event.event.event_type == self.event);
        let at_hand = at_hand.map(|event| self.at_hand(event));
        let window = facts.now - self.within..=facts.now.max(history.known_at());
        for event in &of_type.events {
            facts.budget.spend(1)?;
            let is_other = at_hand.as_ref().is_none_or(|at_hand| at_hand.event_id != event.event_id);
            if is_other && window.contains(&event.at) && was_known(event, facts, *window.end()) {
                look(event)?;
            }
        }
        if let Some(event) = at_hand.filter(|event| window.contains(&event.at)) {
            look(&event)?;
        }
        let earliest = of_type.events.iter().map(|event| event.at).min();
        Ok(of_type.has_more && earliest.is_some_and(|earliest| earliest >= *window.start()))
    }

    /// When events count that are known already, and dated ahead.
    fn ahead(&self, facts: &Facts<'_>) -> impl Iterator<Item = DateTime<Utc>> {
        let history = if let Past::Of(history) = facts.past { Some(history) } else { None };
        let events = history.and_then(|history| history.of_type(&self.event)).map(|of_type| &of_type.events);
        let now = facts.now;
        events.into_iter().flatten().map(|event| event.at).filter(move |at| *at > now)
    }

    /// The event at hand counts once it is received.
    fn at_hand(&self, recorded: &RecordedEvent) -> PastEvent {
        let event = PastEvent::of(recorded, self.paths());
        PastEvent { at: event.at.min(recorded.received_at), ..event }
    }

    /// What is asked of the events.
    fn paths(&self) -> Vec<&FieldPath> {
        let of_filter = self.filter.iter().flat_map(Condition::fields);
        let mut paths: Vec<&FieldPath> = of_filter.chain(&self.of).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

/// Whether an event counts that was known by a moment. Before there is a run, of events that were received together those do that
/// happened before the one at hand.
fn was_known(event: &PastEvent, facts: &Facts<'_>, by: DateTime<Utc>) -> bool {
    match facts.event.filter(|_| facts.run.is_none()) {
        Some(at_hand) if at_hand.received_at == event.received_at => {
            (event.at, event.event_id) < (happened_at(at_hand), at_hand.event_id)
        }
        Some(_) | None => event.received_at <= by,
    }
}

/// Whether an event is one of those that a filter asks for, whose templates are worked out.
fn fits(filter: &Condition, values: &Values, facts: &Facts<'_>) -> Result<bool, Exceeded> {
    facts.budget.spend(1)?;
    match &filter.test {
        Test::All(parts) => {
            for part in parts {
                if !fits(part, values, facts)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Test::Any(parts) => {
            for part in parts {
                if fits(part, values, facts)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Test::Not(part) => Ok(!fits(part, values, facts)?),
        Test::Leaf(leaf) => {
            facts.budget.spend(leaf.field.segments().len() as u64)?;
            let Some(actual) = values.get(&leaf.field) else { return Ok(leaf.op.holds_for_missing()) };
            leaf.op.holds(Some(actual), &leaf.expected.resolve(facts)?, facts.budget)
        }
        // Refused where it is read.
        Test::Aggregate(_) | Test::Relative(_) => Ok(false),
    }
}

/// A number, or a text that is one.
fn as_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => number_in(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Of two numbers the one that is less, or greater.
fn extreme(known: Option<Number>, other: &Number, is: Ordering) -> Number {
    match known {
        Some(known) if order_numbers(other, &known) != Some(is) => known,
        Some(_) | None => other.clone(),
    }
}

#[cfg(test)]
mod tests;
