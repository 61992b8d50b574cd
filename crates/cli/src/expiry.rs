//! When something that is given ends: `--expires 90d`, `--expires 2027-01-31`.

use crate::{exit, moment};
use automation_domain::duration;
use automation_store::events::receipts;
use automation_store::{Db, Scope};
use chrono::{DateTime, TimeDelta, Utc};

/// An end, as people say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// So long from now on.
    After(TimeDelta),
    /// At this moment.
    At(DateTime<Utc>),
}

impl Expiry {
    /// Reads `90d`, `12h`, a date (its beginning in UTC), or a time by RFC 3339.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(after) = duration::parse(text).filter(|after| *after > TimeDelta::zero()) {
            return Ok(Self::After(after));
        }
        moment::named(text).map(Self::At).ok_or_else(|| {
            "must be a duration (90d, 12h), a date (2027-01-31) or a time (2027-01-31T18:00:00Z)".to_owned()
        })
    }

    /// The moment, seen from `now`, the database's clock. One that is over is refused.
    fn moment(self, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
        match self {
            Self::After(after) => Ok(now + after),
            Self::At(at) if at > now => Ok(at),
            Self::At(at) => Err(exit::usage(
                format!("{at} is over already"),
                "give --expires a time to come: 90d, 2027-01-31",
            )),
        }
    }
}

/// The end, if there is to be one, by the database's clock, which decides about it.
pub async fn end(
    db: &Db,
    scope: Scope<'_>,
    expires: Option<Expiry>,
) -> anyhow::Result<Option<DateTime<Utc>>> {
    let Some(expires) = expires else { return Ok(None) };
    let now = db.tx(scope, async |connection| receipts::now(connection).await).await?;
    expires.moment(now).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Expiry::parse(text).unwrap().moment(now).unwrap(), at(expected), "{text}");
        }
        for text in ["", "0s", "soon", "2027-13-01", "-1d"] {
            assert!(Expiry::parse(text).is_err(), "{text}");
        }
        assert!(Expiry::parse("2026-11-24").unwrap().moment(now).is_err());
    }
}
