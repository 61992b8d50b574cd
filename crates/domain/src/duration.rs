//! Durations as people write them: `30s`, `15m`, `1h`, `7d`.

use chrono::TimeDelta;
use serde_json::Value;

/// Longest duration: what is longer is a mistake, not a plan. Ten years.
pub const LONGEST: TimeDelta = TimeDelta::days(3_660);

/// Reads `30s`, `15m`, `1h`, `7d`, or several in a row from the longest unit to the shortest (`1h30m`).
///
/// `None` if it is none of these, or longer than 3,660 days.
pub fn parse(text: &str) -> Option<TimeDelta> {
    let mut total = TimeDelta::zero();
    let mut units = ["d", "h", "m", "s"].iter().zip([86_400_i64, 3_600, 60, 1]);
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        // Only units after the last one are left in the iterator: each stands once, in order.
        let (unit, seconds) = units.find(|(unit, _)| after.starts_with(**unit))?;
        let seconds = number.parse::<i64>().ok()?.checked_mul(seconds)?;
        total = total.checked_add(&TimeDelta::try_seconds(seconds)?)?;
        rest = &after[unit.len()..];
    }
    (total <= LONGEST).then_some(total)
}

/// What a duration is, and how it is written.
pub const WANTED: &str = "a duration: write 30s, 15m, 1h, 7d or a number of seconds, at most 3660 days";

/// What a template came to as a duration: text, or a number of seconds. `None` for anything else, or what is too long.
pub fn of_value(value: &Value) -> Option<TimeDelta> {
    let length = match value {
        Value::String(text) => {
            let text = text.trim();
            parse(text).or_else(|| text.parse().ok().and_then(seconds))
        }
        Value::Number(number) => number.as_f64().and_then(seconds),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }?;
    (length <= LONGEST).then_some(length)
}

fn seconds(seconds: f64) -> Option<TimeDelta> {
    let millis = (seconds * 1000.0).round();
    // Beyond this the conversion below would saturate.
    (millis.abs() < 1e15).then(|| TimeDelta::milliseconds(millis as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write_is_read() {
        for (text, seconds) in [
            ("0s", 0),
            ("30s", 30),
            ("15m", 900),
            ("1h", 3_600),
            ("7d", 604_800),
            ("1d2h3m4s", 93_784),
            ("1h30m", 5_400),
        ] {
            assert_eq!(parse(text), Some(TimeDelta::seconds(seconds)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "1",
            "h",
            "1w",
            "-1h",
            "1.5h",
            " 1h",
            "1h ",
            "1 h",
            "30m1h",
            "1h1h",
            "1H",
            "99999999999999999999s",
            "9999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9dhms ]{0,24}") {
            let _ = parse(&text);
        }
    }
}
