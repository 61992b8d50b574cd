//! JSON from outside, read strictly: what Postgres cannot hold or people cannot mean is refused.

use serde_json::Value;

/// Why a text is not acceptable JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or a number out of range, or a lone surrogate.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// The same key twice in one object.
    #[error("the key \"{0}\" stands twice in one object")]
    DuplicateKey(String),
    /// `\u0000` in a string or key.
    #[error("a string contains the character U+0000, which cannot be stored")]
    Nul,
    /// Nested too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}

/// Reads `bytes` as JSON no deeper than `max_depth`.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value, JsonError> {
    let _ = (bytes, max_depth);
    todo!()
}
