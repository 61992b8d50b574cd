//! Paths to facts.

use crate::problem::Problem;

/// A parsed path such as `event.data.total`; only roots and members that can exist are accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldPath {
    pub(super) segments: Vec<String>,
}

impl FieldPath {
    /// Reads a path; `at` is where it stands in the definition.
    pub fn parse(text: &str, at: &str) -> Result<Self, Problem> {
        let _ = (text, at);
        todo!()
    }

    /// Its first segment: `event`, `contact`, `vars`, …
    pub fn root(&self) -> &str {
        &self.segments[0]
    }
}
