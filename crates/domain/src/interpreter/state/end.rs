//! How a run ends.

use super::{StepError, Token};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a run ended, in a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EndStatus {
    /// It reached an end.
    Completed,
    /// A step failed for good.
    Failed,
    /// A person or a rule ended it.
    Cancelled,
}

impl EndStatus {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl End {
    /// How, in a word.
    pub fn status(&self) -> EndStatus {
        match self {
            Self::Completed => EndStatus::Completed,
            Self::Failed { .. } => EndStatus::Failed,
            Self::Cancelled { .. } => EndStatus::Cancelled,
        }
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum End {
    /// It reached an end.
    Completed,
    /// A step failed for good.
    Failed {
        /// Where; `None` when it was not a step.
        node: Option<String>,
        /// Why.
        error: StepError,
        /// The branches as they stood, the failed one among them: what a replay brings back.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
        tokens: BTreeMap<u16, Token>,
    },
    /// A person or a rule ended it.
    Cancelled {
        /// Why, in a sentence.
        reason: String,
    },
}

/// Tokens as a list of pairs: inside a tagged enum, serde does not read numbers back from the keys of an object.
mod pairs {
    use super::Token;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        tokens: &BTreeMap<u16, Token>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(tokens)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u16, Token>, D::Error> {
        Vec::<(u16, Token)>::deserialize(deserializer).map(|tokens| tokens.into_iter().collect())
    }
}
