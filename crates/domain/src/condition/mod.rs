//! Conditions: a comparison, or `all`, `any`, `not` over others.
//!
//! Missing and mistyped values have defined results: a comparison fails only where it takes more than is left of the
//! budget ([`crate::budget`]), and then there is no result at all. A field that is null counts as missing, and so does a
//! value whose template comes to nothing.
//!
//! | operator | field missing | value missing | field of a type that does not fit |
//! |---|---|---|---|
//! | `equals` | false | false | false |
//! | `not_equals` | true | true | true |
//! | `greater_than`, `less_than`, `greater_or_equal`, `less_or_equal` | false | false | false |
//! | `contains`, `starts_with`, `ends_with`, `regex_match` | false | false | false |
//! | `not_contains` | true | true | true |
//! | `is_empty` | true | – | false |
//! | `is_not_empty` | false | – | true |
//!
//! - Every `not_…` is the exact opposite of its operator.
//! - A number and a text that is a number (`"80"`) compare as numbers, for equality and order.
//! - Two texts that are RFC 3339 times compare as instants, for equality and order. Any other two texts compare
//!   character by character: `"10"` is before `"9"`, `2026-11-24` before `2026-11-25`.
//! - `contains` looks for a part of a text, case-sensitively, or for a member of a list (by the rules of `equals`).
//! - Text operators take a number as its digits, on either side: a postcode of 10115 starts with `"10"`.
//! - Lists and objects are equal when all their parts are; they have no order.
//! - Empty are: missing, null, `""`, `[]` and `{}`; not `0`, `false` or a space.

mod aggregate;
mod clock;
mod compare;
mod explain;
mod fixed;
mod operator;
mod parse;
mod pattern;
mod relative;

pub(crate) use aggregate::Kind;
pub use aggregate::{Aggregate, LONGEST_WINDOW, SHORTEST_WINDOW};
pub use compare::equality_key;
pub use explain::{COMPARED_BYTES, Comparison, Counted, Explained};

use crate::budget::Exceeded;
use crate::facts::{Facts, FieldPath};
use crate::json;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::template::ValueTemplate;
use crate::workflow::Allowance;
use explain::cut;
use operator::Operator;
use pattern::Pattern;
use relative::Relative;
use serde_json::Value;
use std::borrow::Cow;

/// A parsed condition.
#[derive(Clone, Debug)]
pub struct Condition {
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Leaf(Leaf),
    Aggregate(Box<Aggregate>),
    Relative(Box<Relative>),
}

#[derive(Clone, Debug)]
struct Leaf {
    field: FieldPath,
    op: Operator,
    expected: Expected,
}

/// What a field is compared with.
#[derive(Clone, Debug)]
enum Expected {
    /// Nothing: `is_empty`.
    Nothing,
    Literal(Value),
    Template(ValueTemplate),
    Pattern(Pattern),
}

impl Condition {
    /// Reads a condition; `at` is where it stands in the definition.
    ///
    /// # Errors
    ///
    /// Every problem found, each with its path.
    pub fn parse(value: &Value, at: &str, limits: &Limits) -> Result<Self, Vec<Problem>> {
        parse::parse(value, at, &mut Allowance::new(limits))
    }

    /// Reads one of the conditions of a definition, which share what they may come to.
    ///
    /// # Errors
    ///
    /// Every problem found, each with its path; none that the definition did not have already, when it has more than it
    /// may.
    pub(crate) fn parse_within(
        value: &Value,
        at: &str,
        allowance: &mut Allowance<'_>,
    ) -> Result<Self, Vec<Problem>> {
        parse::parse(value, at, allowance)
    }

    /// Whether it holds; nothing is looked at after the part that decides.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] when deciding takes more than is left of the facts' budget.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Exceeded> {
        facts.budget.spend(1)?;
        match &self.test {
            Test::All(parts) => {
                for part in parts {
                    if !part.holds(facts)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Test::Any(parts) => {
                for part in parts {
                    if part.holds(facts)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Test::Not(part) => Ok(!part.holds(facts)?),
            Test::Leaf(leaf) => leaf.holds(facts),
            Test::Aggregate(aggregate) => aggregate.holds(facts),
            Test::Relative(relative) => relative.holds(facts),
        }
    }

    /// Whether it holds, with every comparison made.
    ///
    /// # Errors
    ///
    /// [`Exceeded`] when that takes more than is left of the facts' budget.
    pub fn explain(&self, facts: &Facts<'_>) -> Result<Explained, Exceeded> {
        let mut explained = Explained::default();
        explained.holds = self.explain_into(facts, &mut explained)?;
        Ok(explained)
    }

    fn explain_into(&self, facts: &Facts<'_>, explained: &mut Explained) -> Result<bool, Exceeded> {
        facts.budget.spend(1)?;
        // `&` and `|` on purpose: the parts after the one that decided are explained too.
        match &self.test {
            Test::All(parts) => {
                parts.iter().try_fold(true, |holds, part| Ok(holds & part.explain_into(facts, explained)?))
            }
            Test::Any(parts) => {
                parts.iter().try_fold(false, |holds, part| Ok(holds | part.explain_into(facts, explained)?))
            }
            Test::Not(part) => Ok(!part.explain_into(facts, explained)?),
            Test::Leaf(leaf) => leaf.explain_into(facts, explained),
            Test::Aggregate(aggregate) => aggregate.explain_into(facts, explained),
            Test::Relative(relative) => relative.explain_into(facts, explained),
        }
    }

    /// Comparisons `event.<path> equals <literal>` that must hold for the whole to hold: what a trigger index uses.
    /// Each is the path (`event.data.form_id`) and the literal.
    ///
    /// Equality is wider than identity (`80` equals `"80"`): an index has to look values up by [`equality_key`].
    pub fn required_equalities(&self) -> Vec<(&str, &Value)> {
        match &self.test {
            Test::All(parts) => parts.iter().flat_map(Self::required_equalities).collect(),
            Test::Leaf(Leaf { field, op: Operator::Equals, expected: Expected::Literal(literal) })
                if field.root() == "event" && equality_key(literal).is_some() =>
            {
                vec![(field.as_str(), literal)]
            }
            Test::Leaf(_) | Test::Any(_) | Test::Not(_) | Test::Aggregate(_) | Test::Relative(_) => {
                Vec::new()
            }
        }
    }

    /// Whether it reads a field below this root (`contact`, `event`, …); `now.time` reads the contact's zone.
    ///
    /// A figure over past events counts the event at hand among them, and so reads it.
    pub fn reads(&self, root: &str) -> bool {
        let reads_event = || root == "event" && !self.aggregates().is_empty();
        self.references().iter().any(|path| path.reads(root)) || reads_event()
    }

    /// The figures over past events that it is about.
    pub fn aggregates(&self) -> Vec<&Aggregate> {
        match &self.test {
            Test::All(parts) | Test::Any(parts) => parts.iter().flat_map(Self::aggregates).collect(),
            Test::Not(part) => part.aggregates(),
            Test::Aggregate(aggregate) => vec![aggregate],
            Test::Leaf(_) | Test::Relative(_) => Vec::new(),
        }
    }

    /// The fields that it compares.
    fn fields(&self) -> Vec<&FieldPath> {
        match &self.test {
            Test::All(parts) | Test::Any(parts) => parts.iter().flat_map(Self::fields).collect(),
            Test::Not(part) => part.fields(),
            Test::Leaf(leaf) => vec![&leaf.field],
            Test::Relative(relative) => vec![relative.field()],
            Test::Aggregate(_) => Vec::new(),
        }
    }

    /// The templates that its fields are compared with, in their order.
    fn templates(&self) -> Vec<&ValueTemplate> {
        match &self.test {
            Test::All(parts) | Test::Any(parts) => parts.iter().flat_map(Self::templates).collect(),
            Test::Not(part) => part.templates(),
            Test::Leaf(Leaf { expected: Expected::Template(template), .. }) => vec![template],
            Test::Leaf(_) | Test::Relative(_) | Test::Aggregate(_) => Vec::new(),
        }
    }

    /// Every field it reads, those of its templates included.
    pub(crate) fn references(&self) -> Vec<&FieldPath> {
        match &self.test {
            Test::All(parts) | Test::Any(parts) => parts.iter().flat_map(Self::references).collect(),
            Test::Not(part) => part.references(),
            Test::Leaf(leaf) => {
                let mut paths = vec![&leaf.field];
                if let Expected::Template(template) = &leaf.expected {
                    paths.extend(template.references());
                }
                paths
            }
            Test::Aggregate(aggregate) => aggregate.references(),
            Test::Relative(relative) => relative.references(),
        }
    }
}

/// What a field is compared with, once templates are rendered.
enum Resolved<'a> {
    Value(Cow<'a, Value>),
    Pattern(&'a Pattern),
}

impl Leaf {
    fn holds(&self, facts: &Facts<'_>) -> Result<bool, Exceeded> {
        let actual = self.find(facts)?;
        let Some(actual) = actual.filter(|actual| !actual.is_null()) else {
            // Whatever it would be compared with: see the table above.
            return Ok(self.op.holds_for_missing());
        };
        self.op.holds(Some(&actual), &self.expected.resolve(facts)?, facts.budget)
    }

    fn explain_into(&self, facts: &Facts<'_>, explained: &mut Explained) -> Result<bool, Exceeded> {
        let budget = facts.budget;
        let actual = self.find(facts)?;
        let expected = self.expected.resolve(facts)?;
        let holds = self.op.holds(actual.as_deref(), &expected, budget)?;
        let (actual, actual_bytes) = cut(actual.unwrap_or(Cow::Owned(Value::Null)), budget)?;
        let (expected, expected_bytes) = cut(expected.into_value(), budget)?;
        let (field, op) = (self.field.as_str().to_owned(), self.op.as_str().to_owned());
        explained.keep(
            Comparison { field, op, actual, actual_bytes, expected, expected_bytes, holds, counted: None },
            budget,
        )?;
        Ok(holds)
    }

    /// The field's value; what is not found but made is charged.
    fn find<'f>(&self, facts: &Facts<'f>) -> Result<Option<Cow<'f, Value>>, Exceeded> {
        facts.budget.spend(self.field.segments().len() as u64)?;
        let found = facts.field(&self.field);
        match found.as_ref() {
            Some(Cow::Owned(Value::String(text))) => facts.budget.make(text.len())?,
            Some(Cow::Owned(made @ (Value::Array(_) | Value::Object(_)))) => {
                facts.budget.make(json::size_bytes(made))?;
            }
            Some(Cow::Owned(Value::Null | Value::Bool(_) | Value::Number(_)) | Cow::Borrowed(_)) | None => {}
        }
        Ok(found)
    }
}

impl Expected {
    fn resolve(&self, facts: &Facts<'_>) -> Result<Resolved<'_>, Exceeded> {
        Ok(match self {
            Self::Nothing => Resolved::Value(Cow::Owned(Value::Null)),
            Self::Literal(value) => Resolved::Value(Cow::Borrowed(value)),
            Self::Template(template) => match (template.render(facts), facts.budget.refused()) {
                (Ok(value), _) => Resolved::Value(Cow::Owned(value)),
                (Err(_), Some(exceeded)) => return Err(exceeded),
                // A template that fails has no value; the comparison's result for a missing value is defined.
                (Err(_), None) => Resolved::Value(Cow::Owned(Value::Null)),
            },
            Self::Pattern(pattern) => Resolved::Pattern(pattern),
        })
    }
}

impl<'a> Resolved<'a> {
    fn into_value(self) -> Cow<'a, Value> {
        match self {
            Self::Value(value) => value,
            Self::Pattern(pattern) => Cow::Owned(Value::String(pattern.as_str().to_owned())),
        }
    }
}

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod tests;
