//! Dates and times compared with now: `{ field, op, from_now: 7d }` and `{ field, op, ago: 30d }`.
//!
//! The field holds an instant, or a date or time without its distance from UTC, which is by the contact's clock, else by the
//! tenant's. A date alone is its midnight. Where it is missing, or no date, the comparison is false.

use super::explain::cut;
use super::operator::Operator;
use super::parse::Reader;
use super::{Comparison, Explained};
use crate::budget::Exceeded;
use crate::duration;
use crate::facts::{Facts, FieldPath};
use crate::wall_clock;
use crate::workflow::kinds::{Moment, moment};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// What makes an object such a condition.
pub(super) const KEYS: [&str; 2] = ["from_now", "ago"];

/// Stands for whose clock counts where a date says nothing of it.
const CLOCK: &str = "now.date";

/// A date, and with which moment it is compared.
#[derive(Clone, Debug)]
pub(super) struct Relative {
    field: FieldPath,
    clock: FieldPath,
    op: Operator,
    /// From now; less than 0 for a moment that is past.
    offset: TimeDelta,
}

impl Relative {
    pub(super) fn field(&self) -> &FieldPath {
        &self.field
    }

    /// A date is by the contact's clock, as `now.time` is.
    pub(super) fn references(&self) -> Vec<&FieldPath> {
        vec![&self.field, &self.clock]
    }

    pub(super) fn holds(&self, facts: &Facts<'_>) -> Result<bool, Exceeded> {
        let found = self.find(facts)?;
        Ok(self.compare(found.and_then(|found| self.at(&found, facts)), facts))
    }

    pub(super) fn explain_into(
        &self,
        facts: &Facts<'_>,
        explained: &mut Explained,
    ) -> Result<bool, Exceeded> {
        let found = self.find(facts)?;
        let holds = self.compare(found.as_ref().and_then(|found| self.at(found, facts)), facts);
        let (actual, actual_bytes) = cut(found.unwrap_or(Cow::Owned(Value::Null)), facts.budget)?;
        let expected = (facts.now + self.offset).to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
        let (field, op) = (self.field.as_str().to_owned(), self.op.as_str().to_owned());
        let (expected_bytes, counted) = (None, None);
        let comparison =
            Comparison { field, op, actual, actual_bytes, expected, expected_bytes, holds, counted };
        explained.keep(comparison, facts.budget)?;
        Ok(holds)
    }

    /// When the moment passes that the date is compared with.
    pub(super) fn next_turn(&self, facts: &Facts<'_>) -> Option<DateTime<Utc>> {
        let found = self.find(facts).ok()??;
        let at = self.at(&found, facts)?.checked_sub_signed(self.offset)?;
        [at, at.checked_add_signed(TimeDelta::milliseconds(1))?].into_iter().find(|turn| *turn > facts.now)
    }

    fn find<'f>(&self, facts: &Facts<'f>) -> Result<Option<Cow<'f, Value>>, Exceeded> {
        facts.budget.spend(1 + self.field.segments().len() as u64)?;
        Ok(facts.field(&self.field))
    }

    fn at(&self, found: &Value, facts: &Facts<'_>) -> Option<DateTime<Utc>> {
        match moment(found)? {
            Moment::Instant(at) => Some(at),
            Moment::Local(shown) => wall_clock::instant(facts.zone().zone, shown),
        }
    }

    fn compare(&self, at: Option<DateTime<Utc>>, facts: &Facts<'_>) -> bool {
        let moment = facts.now.checked_add_signed(self.offset);
        let Some(order) = at.zip(moment).map(|(at, moment)| at.cmp(&moment)) else { return false };
        match self.op {
            Operator::LessThan => order == Ordering::Less,
            Operator::GreaterThan => order == Ordering::Greater,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
            Operator::Equals
            | Operator::NotEquals
            | Operator::Contains
            | Operator::NotContains
            | Operator::StartsWith
            | Operator::EndsWith
            | Operator::RegexMatch
            | Operator::IsEmpty
            | Operator::IsNotEmpty => false,
        }
    }
}

impl Reader<'_, '_> {
    pub(super) fn relative(&mut self, members: &Map<String, Value>, at: &str) -> Option<Relative> {
        let key = KEYS.into_iter().find(|key| members.contains_key(*key))?;
        for other in members.keys().filter(|other| !["field", "op", key].contains(&other.as_str())) {
            let message = format!("\"{other}\" cannot stand beside {key}");
            self.problem::<()>("unknown_key", format!("{at}.{other}"), message);
        }
        if self.is_of_past {
            let message = "of past events times cannot be compared with now; use within";
            return self.problem("bad_condition", format!("{at}.{key}"), message);
        }
        let field = self.field(members, at);
        let op = self.operator(members, at).and_then(|op| self.of_order(op, key, at));
        let written = self.word(members, key, at)?;
        let Some(length) = duration::parse(written) else {
            let message =
                format!("\"{written}\" is not a duration: write 15m, 1h, 7d or 1h30m, at most 3660 days");
            return self.problem("bad_duration", format!("{at}.{key}"), message);
        };
        let offset = if key == "ago" { -length } else { length };
        let clock = FieldPath::parse(CLOCK, at).map_err(|problem| self.problems.push(problem)).ok()?;
        Some(Relative { field: field?, clock, op: op?, offset })
    }

    fn of_order(&mut self, op: Operator, key: &str, at: &str) -> Option<Operator> {
        match op {
            Operator::GreaterThan | Operator::LessThan | Operator::GreaterOrEqual | Operator::LessOrEqual => {
                Some(op)
            }
            Operator::Equals
            | Operator::NotEquals
            | Operator::Contains
            | Operator::NotContains
            | Operator::StartsWith
            | Operator::EndsWith
            | Operator::RegexMatch
            | Operator::IsEmpty
            | Operator::IsNotEmpty => {
                let message = format!("a time is before or after {key}: use less_than, greater_than, …");
                self.problem("unknown_operator", format!("{at}.op"), message)
            }
        }
    }
}

#[cfg(test)]
mod tests;
