//! Why an expression cannot be used.

use std::fmt;

/// Why an expression cannot be used, as a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadCron {
    message: String,
    never: bool,
}

impl BadCron {
    pub(super) fn new(message: String) -> Self {
        Self { message, never: false }
    }

    pub(super) fn never(text: &str) -> Self {
        Self { message: format!("\"{text}\" names no date that exists, so it would never fire"), never: true }
    }

    /// Whether the expression is well formed, but names no date that exists.
    pub fn is_never(&self) -> bool {
        self.never
    }
}

impl fmt::Display for BadCron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadCron {}
