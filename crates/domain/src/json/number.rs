//! Which numbers are kept: those of which nothing is lost.
//!
//! A whole number, written without fraction and exponent, is kept when it fits 64 bits. Any other number becomes a
//! double (IEEE 754 binary64), and is kept when that double, written with as many significant digits, has the same: then
//! it says what was written, however it was written (`19.99`, `0.30000000000000004`, `1e308`). A double that lies in the
//! middle between two such texts (2^50 + 0.25: `….2` or `….3`) is kept from either, since writers of doubles differ there:
//! some round to even, some up. Whatever has more than 17 significant digits, lies outside of a double's range or would
//! become zero is not.

use super::string_end;
use serde_json::Number;
use std::ops::Range;

/// Significant digits that tell every double from every other.
const MOST_DIGITS: usize = 17;
/// A number without exponent that is no longer than this has at most 15 digits, of which a double keeps all.
const ALWAYS_KEPT_BYTES: usize = 16;

/// Whether nothing of the number that is written as `text`, in JSON or YAML, is lost.
pub fn is_kept(text: &str) -> bool {
    let has_exponent = text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'e'));
    if text.len() <= ALWAYS_KEPT_BYTES && !has_exponent {
        return true;
    }
    if !has_exponent && !text.contains('.') {
        return text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    }
    let Ok(double) = text.parse::<f64>() else { return false };
    let digits = significant(text);
    match digits.len() {
        0 => true,
        count if count > MOST_DIGITS || !double.is_finite() => false,
        // Of two texts equally near, this takes the even one and the shortest form the upper one.
        count => [format!("{double:.*e}", count - 1), format!("{double:e}")]
            .iter()
            .any(|written| significant(written) == digits),
    }
}

/// The digits that matter: without sign, point, exponent and the zeros at both ends.
fn significant(text: &str) -> String {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// Where numbers stand in a JSON text of which something would be lost, from left to right.
///
/// The text need not be valid up to its end.
pub(super) fn lossy(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => at = string_end(text, at).unwrap_or(text.len()),
                b'-' | b'0'..=b'9' => {
                    let begin = at;
                    at += text[begin..].iter().take_while(|byte| is_of_number(**byte)).count();
                    let number = std::str::from_utf8(&text[begin..at]).unwrap_or_default();
                    if !is_kept(number) {
                        return Some(begin..at);
                    }
                }
                _ => at += 1,
            }
        }
        None
    })
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// A double as a JSON number, whole where it is: 80 and not 80.0; `None` for what is no number.
pub fn of_double(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

/// The number as a double, if nothing of it is lost.
pub fn exact_f64(number: &Number) -> Option<f64> {
    let double = number.as_f64()?;
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    // Converting back saturates, and every 64-bit number is far inside of 128 bits.
    whole.is_none_or(|whole| double as i128 == whole).then_some(double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn money_doubles_and_whole_numbers_of_64_bits_are_kept() {
        for text in [
            "0",
            "-0",
            "0.0",
            "0e0",
            "0.000000000000000000000000000000",
            "19.99",
            "0.1",
            "129.90",
            "1.0000000000000000000000",
            "999999999999.99",
            "0.30000000000000004",
            "0.10000000000000001",
            "18446744073709551615",
            "-9223372036854775808",
            "9007199254740993",
            "1e308",
            "1E+2",
            "1.7976931348623157e308",
            "5e-324",
            "2.2250738585072014e-308",
            "100000000000000000000.0",
            "1e20",
            "2086019685772564.2",
            "2086019685772564.3",
            "2.6661324802097963e14",
        ] {
            assert!(is_kept(text), "{text}");
        }
    }

    #[test]
    fn what_would_be_rounded_is_not() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "100000000000000000000",
            "12345678901234567890.123",
            "0.123456789012345678901234567890",
            "9007199254740993.0",
            "2086019685772564.1",
            "2086019685772564.4",
            "0.1000000000000000055511151231257827",
            "1e400",
            "-1e400",
            "1e-400",
            "1.2345e-320",
            "1e99999999999999999999",
        ] {
            assert!(!is_kept(text), "{text}");
        }
    }

    #[test]
    fn they_are_found_outside_of_strings() {
        let text = r#"{"1e400":"1e400 \" 1e400","a":[1,18446744073709551616,-1e400],"b":19.99}"#;
        let found: Vec<&str> = lossy(text.as_bytes()).map(|range| &text[range]).collect();
        assert_eq!(found, ["18446744073709551616", "-1e400"]);
    }

    #[test]
    fn a_double_for_a_number_is_exact_or_none() {
        let of = |text: &str| exact_f64(&text.parse::<Number>().unwrap());
        assert_eq!(of("9007199254740992"), Some(9_007_199_254_740_992.0));
        assert_eq!(of("9007199254740993"), None);
        assert_eq!(of("18446744073709551615"), None);
        assert_eq!((of("-3"), of("2.5"), of("1e308")), (Some(-3.0), Some(2.5), Some(1e308)));
    }

    proptest! {
        #[test]
        fn every_double_and_every_64_bit_number_as_it_is_written_is_kept_and_reads_back(
            double in any::<f64>().prop_filter("finite", |double| double.is_finite()), signed: i64, unsigned: u64,
        ) {
            for value in [Value::from(double), signed.into(), unsigned.into()] {
                let text = value.to_string();
                prop_assert!(is_kept(&text), "{}", text);
                prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
            }
            for text in [format!("{double:.16e}"), format!("{double:e}")] {
                prop_assert!(is_kept(&text), "{}", text);
                let read: f64 = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(read.to_bits(), double.to_bits(), "{}", text);
            }
        }

        #[test]
        fn a_double_amid_two_texts_of_17_digits_is_kept_from_either_way_of_writing_it(
            quarters in (1_u64 << 52)..(1 << 53), halvings in 2..6_i32,
        ) {
            let double = quarters as f64 / 2_f64.powi(halvings);
            for text in [Value::from(double).to_string(), format!("{double}"), format!("{double:.16e}"), format!("{double:e}")] {
                prop_assert!(is_kept(&text), "{}", text);
            }
        }

        #[test]
        fn two_numbers_that_are_written_differently_are_kept_as_two(
            (left, right) in ("-?[1-9][0-9]{0,24}", "-?[1-9][0-9]{0,24}"), digit in "[0-9]",
        ) {
            // Neighbours too: the same but for the last digit.
            let neighbour = format!("{}{digit}", &left[..left.len() - 1]);
            for right in [right, neighbour] {
                if left != right && is_kept(&left) && is_kept(&right) && right != "-" {
                    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                    prop_assert_ne!(read(&left), read(&right));
                }
            }
        }

        #[test]
        fn what_is_kept_of_a_decimal_says_what_was_written(text in "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,20}(e-?[0-9]{1,3})?") {
            if is_kept(&text) {
                let double: f64 = serde_json::from_str(&text).unwrap();
                let digits = significant(&text);
                let again = format!("{double:.*e}", digits.len().saturating_sub(1));
                let ways = [again, format!("{double:e}")];
                prop_assert!(ways.iter().any(|way| significant(way) == digits), "{}", text);
            }
        }
    }
}
