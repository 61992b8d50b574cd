//! What of HTTP is decided before a request leaves: names and values of headers.

/// Headers that belong to the connection or follow from the request, and that nobody may set. Compressed answers are not
/// read, so asking for them is not allowed either.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Longest name of a header, in bytes.
const NAME_BYTES: usize = 128;
/// Longest value of a header, in bytes.
const VALUE_BYTES: usize = 8 * 1024;

/// Checks the name of a header that a person, a template or a credential sets.
///
/// # Errors
///
/// The rule that it breaks, as the rest of a sentence.
pub fn check_header_name(name: &str) -> Result<(), String> {
    // A token of RFC 9110, section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_token) {
        return Err(format!(
            "is not the name of a header: letters, digits and -, at most {NAME_BYTES} characters"
        ));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("belongs to the connection, and cannot be set".to_owned());
    }
    Ok(())
}

/// Checks the value of a header: one line, so that no value can add a header or begin a body.
///
/// # Errors
///
/// The rule that it breaks, as the rest of a sentence; never the value.
pub fn check_header_value(value: &str) -> Result<(), String> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err("contains a line break or another control character".to_owned());
    }
    if value.len() > VALUE_BYTES {
        return Err(format!("has {} bytes; at most {VALUE_BYTES} are allowed", value.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_none_of_the_connections() {
        for name in ["Accept", "X-Api-Key", "idempotency-key", "x_y", "Content-Type"] {
            assert_eq!(check_header_name(name), Ok(()), "{name}");
        }
        for name in
            ["", "a b", "a:b", "a\r\nb", "ä", "Host", "HOST", "content-LENGTH", "Transfer-Encoding", "TE"]
        {
            assert!(check_header_name(name).is_err(), "{name}");
        }
        assert!(check_header_name(&"a".repeat(129)).is_err());
    }

    #[test]
    fn values_are_one_line() {
        for value in ["", "a b", "a\tb", "Größe"] {
            assert_eq!(check_header_value(value), Ok(()), "{value}");
        }
        for value in ["a\r\nX-Admin: 1", "a\nb", "a\rb", "a\0b", "\u{7f}", "\u{85}", "\u{1b}[0m"] {
            assert!(check_header_value(value).is_err(), "{value:?}");
        }
        assert!(check_header_value(&"a".repeat(8193)).is_err());
    }
}
