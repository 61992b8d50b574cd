//! Names of a run's variables.

/// What a name looks like, as a regular expression.
pub const PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";

/// Most variables that one step sets.
pub const MOST_AT_ONCE: usize = 100;

/// Whether a text is the name of a variable, as [`PATTERN`] says.
pub fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(word) && !text.as_bytes()[0].is_ascii_digit()
}
