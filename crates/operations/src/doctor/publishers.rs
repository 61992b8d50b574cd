//! Publishers whose grant or key has ended, or ends soon.

use super::Finding;
use automation_store::access::tenants::{self, Ending};
use automation_store::events::receipts;
use automation_store::role::Operator;
use automation_store::{Db, Error, Scope};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Long enough to ask somebody and to act in working hours.
const SOON: TimeDelta = TimeDelta::days(14);
/// So many are named; a list of all is what the list commands are for.
const NAMED: usize = 5;
/// Enough to say how many there are.
const MOST: i64 = 1_000;
const CHECK: &str = "publishers";

pub(super) async fn finding(db: &Db<Operator>) -> Finding {
    let read = db
        .read(Scope::Unscoped, async |connection| {
            let now = receipts::now(connection).await?;
            Ok::<_, Error>((now, tenants::ending(connection, now + SOON, MOST).await?))
        })
        .await;
    match read {
        Ok((now, ending)) => judge(&ending, now),
        Err(error) => Finding::wrong(CHECK, error.to_string(), "automation migrate"),
    }
}

/// What is over keeps events out until somebody acts; what ends soon is noted.
fn judge(ending: &[Ending], now: DateTime<Utc>) -> Finding {
    let (over, soon): (Vec<_>, Vec<_>) = ending.iter().partition(|one| one.expires_at <= now);
    match (over.first(), soon.first()) {
        (Some(first), _) => Finding::wrong(CHECK, said(&over, "ended"), renewal(first)),
        (None, Some(first)) => Finding::noted(CHECK, said(&soon, "ends"), renewal(first)),
        (None, None) => Finding::well(CHECK, "no grant or key has ended, or ends within 14 days"),
    }
}

fn said(ending: &[&Ending], verb: &str) -> String {
    let named = ending.iter().take(NAMED).map(|one| {
        let at = one.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let what = match one.publisher.strip_prefix("apikey:") {
            Some(key) => format!("API key {key}"),
            None => format!("grant of user {}", one.publisher),
        };
        format!("{what} for tenant {} {verb} at {at}", one.tenant)
    });
    let mut text = named.collect::<Vec<_>>().join("; ");
    if ending.len() > NAMED {
        text.push_str(&format!("; and {} more", ending.len() - NAMED));
    }
    text
}

/// The command that gives it more time, or takes it for good.
fn renewal(one: &Ending) -> String {
    let Ending { tenant, publisher, .. } = one;
    match publisher.strip_prefix("apikey:") {
        Some(key) => format!(
            "automation apikey renew {key} --tenant {tenant} --expires 90d, or automation apikey revoke {key} --tenant {tenant}"
        ),
        None => format!(
            "automation tenant grant {tenant} --user {publisher} --expires 90d --types … (those of automation tenant grants {tenant}), \
             or automation tenant revoke {tenant} --user {publisher}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn ending(publisher: &str, days: i64) -> Ending {
        Ending {
            tenant: "shop".to_owned(),
            publisher: publisher.to_owned(),
            expires_at: DateTime::UNIX_EPOCH + TimeDelta::days(days),
        }
    }

    #[test]
    fn what_is_over_is_wrong_and_what_ends_soon_is_noted() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(judge(&[], now).level, Level::Well);
        let soon = judge(&[ending("crm", 3)], now);
        assert_eq!(soon.level, Level::Note);
        assert!(soon.next.unwrap().contains("tenant grant shop --user crm"));
        let over = judge(&[ending("apikey:site", 0), ending("crm", 3)], now);
        assert_eq!(over.level, Level::Wrong);
        assert!(over.next.unwrap().contains("apikey renew site --tenant shop"));
        assert_eq!(over.found, "API key site for tenant shop ended at 1970-01-01T00:00:00Z");
        let many: Vec<_> = (0..8).map(|number| ending(&number.to_string(), 1)).collect();
        assert!(judge(&many, now).found.ends_with("; and 3 more"));
    }
}
