//! When a figure changes although nothing happens, and figures whose templates were worked out earlier.

use super::{Aggregate, Kind};
use crate::budget::Exceeded;
use crate::condition::operator::Operator;
use crate::condition::{Condition, Expected};
use crate::facts::Facts;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// As exact as times are stored.
const MOMENT: TimeDelta = TimeDelta::microseconds(1);

impl Aggregate {
    /// When the next event leaves the window, or one that is dated ahead comes into it, where that may change the result.
    pub(in crate::condition) fn next_turn(&self, facts: &Facts<'_>) -> Option<DateTime<Utc>> {
        let mut leaves = None::<DateTime<Utc>>;
        let keep =
            |known: Option<DateTime<Utc>>, at| Some(known.map_or(at, |known: DateTime<Utc>| known.min(at)));
        self.each(facts, |event| {
            leaves = keep(leaves, event.at + self.within + MOMENT);
            Ok(())
        })
        .ok()?;
        let comes = self.ahead(facts).min();
        let leaves = leaves.filter(|_| self.may_turn(facts));
        comes.into_iter().chain(leaves).filter(|at| *at > facts.now).min()
    }

    /// Whether the result may change with an event that leaves: a count only falls.
    fn may_turn(&self, facts: &Facts<'_>) -> bool {
        let holds = || self.holds(facts).unwrap_or(true);
        match (self.kind, self.op) {
            (Kind::Count, Operator::GreaterThan | Operator::GreaterOrEqual) => holds(),
            (Kind::Count, Operator::LessThan | Operator::LessOrEqual) => !holds(),
            (Kind::Count, _) | (Kind::Sum | Kind::Average | Kind::Min | Kind::Max, _) => true,
        }
    }

    pub(in crate::condition) fn render_into(
        &self,
        facts: &Facts<'_>,
        values: &mut Vec<Value>,
    ) -> Result<(), Exceeded> {
        if let Some(filter) = &self.filter {
            filter.render_into(facts, values)?;
        }
        if let Expected::Template(_) = self.expected {
            values.push(self.expected.resolve(facts)?.into_value().into_owned());
        }
        Ok(())
    }

    pub(in crate::condition) fn fixed(&self, values: &mut dyn Iterator<Item = Value>) -> Self {
        let filter = self.filter.as_ref().map(|filter: &Condition| filter.fixed(values));
        let expected = match &self.expected {
            Expected::Template(_) => Expected::Literal(values.next().unwrap_or_default()),
            other @ (Expected::Nothing | Expected::Literal(_) | Expected::Pattern(_)) => other.clone(),
        };
        Self { filter, expected, ..self.clone() }
    }
}
