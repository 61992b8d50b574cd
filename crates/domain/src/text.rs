//! The text of a value: one rule for templates, conditions, run keys, options of actions and messages.
//!
//! - A text is itself; nothing (missing, null) is the empty text; `true` and `false` are words.
//! - A whole number has no `.0`, whether it was written `17`, `17.0` or `1.7e1`: equal numbers have equal texts.
//! - Lists and objects are compact JSON, with their numbers written like that.

use serde_json::{Number, Value};
use std::borrow::Cow;

/// The text of a value.
pub fn of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => Cow::Owned(of_number(number)),
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(_) | Value::Object(_) => Cow::Owned(plain(value).to_string()),
    }
}

/// The text of a number.
pub fn of_number(number: &Number) -> String {
    plain_number(number).to_string()
}

/// A copy in which every number is in its plain form: what a template comes to.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(plain_number(number)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The whole number that a decimal is, where one of 64 bits is the same; else the number itself.
pub fn plain_number(number: &Number) -> Number {
    if !number.is_f64() {
        return number.clone();
    }
    let whole = number.as_f64().and_then(whole);
    let whole = whole.and_then(|whole| {
        i64::try_from(whole).map(Number::from).or_else(|_| u64::try_from(whole).map(Number::from)).ok()
    });
    whole.unwrap_or_else(|| number.clone())
}

/// The whole number of 64 bits that a decimal is.
pub(crate) fn whole(decimal: f64) -> Option<i128> {
    let range = i64::MIN as f64..u64::MAX as f64;
    (decimal.fract() == 0.0 && range.contains(&decimal)).then_some(decimal as i128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_value_has_one_text() {
        for (json, text) in [
            ("null", ""),
            ("true", "true"),
            ("false", "false"),
            ("17", "17"),
            ("17.0", "17"),
            ("1.7e1", "17"),
            ("-0.0", "0"),
            ("17.5", "17.5"),
            ("1e17", "100000000000000000"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
            ("1e300", "1e+300"),
            ("1.5e-7", "1.5e-7"),
            ("\"\"", ""),
            ("\" a \"", " a "),
            ("[]", "[]"),
            ("[1.0, \"a\", null, true]", "[1,\"a\",null,true]"),
            ("{\"a\": {\"b\": 2.0}}", "{\"a\":{\"b\":2}}"),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(of(&value), text, "{json}");
        }
    }

    proptest! {
        #[test]
        fn equal_numbers_have_equal_texts(whole in any::<i32>(), quarters in 0..4_u8) {
            let decimal = f64::from(whole) + f64::from(quarters) / 4.0;
            let text = of(&json!(decimal)).into_owned();
            prop_assert_eq!(text == of(&json!(whole)), decimal == f64::from(whole));
            prop_assert!(!text.ends_with(".0"));
        }

        #[test]
        fn the_text_of_a_number_is_the_number(decimal in prop::num::f64::NORMAL) {
            let text = of(&json!(decimal)).into_owned();
            prop_assert_eq!(text.parse::<f64>(), Ok(decimal));
        }
    }
}
