//! Cron expressions in time zones, against an oracle that knows nothing but the rule: it steps through time.
//!
//! Every case compares all slots of a window, most of them around a change of clocks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod cases;
mod oracle;

use automation_domain::schedule::{Cron, Schedule, Timing};
use cases::Case;
use chrono::{DateTime, Utc};

fn slots(case: &Case) -> Vec<DateTime<Utc>> {
    let cron = Cron::parse(&case.expression, case.zone).unwrap_or_else(|bad| panic!("{case}: {bad}"));
    let schedule = Schedule::plain(Timing::Cron(Box::new(cron)));
    schedule.slots_between(case.after, case.until, usize::MAX)
}

fn check(cases: &[Case]) -> usize {
    let mut compared = 0;
    for case in cases {
        let (found, expected) = (slots(case), oracle::slots(case));
        assert_eq!(found, expected, "{case}");
        compared += expected.len();
    }
    compared
}

#[test]
fn four_hundred_cases_around_changes_of_clocks_equal_the_oracle() {
    let cases = cases::around_changes(400);
    assert_eq!(cases.len(), 400);
    let zones: std::collections::BTreeSet<_> = cases.iter().map(|case| case.zone.name()).collect();
    assert!(zones.len() > 25, "{zones:?}");
    let slots = check(&cases);
    println!("400 of 400 cases in {} zones, {slots} slots", zones.len());
    assert!(slots > 4_000, "only {slots} slots were compared");
}

#[test]
fn a_hundred_cases_of_the_calendar_equal_the_oracle() {
    let cases = cases::of_the_calendar(100);
    assert_eq!(cases.len(), 100);
    let slots = check(&cases);
    println!("100 of 100 cases, {slots} slots");
    assert!(slots > 400, "only {slots} slots were compared");
}

/// The oracle itself, by hand: without this, two equal mistakes would agree.
#[test]
fn the_oracle_knows_the_rule() {
    for (expression, zone, after, until, expected) in [
        // 02:00 to 03:00 is skipped: a fixed time fires at its end, others not at all.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "01:00"),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", ""),
        // 02:00 to 03:00 comes twice: a fixed time fires at its first coming, others at both.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", "00:30"),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            "2026-10-25T12:00:00Z",
            "00:00 00:30 01:00 01:30",
        ),
        // Two skipped times come to one slot, and so do a skipped time and the one at the gap's end.
        (
            "15,45 2,3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            "2026-03-29T12:00:00Z",
            "01:00 01:15 01:45",
        ),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", "01:00"),
        // Midnight is skipped.
        ("0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", "2026-03-08T12:00:00Z", "05:00"),
        // Half an hour is skipped, half an hour comes twice.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z", "15:30"),
        (
            "*/15 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            "2026-04-04T23:00:00Z",
            "14:00 14:15 14:30 14:45 15:00 15:15",
        ),
        // A whole day is skipped.
        ("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-31T00:00:00Z", "19:00 10:00 19:00"),
    ] {
        let case = Case {
            expression: expression.to_owned(),
            zone: zone.parse().unwrap(),
            after: after.parse().unwrap(),
            until: until.parse().unwrap(),
        };
        let times = |slots: Vec<DateTime<Utc>>| {
            slots.iter().map(|slot| slot.format("%H:%M").to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(times(oracle::slots(&case)), expected, "the oracle on {case}");
        assert_eq!(times(slots(&case)), expected, "{case}");
    }
}
