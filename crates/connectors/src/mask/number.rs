//! A secret that is a number, and the search for it however the number is written.

use std::borrow::Cow;
use zeroize::Zeroizing;

/// The value of a decimal number: `0012.50`, `1.25e1` and `12.5` are the same.
pub(crate) struct Number {
    digits: Zeroizing<String>,
    /// Of the last digit.
    exponent: i64,
    /// What programs make of it that keep 53 bits of a number.
    rounded: f64,
}

impl Number {
    /// The number that a text is, as a whole.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.into()),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = !mantissa.is_empty() && mantissa != ".";
        if !is_number || ![whole, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return None;
        }
        let all = Zeroizing::new(format!("{whole}{fraction}"));
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        let shift =
            i64::try_from(significant.len() - digits.len()).ok()? - i64::try_from(fraction.len()).ok()?;
        let exponent = if digits.is_empty() { 0 } else { exponent + shift };
        let rounded = unsigned.parse().ok()?;
        Some(Self { digits: Zeroizing::new(digits.to_owned()), exponent, rounded })
    }

    /// Whether this is the same number, its sign left aside, or what rounding makes of it.
    fn is(&self, other: &Self) -> bool {
        *self.digits == *other.digits && self.exponent == other.exponent
            || self.rounded.is_finite() && self.rounded.to_bits() == other.rounded.to_bits()
    }

    /// Whether a text is this number, as a whole.
    pub(crate) fn is_written(&self, text: &str) -> bool {
        Self::of(text).is_some_and(|other| self.is(&other))
    }

    /// The text with something else in place of each number that is this one, its sign included. Words and other numbers may
    /// touch it, as in `code12345678` and `5-12345678`.
    pub(crate) fn replace<'t>(&self, text: &'t str, blank: &str) -> Cow<'t, str> {
        let (bytes, mut replaced, mut copied, mut at) = (text.as_bytes(), String::new(), 0, 0);
        while at < bytes.len() {
            let ends = ends_of_numbers(bytes, at);
            if let Some(end) = ends.iter().rev().find(|end| self.is_written(&text[at..**end])) {
                let signed = at > copied && matches!(bytes[at - 1], b'-' | b'+');
                replaced.push_str(&text[copied..at - usize::from(signed)]);
                replaced.push_str(blank);
                (copied, at) = (*end, *end);
            } else {
                // What stands behind a point or an exponent may be a number of its own.
                at += digits(bytes, at).max(1);
            }
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        replaced.push_str(&text[copied..]);
        Cow::Owned(replaced)
    }
}

/// How many digits stand here.
fn digits(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Where numbers may end that begin here, the nearest first: after the whole part, the fraction, the exponent.
fn ends_of_numbers(bytes: &[u8], at: usize) -> Vec<usize> {
    let (mut ends, mut end) = (Vec::new(), at + digits(bytes, at));
    if end > at {
        ends.push(end);
    }
    let fraction = if bytes.get(end) == Some(&b'.') { digits(bytes, end + 1) } else { 0 };
    if fraction > 0 {
        end += 1 + fraction;
        ends.push(end);
    }
    if !ends.is_empty() && matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(bytes, end + 1 + sign);
        if exponent > 0 {
            ends.push(end + 1 + sign + exponent);
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_however_it_is_written() {
        let number = Number::of("0012345678").unwrap();
        for text in ["12345678", "12345678.0", "1.2345678e7", "1.2345678E+7", "-12345678", "1234567800e-2"] {
            assert!(number.is_written(text), "{text}");
            assert_eq!(number.replace(&format!("is {text}."), "***"), "is ***.", "{text}");
        }
        for text in ["123456780", "12345679", "1.2345678", "", ".", "e7", "12.34.5678"] {
            assert!(!number.is_written(text), "{text}");
            assert!(matches!(number.replace(text, "***"), Cow::Borrowed(_)));
        }
        for (text, masked) in [
            ("code12345678", "code***"),
            ("e12345678e", "e***e"),
            ("order-5-12345678-7", "order-5***-7"),
            ("5.12345678", "5.***"),
            ("v.12345678.", "v.***."),
            ("12345678,1.2345678e7;-12345678.0", "***,***;***"),
        ] {
            assert_eq!(number.replace(text, "***"), masked);
        }
        // What a program with numbers of 53 bits says back.
        assert!(Number::of("12345678901234567890").unwrap().is_written("12345678901234567000"));
        for text in ["secret", "12 34", "", "1e99999999999", "0x12345678", "½"] {
            assert!(Number::of(text).is_none(), "{text}");
        }
    }
}
