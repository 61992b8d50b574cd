//! Conditions: a comparison, or `all`, `any`, `not` over others.
//!
//! A comparison never fails; missing and mistyped values have defined results. A field that is null counts as
//! missing, and so does a value whose template comes to nothing.
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

mod compare;
mod operator;
mod parse;

pub use compare::equality_key;

use crate::facts::{Facts, FieldPath};
use crate::limits::Limits;
use crate::problem::Problem;
use crate::template::ValueTemplate;
use operator::Operator;
use regex::Regex;
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
    Regex(Regex),
}

/// What a condition came to, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// Each comparison of the condition, in order; none is left out because another one decided already.
    pub comparisons: Vec<Comparison>,
}

/// One comparison with both its values.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Comparison {
    /// The field's path.
    pub field: String,
    /// Operator key.
    pub op: String,
    /// What the field held; null when missing.
    pub actual: Value,
    /// What it was compared with.
    pub expected: Value,
    /// The result.
    pub holds: bool,
}

impl Condition {
    /// Reads a condition; `at` is where it stands in the definition.
    ///
    /// # Errors
    ///
    /// Every problem found, each with its path.
    pub fn parse(value: &Value, at: &str, limits: &Limits) -> Result<Self, Vec<Problem>> {
        parse::parse(value, at, limits)
    }

    /// Whether it holds.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        match &self.test {
            Test::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Test::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Test::Not(part) => !part.holds(facts),
            Test::Leaf(leaf) => {
                let actual = facts.field(&leaf.field);
                leaf.op.holds(actual.as_deref(), &leaf.expected.resolve(facts))
            }
        }
    }

    /// Whether it holds, with every comparison made.
    pub fn explain(&self, facts: &Facts<'_>) -> Verdict {
        let mut comparisons = Vec::new();
        let holds = self.explain_into(facts, &mut comparisons);
        Verdict { holds, comparisons }
    }

    fn explain_into(&self, facts: &Facts<'_>, comparisons: &mut Vec<Comparison>) -> bool {
        // `&` and `|` on purpose: the parts after the one that decided are explained too.
        match &self.test {
            Test::All(parts) => {
                parts.iter().fold(true, |holds, part| holds & part.explain_into(facts, comparisons))
            }
            Test::Any(parts) => {
                parts.iter().fold(false, |holds, part| holds | part.explain_into(facts, comparisons))
            }
            Test::Not(part) => !part.explain_into(facts, comparisons),
            Test::Leaf(leaf) => {
                let actual = facts.field(&leaf.field);
                let expected = leaf.expected.resolve(facts);
                let holds = leaf.op.holds(actual.as_deref(), &expected);
                comparisons.push(Comparison {
                    field: leaf.field.as_str().to_owned(),
                    op: leaf.op.as_str().to_owned(),
                    actual: actual.map_or(Value::Null, Cow::into_owned),
                    expected: expected.into_value(),
                    holds,
                });
                holds
            }
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
            Test::Leaf(_) | Test::Any(_) | Test::Not(_) => Vec::new(),
        }
    }

    /// Whether it reads a field below this root (`contact`, `event`, …); `now.time` reads the contact's zone.
    pub fn reads(&self, root: &str) -> bool {
        self.references().iter().any(|path| path.reads(root))
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
        }
    }
}

/// What a field is compared with, once templates are rendered.
enum Resolved<'a> {
    Value(Cow<'a, Value>),
    Regex(&'a Regex),
}

impl Expected {
    fn resolve(&self, facts: &Facts<'_>) -> Resolved<'_> {
        match self {
            Self::Nothing => Resolved::Value(Cow::Owned(Value::Null)),
            Self::Literal(value) => Resolved::Value(Cow::Borrowed(value)),
            // A template that fails has no value; the comparison's result for a missing value is defined.
            Self::Template(template) => {
                Resolved::Value(Cow::Owned(template.render(facts).unwrap_or(Value::Null)))
            }
            Self::Regex(regex) => Resolved::Regex(regex),
        }
    }
}

impl Resolved<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value.into_owned(),
            Self::Regex(regex) => Value::String(regex.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
