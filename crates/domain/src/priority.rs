//! The three priorities of events and runs.

use serde::{Deserialize, Serialize};

/// Which queue an event or a run goes through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Payments, forms: somebody is waiting.
    High,
    /// Behaviour and mail events, and everything unknown.
    Medium,
    /// Schedules and batches.
    Low,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// The key used in queue names, routing keys and workflow files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    /// The number stored in the database: 0 high, 1 medium, 2 low.
    pub fn as_i16(self) -> i16 {
        match self {
            Self::High => 0,
            Self::Medium => 1,
            Self::Low => 2,
        }
    }

    /// Reads what [`Self::as_i16`] wrote.
    pub fn from_i16(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_i16() == number)
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == key)
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
