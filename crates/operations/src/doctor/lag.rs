//! What the fleet owes: wakeups that are overdue, events that do not leave, events that were refused; and the clocks.

use super::Finding;
use automation_store::upkeep::lag::{COUNTED_AT_MOST, Lag};
use chrono::{DateTime, TimeDelta, Utc};

/// The sweep looks at what is due every second; beyond this nobody does.
const OVERDUE: TimeDelta = TimeDelta::seconds(30);
/// A relay takes hundreds of events in a moment.
const OUTBOX: i64 = 5_000;
/// Leases and schedules go by the database's clock; logs and `doctor` itself by this machine's.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(5);

const SCHEDULER: &str =
    "automation serve --roles scheduler, in a checkout ./dev up; docs/runbooks/stuck-queue.md";

/// Judges the lag; `here` is this machine's clock when it was read.
pub(super) fn findings(lag: &Lag, here: DateTime<Utc>) -> Vec<Finding> {
    vec![clocks(lag.now, here), wakeups(lag), outbox(lag), parked(lag)]
}

fn clocks(database: DateTime<Utc>, here: DateTime<Utc>) -> Finding {
    let apart = (database - here).abs();
    let found = format!("the database's and this machine's are {} ms apart", apart.num_milliseconds());
    match apart <= CLOCKS_APART {
        true => Finding::well("clocks", found),
        false => Finding::wrong("clocks", found, "set both machines' clocks: chronyc makestep"),
    }
}

fn wakeups(lag: &Lag) -> Finding {
    let late = lag.overdue_since.map_or(TimeDelta::zero(), |since| lag.now - since);
    let found = format!("{} are due, the oldest for {} s", many(lag.overdue), late.num_seconds());
    match late <= OVERDUE {
        true => Finding::well("wakeups", found),
        false => Finding::wrong("wakeups", found, SCHEDULER),
    }
}

fn outbox(lag: &Lag) -> Finding {
    let found = format!("{} events wait to leave", many(lag.outbox));
    match lag.outbox < OUTBOX {
        true => Finding::well("outbox", found),
        false => Finding::wrong("outbox", found, SCHEDULER),
    }
}

/// The engine works as it should when it refuses an event: it is the publisher's matter, and kept for whoever looks.
fn parked(lag: &Lag) -> Finding {
    let found =
        format!("{} that nobody has handled were refused during the last day", many(lag.parked_last_day));
    match lag.parked_last_day {
        0 => Finding::well("parked events", found),
        _ => Finding::noted("parked events", found, "automation parked list; docs/runbooks/parked-events.md"),
    }
}

fn many(count: i64) -> String {
    if count >= COUNTED_AT_MOST { format!("{count} or more") } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Lag {
        Lag { now: DateTime::UNIX_EPOCH, overdue_since: None, overdue: 0, outbox: 0, parked_last_day: 0 }
    }

    fn wrong(lag: &Lag, here: DateTime<Utc>) -> Vec<&'static str> {
        findings(lag, here).iter().filter(|finding| !finding.healthy).map(|finding| finding.check).collect()
    }

    #[test]
    fn a_fleet_that_keeps_up_is_well() {
        let here = DateTime::UNIX_EPOCH + TimeDelta::seconds(4);
        assert!(wrong(&quiet(), here).is_empty());
        let busy = Lag {
            overdue_since: Some(DateTime::UNIX_EPOCH - TimeDelta::seconds(2)),
            overdue: 900,
            ..quiet()
        };
        assert!(wrong(&busy, here).is_empty());
    }

    #[test]
    fn each_kind_of_lag_is_named() {
        let here = DateTime::UNIX_EPOCH;
        let late = Lag { overdue_since: Some(here - TimeDelta::minutes(2)), overdue: 1, ..quiet() };
        assert_eq!(wrong(&late, here), ["wakeups"]);
        assert_eq!(wrong(&Lag { outbox: COUNTED_AT_MOST, ..quiet() }, here), ["outbox"]);
        assert!(wrong(&Lag { parked_last_day: 1, ..quiet() }, here).is_empty(), "it is noted");
        assert_eq!(wrong(&quiet(), here - TimeDelta::minutes(1)), ["clocks"]);
    }
}
