//! What each operator means.

use super::Resolved;
use super::compare::{as_text, equal, order};
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

    /// The comparison's result; total, see the table of this module's parent.
    pub(super) fn holds(self, actual: Option<&Value>, expected: &Resolved<'_>) -> bool {
        let actual = actual.unwrap_or(&Value::Null);
        let expected = match expected {
            Resolved::Regex(regex) => return as_text(actual).is_some_and(|text| regex.is_match(&text)),
            Resolved::Value(value) => value.as_ref(),
        };
        let ordered = |accept: fn(Ordering) -> bool| order(actual, expected).is_some_and(accept);
        let texts = |test: fn(&str, &str) -> bool| match (as_text(actual), as_text(expected)) {
            (Some(actual), Some(expected)) => test(&actual, &expected),
            (None, _) | (_, None) => false,
        };
        match self {
            Self::Equals => equals(actual, expected),
            Self::NotEquals => !equals(actual, expected),
            Self::GreaterThan => ordered(Ordering::is_gt),
            Self::LessThan => ordered(Ordering::is_lt),
            Self::GreaterOrEqual => ordered(Ordering::is_ge),
            Self::LessOrEqual => ordered(Ordering::is_le),
            Self::Contains => contains(actual, expected),
            Self::NotContains => !contains(actual, expected),
            Self::StartsWith => texts(|actual, expected| actual.starts_with(expected)),
            Self::EndsWith => texts(|actual, expected| actual.ends_with(expected)),
            // The expression was compiled when the condition was read; a plain value never gets here.
            Self::RegexMatch => false,
            Self::IsEmpty => is_empty(actual),
            Self::IsNotEmpty => !is_empty(actual),
        }
    }
}

fn equals(actual: &Value, expected: &Value) -> bool {
    !actual.is_null() && !expected.is_null() && equal(actual, expected)
}

fn contains(actual: &Value, expected: &Value) -> bool {
    match actual {
        Value::Array(members) => members.iter().any(|member| equals(member, expected)),
        Value::String(_) | Value::Number(_) => match (as_text(actual), as_text(expected)) {
            (Some(text), Some(part)) => text.contains(&*part),
            (None, _) | (_, None) => false,
        },
        Value::Null | Value::Bool(_) | Value::Object(_) => false,
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
