//! What is wrong with something a person or another service wrote.

use serde::{Deserialize, Serialize};

/// One thing that is wrong, with where and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Stable code, listed in `docs/errors.md`: `unknown_key`, `cycle`, …
    pub code: String,
    /// Where: `nodes[2].with.to`; empty for the whole document.
    pub path: String,
    /// One sentence for a person, which names the limit or the nearest known word where there is one.
    pub message: String,
}

impl Problem {
    /// Builds a problem.
    pub fn new(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), path: path.into(), message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            write!(f, "{} [{}]", self.message, self.code)
        } else {
            write!(f, "{}: {} [{}]", self.path, self.message, self.code)
        }
    }
}

/// Most problems of one definition that are told: more are the same mistake seen again, or made to be many.
pub const MOST_PROBLEMS: usize = 100;

/// Longest word that is compared with others, in bytes, and most others it is compared with: a definition may have a
/// hundred wrong names and a thousand right ones.
const HINTED: (usize, usize) = (40, 200);

/// ` (did you mean "x"?)` for the nearest of `known`, or nothing when none is near.
pub fn nearest_hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if word.len() > HINTED.0 {
        return String::new();
    }
    known
        .into_iter()
        .take(HINTED.1)
        .filter(|candidate| candidate.len() <= HINTED.0)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| format!(" (did you mean \"{candidate}\"?)"))
        .unwrap_or_default()
}
