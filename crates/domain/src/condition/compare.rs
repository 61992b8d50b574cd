//! Equality and order between values that come from forms, stores and people.

use crate::budget::{Budget, Exceeded};
use crate::json::number::is_kept;
use crate::text;
use chrono::{DateTime, Utc};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// Whether two values are the same: numbers by value, a number and its text, times as instants.
pub(super) fn equal(left: &Value, right: &Value, budget: &Budget) -> Result<bool, Exceeded> {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            budget.spend(1)?;
            budget.deeper(|| Ok(left.len() == right.len() && all_equal(left.iter().zip(right), budget)?))
        }
        (Value::Object(left), Value::Object(right)) => {
            budget.spend(1)?;
            budget.deeper(|| Ok(left.len() == right.len() && all_members_equal(left, right, budget)?))
        }
        (Value::Null, Value::Null) => budget.spend(1).map(|()| true),
        (Value::Bool(left), Value::Bool(right)) => budget.spend(1).map(|()| left == right),
        _ => Ok(order(left, right, budget)? == Some(Ordering::Equal)),
    }
}

fn all_equal<'v>(
    pairs: impl Iterator<Item = (&'v Value, &'v Value)>,
    budget: &Budget,
) -> Result<bool, Exceeded> {
    for (left, right) in pairs {
        if !equal(left, right, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn all_members_equal(
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    budget: &Budget,
) -> Result<bool, Exceeded> {
    for (key, left) in left {
        budget.look_at(key.len())?;
        match right.get(key) {
            Some(right) if equal(left, right, budget)? => {}
            Some(_) | None => return Ok(false),
        }
    }
    Ok(true)
}

/// How two values are ordered; `None` when they have no order.
pub(super) fn order(left: &Value, right: &Value, budget: &Budget) -> Result<Option<Ordering>, Exceeded> {
    // What is read as a number or a time is read whole; two other texts are at most as far as the shorter one goes.
    let looked_at = match (left, right) {
        (Value::Number(_), Value::String(text)) | (Value::String(text), Value::Number(_)) => text.len(),
        (Value::String(left), Value::String(right)) if may_be_instant(left) && may_be_instant(right) => {
            left.len().max(right.len())
        }
        (Value::String(left), Value::String(right)) => left.len().min(right.len()),
        _ => 0,
    };
    budget.look_at(looked_at)?;
    Ok(ordering(left, right))
}

fn ordering(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => order_numbers(left, right),
        (Value::Number(left), Value::String(right)) => order_numbers(left, &number_in(right)?),
        (Value::String(left), Value::Number(right)) => order_numbers(&number_in(left)?, right),
        (Value::String(left), Value::String(right)) if may_be_instant(left) && may_be_instant(right) => {
            match (instant_in(left), instant_in(right)) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                (None, _) | (_, None) => Some(left.cmp(right)),
            }
        }
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// What text operators see: text as it is, a number as its digits.
pub(super) fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(text::of_number(number))),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A key under which an index finds every scalar that `equals` a literal: equal values always have the same key.
///
/// Unequal values may share one (`"80"` and `"80.0"`), so what an index finds is still to be compared. `None` for
/// null, lists and objects.
pub fn equality_key(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(format!("b:{value}")),
        Value::Number(number) => number_key(number),
        Value::String(text) => match (number_in(text), instant_in(text)) {
            (Some(number), _) => number_key(&number),
            (None, Some(instant)) => {
                Some(format!("t:{}.{}", instant.timestamp(), instant.timestamp_subsec_nanos()))
            }
            (None, None) => Some(format!("s:{text}")),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number_key(number: &Number) -> Option<String> {
    // Adding zero makes -0.0 and 0.0 one.
    number.as_f64().map(|value| format!("n:{:x}", (value + 0.0).to_bits()))
}

/// By value, exactly: no number is rounded to be compared.
pub(super) fn order_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => order_with_double(left, right.as_f64()?),
        (None, Some(right)) => order_with_double(right, left.as_f64()?).map(Ordering::reverse),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Whole parts first: as 128-bit integers they lose nothing, and a double beyond those saturates on its side.
fn order_with_double(whole: i128, double: f64) -> Option<Ordering> {
    let order = whole.cmp(&(double.trunc() as i128));
    order.is_ne().then_some(order).or_else(|| 0.0.partial_cmp(&double.fract()))
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The number that a text is, written as in JSON: `80`, `-1.5`, `1e3`; not ` 80`, `+1` or `080`, and not one that cannot be
/// kept exactly: rounded, it would equal others.
pub(super) fn number_in(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let starts = bytes.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-');
    let ends = bytes.last().is_some_and(u8::is_ascii_digit);
    if starts && ends && is_kept(text) { serde_json::from_str(text).ok() } else { None }
}

fn instant_in(text: &str) -> Option<DateTime<Utc>> {
    if !may_be_instant(text) {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc())
}

/// Most texts are told apart from times without parsing: the shortest is 2026-11-24T08:00:00Z.
fn may_be_instant(text: &str) -> bool {
    text.len() >= 20 && text.as_bytes()[4] == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn numbers_are_compared_without_rounding() {
        for (left, right, expected) in [
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0), Ordering::Greater),
            (json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_992.0), Ordering::Equal),
            (json!(u64::MAX), json!(18_446_744_073_709_551_616.0), Ordering::Less),
            (json!(i64::MIN), json!(-9_223_372_036_854_775_808.0), Ordering::Equal),
            (json!(-1), json!(-0.5), Ordering::Less),
            (json!(0), json!(-0.0), Ordering::Equal),
            (json!(1), json!(1.5), Ordering::Less),
            (json!(1), json!(1e308), Ordering::Less),
            (json!(9_007_199_254_740_993_u64), json!("9007199254740993"), Ordering::Equal),
        ] {
            let order = |left: &Value, right: &Value| order(left, right, &Budget::default()).unwrap();
            assert_eq!(order(&left, &right), Some(expected), "{left} {right}");
            assert_eq!(order(&right, &left), Some(expected.reverse()), "{right} {left}");
        }
        let equal = |left: &Value, right: &Value| equal(left, right, &Budget::default()).unwrap();
        // Rounded, these would be the same number.
        assert!(!equal(&json!(18_446_744_073_709_551_616.0), &json!("18446744073709551617")));
        assert!(!equal(&json!("18446744073709551616"), &json!("18446744073709551617")));
    }

    proptest! {
        #[test]
        fn what_is_equal_has_the_same_key(whole: i64, double in any::<f64>(), text in "-?[0-9]{1,22}(\\.[0-9]{1,3})?") {
            let near = whole as f64;
            let values = [json!(whole), json!(whole.unsigned_abs()), json!(double), json!(near), json!(near.trunc()), json!(text)];
            for left in &values {
                for right in &values {
                    if equal(left, right, &Budget::default()).unwrap() {
                        prop_assert_eq!(equality_key(left), equality_key(right), "{} {}", left, right);
                    }
                }
            }
        }
    }
}
