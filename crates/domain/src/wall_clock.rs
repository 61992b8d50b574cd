//! From the wall clock of a time zone to instants: what a date and a time of day mean there.
//!
//! Changes of the clocks count as they do for fixed times of schedules (`docs/schedules.md`): a time that the clocks skip is the
//! first instant after the gap, a time that comes twice is its first coming.

use chrono::{
    DateTime, Datelike, Days, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
    Timelike, Utc,
};
use chrono_tz::Tz;

/// Longer than any zone's clock differs from UTC, with any gap.
const FAR: TimeDelta = TimeDelta::hours(48);
/// Days in which every weekday comes, also where a date is skipped or comes twice.
const DAYS: u64 = 9;

/// Days of the week, by their names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Weekdays([bool; 7]);

impl Weekdays {
    pub(crate) const WORDS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    pub(crate) const ALL: Self = Self([true; 7]);

    /// Those of these words; the first that is none is the error.
    pub(crate) fn read<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, &'w str> {
        let mut days = [false; 7];
        for word in words {
            let day = Self::WORDS.iter().position(|known| *known == word).ok_or(word)?;
            days[day] = true;
        }
        Ok(Self(days))
    }

    fn has(self, date: NaiveDate) -> bool {
        self.0[date.weekday().num_days_from_monday() as usize]
    }
}

/// When the wall clock of a zone shows this; `None` beyond the calendar.
pub(crate) fn instant(zone: Tz, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&shown) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.to_utc()),
        MappedLocalTime::None => end_of_gap(zone, shown),
    }
}

/// The first instant at which the clock shows more than a time that it skips. Clocks change at whole seconds.
fn end_of_gap(zone: Tz, skipped: NaiveDateTime) -> Option<DateTime<Utc>> {
    let whole = skipped.with_nanosecond(0)?.and_utc();
    let (mut before, mut after) = (whole.checked_sub_signed(FAR)?, whole.checked_add_signed(FAR)?);
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        let shown = zone.from_utc_datetime(&middle.naive_utc()).naive_local();
        if shown < skipped { before = middle } else { after = middle }
    }
    Some(after)
}

/// The first instant, `now` or later, at which it is this time on one of these days; `None` beyond the calendar, or on no day.
pub(crate) fn next(zone: Tz, now: DateTime<Utc>, time: NaiveTime, on: Weekdays) -> Option<DateTime<Utc>> {
    let today = zone.from_utc_datetime(&now.naive_utc()).date_naive();
    // What the clocks skipped yesterday may come today.
    let first = today.checked_sub_days(Days::new(1))?;
    let dates = (0..=DAYS).filter_map(|day| first.checked_add_days(Days::new(day)));
    dates
        .filter(|date| on.has(*date))
        .filter_map(|date| instant(zone, date.and_time(time)))
        .find(|at| *at >= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Cron, Schedule, Timing};
    use proptest::prelude::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn at(zone: Tz, shown: &str) -> DateTime<Utc> {
        instant(zone, shown.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_local_time_that_is_skipped_is_the_end_of_the_gap() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(at(berlin, "2027-03-28T01:59:59"), utc("2027-03-28T00:59:59Z"));
        assert_eq!(at(berlin, "2027-03-28T02:00:00"), utc("2027-03-28T01:00:00Z"));
        assert_eq!(at(berlin, "2027-03-28T02:30:00"), utc("2027-03-28T01:00:00Z"));
        assert_eq!(at(berlin, "2027-03-28T02:59:59.5"), utc("2027-03-28T01:00:00Z"));
        assert_eq!(at(berlin, "2027-03-28T03:00:00"), utc("2027-03-28T01:00:00Z"));
        // A whole day that Samoa never had, and half an hour on Lord Howe.
        assert_eq!(at(Tz::Pacific__Apia, "2011-12-30T09:00:00"), utc("2011-12-30T10:00:00Z"));
        assert_eq!(at(Tz::Australia__Lord_Howe, "2027-10-03T02:10:00"), utc("2027-10-02T15:30:00Z"));
        // Midnight that does not exist.
        assert_eq!(at(Tz::America__Santiago, "2027-09-05T00:00:00"), utc("2027-09-05T04:00:00Z"));
    }

    #[test]
    fn a_local_time_that_comes_twice_is_its_first_coming() {
        assert_eq!(at(Tz::Europe__Berlin, "2027-10-31T02:30:00"), utc("2027-10-31T00:30:00Z"));
        assert_eq!(at(Tz::Australia__Lord_Howe, "2027-04-04T01:45:00"), utc("2027-04-03T14:45:00Z"));
    }

    #[test]
    fn a_time_of_day_that_passed_at_its_first_coming_does_not_come_again_that_day() {
        let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
        let next = next(Tz::Europe__Berlin, utc("2027-10-31T00:30:01Z"), half_past_two, Weekdays::ALL);
        assert_eq!(next, Some(utc("2027-11-01T01:30:00Z")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn times_of_day_come_when_a_schedule_at_that_time_fires(
            zone in prop::sample::select(vec![
                Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Tokyo, Tz::Australia__Lord_Howe,
                Tz::America__Santiago, Tz::Africa__Casablanca, Tz::Pacific__Apia, Tz::Asia__Kolkata,
            ]),
            now in 1_300_000_000_i64..2_100_000_000,
            (hour, minute) in (0u32..24, 0u32..60),
            on in prop::collection::btree_set(0usize..7, 1..7),
        ) {
            let now = DateTime::from_timestamp(now, 0).unwrap();
            let words = on.iter().map(|day| Weekdays::WORDS[*day]);
            let days = Weekdays::read(words.clone()).unwrap();
            let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
            let days_of_cron: Vec<String> = words.map(|word| word[..3].to_uppercase()).collect();
            let cron = Cron::parse(&format!("{minute} {hour} * * {}", days_of_cron.join(",")), zone).unwrap();
            let schedule = Schedule::plain(Timing::Cron(Box::new(cron)));
            // A schedule fires after a time, a delay may be over at it.
            let slot = schedule.next_after(now - TimeDelta::seconds(1));
            prop_assert_eq!(next(zone, now, time, days), slot);
        }
    }
}
