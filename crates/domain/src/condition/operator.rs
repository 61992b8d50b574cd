//! What each operator means.

use super::Resolved;
use super::compare::{as_text, equal, order};
use crate::budget::{Budget, Exceeded};
use serde_json::Value;
use std::cmp::Ordering;

/// A comparison operator of the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    Equals,
    NotEquals,
    GreaterThan,
    LessThan,
    GreaterOrEqual,
    LessOrEqual,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    RegexMatch,
    IsEmpty,
    IsNotEmpty,
}

impl Operator {
    pub(super) const ALL: [Self; 13] = [
        Self::Equals,
        Self::NotEquals,
        Self::GreaterThan,
        Self::LessThan,
        Self::GreaterOrEqual,
        Self::LessOrEqual,
        Self::Contains,
        Self::NotContains,
        Self::StartsWith,
        Self::EndsWith,
        Self::RegexMatch,
        Self::IsEmpty,
        Self::IsNotEmpty,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::GreaterThan => "greater_than",
            Self::LessThan => "less_than",
            Self::GreaterOrEqual => "greater_or_equal",
            Self::LessOrEqual => "less_or_equal",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::RegexMatch => "regex_match",
            Self::IsEmpty => "is_empty",
            Self::IsNotEmpty => "is_not_empty",
        }
    }

    pub(super) fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.as_str() == key)
    }

    pub(super) fn takes_value(self) -> bool {
        !matches!(self, Self::IsEmpty | Self::IsNotEmpty)
    }

    /// The result where the field is missing, whatever it is compared with.
    pub(super) fn holds_for_missing(self) -> bool {
        match self {
            Self::NotEquals | Self::NotContains | Self::IsEmpty => true,
            Self::Equals
            | Self::GreaterThan
            | Self::LessThan
            | Self::GreaterOrEqual
            | Self::LessOrEqual
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith
            | Self::RegexMatch
            | Self::IsNotEmpty => false,
        }
    }

    /// The comparison's result; defined for all values, see the table of this module's parent. What it looks at is
    /// charged before.
    pub(super) fn holds(
        self,
        actual: Option<&Value>,
        expected: &Resolved<'_>,
        budget: &Budget,
    ) -> Result<bool, Exceeded> {
        let actual = actual.unwrap_or(&Value::Null);
        let expected = match expected {
            Resolved::Pattern(pattern) => {
                return as_text(actual).map_or(Ok(false), |text| pattern.is_match(&text, budget));
            }
            Resolved::Value(value) => value.as_ref(),
        };
        let ordered = |accept: fn(Ordering) -> bool| {
            order(actual, expected, budget).map(|order| order.is_some_and(accept))
        };
        match self {
            Self::Equals => equals(actual, expected, budget),
            Self::NotEquals => equals(actual, expected, budget).map(|equal| !equal),
            Self::GreaterThan => ordered(Ordering::is_gt),
            Self::LessThan => ordered(Ordering::is_lt),
            Self::GreaterOrEqual => ordered(Ordering::is_ge),
            Self::LessOrEqual => ordered(Ordering::is_le),
            Self::Contains => contains(actual, expected, budget),
            Self::NotContains => contains(actual, expected, budget).map(|contains| !contains),
            Self::StartsWith => ends(actual, expected, budget, |text, part| text.starts_with(part)),
            Self::EndsWith => ends(actual, expected, budget, |text, part| text.ends_with(part)),
            // The expression was compiled when the condition was read; a plain value never gets here.
            Self::RegexMatch => Ok(false),
            Self::IsEmpty => Ok(is_empty(actual)),
            Self::IsNotEmpty => Ok(!is_empty(actual)),
        }
    }
}

fn equals(actual: &Value, expected: &Value, budget: &Budget) -> Result<bool, Exceeded> {
    Ok(!actual.is_null() && !expected.is_null() && equal(actual, expected, budget)?)
}

fn contains(actual: &Value, expected: &Value, budget: &Budget) -> Result<bool, Exceeded> {
    match actual {
        Value::Array(members) => {
            for member in members {
                budget.spend(1)?;
                if equals(member, expected, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::String(_) | Value::Number(_) => match (as_text(actual), as_text(expected)) {
            (Some(text), Some(part)) => {
                budget.look_at(text.len().saturating_add(part.len()))?;
                Ok(text.contains(&*part))
            }
            (None, _) | (_, None) => Ok(false),
        },
        Value::Null | Value::Bool(_) | Value::Object(_) => Ok(false),
    }
}

/// Whether a text begins or ends with another.
fn ends(
    actual: &Value,
    expected: &Value,
    budget: &Budget,
    test: fn(&str, &str) -> bool,
) -> Result<bool, Exceeded> {
    match (as_text(actual), as_text(expected)) {
        (Some(text), Some(part)) => {
            budget.look_at(text.len().min(part.len()))?;
            Ok(test(&text, &part))
        }
        (None, _) | (_, None) => Ok(false),
    }
}

fn is_empty(actual: &Value) -> bool {
    match actual {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
