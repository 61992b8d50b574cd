//! A moment of a case: so long after its beginning, or a time.

use automation_domain::duration;
use automation_domain::workflow::{Reader, Section};
use chrono::{DateTime, TimeDelta, Utc};

/// When.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// So long after the case begins.
    After(TimeDelta),
    /// At this time.
    At(DateTime<Utc>),
}

impl Moment {
    /// Reads `2d`, or a time by RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        let at = || DateTime::parse_from_rfc3339(text).ok().map(|at| Self::At(at.to_utc()));
        duration::parse(text).map(Self::After).or_else(at)
    }

    /// The time, of a case that begins then.
    pub fn from(self, start: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::After(after) => start + after,
            Self::At(at) => at,
        }
    }
}

/// A moment that may be missing.
pub(super) fn optional(reader: &mut Reader<'_>, section: Section<'_>, key: &str) -> Option<Option<Moment>> {
    let Some(value) = section.get(key) else { return Some(None) };
    match value.as_str().and_then(Moment::parse) {
        Some(moment) => Some(Some(moment)),
        None => {
            let message = format!(
                "{value} is no moment: write 0s, 2d or 1h30m after the beginning, or a time by RFC 3339"
            );
            reader.problem("bad_value", section.at(key), message)
        }
    }
}
