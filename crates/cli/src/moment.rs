//! A moment as people say it: `--since 2026-11-30`, `--since 2h`.

use automation_domain::duration;
use automation_service_kit::clock;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Reads a time by RFC 3339, a date (its beginning in UTC), or how long ago (`2h`, `7d`).
pub fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    if let Some(at) = named(text) {
        return Ok(at);
    }
    let ago = duration::parse(text).filter(|ago| *ago > TimeDelta::zero());
    ago.and_then(|ago| clock::wall_clock().checked_sub_signed(ago)).ok_or_else(|| {
        "must be a time (2026-11-30T08:00:00Z), a date (2026-11-30, from its beginning in UTC), or how long ago (2h, 7d)"
            .to_owned()
    })
}

/// A time or a date.
pub fn named(text: &str) -> Option<DateTime<Utc>> {
    match text.parse::<NaiveDate>() {
        Ok(date) => Some(date.and_time(NaiveTime::MIN).and_utc()),
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_dates_and_how_long_ago_are_moments() {
        let at = |text: &str| parse(text).map(|at| at.to_rfc3339());
        assert_eq!(at("2026-11-30"), Ok("2026-11-30T00:00:00+00:00".to_owned()));
        assert_eq!(at("2026-11-30T09:00:00+01:00"), Ok("2026-11-30T08:00:00+00:00".to_owned()));
        let hours_ago = clock::wall_clock() - parse("2h").unwrap();
        assert!((TimeDelta::minutes(119)..TimeDelta::minutes(121)).contains(&hours_ago));
        for bad in ["", "yesterday", "2026-13-01", "2026-11-30T08:00:00", "-2h", "0s", "999999999d"] {
            assert!(parse(bad).unwrap_err().starts_with("must be a time"), "{bad}");
        }
    }
}
