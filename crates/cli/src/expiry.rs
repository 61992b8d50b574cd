//! When something that is given ends: `--expires 90d`, `--expires 2027-01-31`.

use crate::moment;
use automation_domain::duration;
use automation_operations::Expiry;
use chrono::TimeDelta;

/// Reads `90d`, `12h`, a date (its beginning in UTC), or a time by RFC 3339.
pub fn parse(text: &str) -> Result<Expiry, String> {
    if let Some(after) = duration::parse(text).filter(|after| *after > TimeDelta::zero()) {
        return Ok(Expiry::After(after));
    }
    moment::named(text).map(Expiry::At).ok_or_else(|| {
        "must be a duration (90d, 12h), a date (2027-01-31) or a time (2027-01-31T18:00:00Z)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    #[test]
    fn an_end_is_a_duration_a_date_or_a_time_that_is_to_come() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let now = at("2026-11-24T08:00:00Z");
        for (text, expected) in [
            ("90d", "2027-02-22T08:00:00Z"),
            ("1h30m", "2026-11-24T09:30:00Z"),
            ("2027-01-31", "2027-01-31T00:00:00Z"),
            ("2027-01-31T18:00:00+01:00", "2027-01-31T17:00:00Z"),
        ] {
            assert_eq!(parse(text).unwrap().moment(now).unwrap(), at(expected), "{text}");
        }
        for text in ["", "0s", "soon", "2027-13-01", "-1d"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("2026-11-24").unwrap().moment(now).is_err());
    }
}
