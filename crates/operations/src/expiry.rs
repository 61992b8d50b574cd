//! When something that is given ends.

use crate::{Error, Refusal};
use automation_store::Conn;
use automation_store::events::receipts;
use automation_store::role::Role;
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
    /// The moment, seen from `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal::ExpiryIsOver`] for one that is over.
    pub fn moment(self, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refusal> {
        match self {
            Self::After(after) => Ok(now + after),
            Self::At(at) if at > now => Ok(at),
            Self::At(at) => Err(Refusal::ExpiryIsOver(at)),
        }
    }
}

/// The end, if there is to be one, by the database's clock, which decides about it.
pub(crate) async fn end(
    connection: &mut Conn<impl Role>,
    expires: Option<Expiry>,
) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(expires) = expires else { return Ok(None) };
    Ok(Some(expires.moment(receipts::now(connection).await?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_to_come() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let hour = TimeDelta::hours(1);
        assert_eq!(Expiry::After(hour).moment(now), Ok(now + hour));
        assert_eq!(Expiry::At(now + hour).moment(now), Ok(now + hour));
        assert_eq!(Expiry::At(now).moment(now), Err(Refusal::ExpiryIsOver(now)));
    }
}
