//! What failures have in common: the same signature for failures that differ in numbers, ids and names alone.

use crate::id::digest;

/// Longest text that counts.
const MOST_CHARACTERS: usize = 500;

/// The signature of a failure: 16 hexadecimal digits over the action, the code, the status of the response, and the
/// message without what is particular to one run.
pub fn of(action: Option<&str>, code: &str, status: Option<u16>, message: &str) -> String {
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    let message = normalised(message);
    let action = action.unwrap_or_default();
    let parts = ["failure", action, code, &status, &message].map(str::as_bytes);
    format!("{:032x}", digest(&parts).as_u128())[..16].to_owned()
}

/// The message in lower case, with single spaces, `…` for whatever stands in double quotes, and `#` for every word with
/// a digit in it: numbers, ids, addresses, times.
pub fn normalised(message: &str) -> String {
    let mut words = String::new();
    for word in unquoted(message).to_lowercase().split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        let inner = word.trim_matches(|c: char| c.is_ascii_punctuation());
        match inner.chars().any(|c| c.is_ascii_digit()) {
            true => words.push_str(&word.replace(inner, "#")),
            false => words.push_str(word),
        }
    }
    match words.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => words[..end].to_owned(),
        None => words,
    }
}

/// The text with `…` between each pair of double quotes.
fn unquoted(text: &str) -> String {
    let mut parts = text.split('"');
    let mut out = parts.next().unwrap_or_default().to_owned();
    while let Some(quoted) = parts.next() {
        match parts.next() {
            Some(after) => {
                out.push_str("\"…\"");
                out.push_str(after);
            }
            None => {
                out.push('"');
                out.push_str(quoted);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_particular_to_one_run_is_left_out() {
        for (message, expected) in [
            ("The server answered 503.", "the server answered #."),
            ("No field  \"contact.a b\" of 17 fields", "no field \"…\" of # fields"),
            ("order 0193-af/x7 is gone", "order # is gone"),
            ("connect to 10.0.0.1:443: refused (os error 111)", "connect to #: refused (os error #)"),
            ("an open \" quote", "an open \" quote"),
            ("", ""),
        ] {
            assert_eq!(normalised(message), expected, "{message}");
        }
    }

    #[test]
    fn failures_are_alike_by_action_code_status_and_message() {
        let one = of(Some("http_request"), "http_status", Some(503), "order 1 failed");
        assert_eq!(one, of(Some("http_request"), "http_status", Some(503), "Order 22 failed"));
        for other in [
            of(Some("add_tag"), "http_status", Some(503), "order 1 failed"),
            of(None, "http_status", Some(503), "order 1 failed"),
            of(Some("http_request"), "http_timeout", Some(503), "order 1 failed"),
            of(Some("http_request"), "http_status", Some(500), "order 1 failed"),
            of(Some("http_request"), "http_status", None, "order 1 failed"),
            of(Some("http_request"), "http_status", Some(503), "order 1 was refused"),
        ] {
            assert_ne!(one, other);
        }
    }

    proptest! {
        #[test]
        fn any_message_has_one(message in "\\PC{0,700}") {
            let signature = of(None, "code", None, &message);
            prop_assert!(signature.len() == 16 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()));
            prop_assert!(normalised(&message).chars().count() <= MOST_CHARACTERS);
        }
    }
}
