//! Slots by the clock on the wall of a time zone.
//!
//! The library finds the next time of day and date that an expression names, on a calendar without clock changes.
//! What a change of clocks does to it is decided here (`docs/schedules.md`):
//!
//! - An expression whose second, minute and hour name times (numbers, lists, ranges) is *fixed*: a time that the clocks
//!   skip fires once, at the first instant after the gap; a time that comes twice fires at its first coming.
//! - Any other (`*` or a step in one of the three) follows the clock: skipped times do not fire, repeated ones fire twice.

mod bad_cron;
mod field;
mod words;

pub use bad_cron::BadCron;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::CronParser;

/// How far apart the zone's offset is looked at when searching for its next change; changes are weeks apart.
const STRIDE: TimeDelta = TimeDelta::hours(12);
/// Where the search for a first slot begins, to see whether there is one: any date would do.
const SOME_DATE: DateTime<Utc> = DateTime::from_timestamp(1_767_225_600, 0).expect("in range");

/// A cron expression of five or six fields in a time zone.
#[derive(Clone, PartialEq, Debug)]
pub struct Cron {
    text: String,
    zone: Tz,
    calendar: croner::Cron,
    fields: field::Fields,
    is_fixed: bool,
}

impl Cron {
    /// Reads an expression: minute, hour, day of month, month, day of week, with seconds in front if there are six.
    ///
    /// # Errors
    ///
    /// [`BadCron`] says which field is wrong, and what it may be.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, BadCron> {
        let written = field::split(text)?;
        let fields = field::read(&written)?;
        let text = written.join(" ");
        let calendar = CronParser::new()
            .parse(&text)
            .map_err(|error| BadCron::new(format!("\"{text}\" is not a cron expression: {error}")))?;
        let of_day = &written[..written.len() - 3];
        let is_fixed = of_day.iter().all(|field| !field.contains(['*', '/']));
        let cron = Self { text, zone, calendar, fields, is_fixed };
        if cron.next_wall(SOME_DATE.naive_utc()).is_none() {
            return Err(BadCron::never(&cron.text));
        }
        Ok(cron)
    }

    /// As written, with single spaces.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone whose wall clock counts.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The expression in English.
    pub fn words(&self) -> String {
        words::describe(&self.fields)
    }

    /// The first slot after `at`.
    ///
    /// Walks from one change of the zone's offset to the next: between two, wall clock and time run alike.
    pub(super) fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut at = DateTime::from_timestamp(at.timestamp(), 0)?;
        let mut offset = self.offset(at);
        let mut wall = at.naive_utc().checked_add_signed(offset)?;
        loop {
            let found = self.next_wall(wall)?;
            let slot = found.checked_sub_signed(offset)?.and_utc();
            let Some(change) = self.change_between(at, slot, offset) else {
                if self.is_fixed && self.is_second_coming(found, slot) {
                    wall = found;
                    continue;
                }
                return Some(slot);
            };
            let new_offset = self.offset(change);
            let shown = change.naive_utc().checked_add_signed(new_offset)?;
            let expected = change.naive_utc().checked_add_signed(offset)?;
            if self.is_fixed && found < shown {
                // The clocks skip from `expected`, which `found` is not before, to `shown`.
                return Some(change);
            }
            // Times from `shown` to `expected` come twice if the clocks went back.
            let go_on = if self.is_fixed { shown.max(expected) } else { shown };
            (at, offset, wall) = (change, new_offset, go_on - TimeDelta::seconds(1));
        }
    }

    pub(super) fn is_closer_than(&self, distance: TimeDelta) -> bool {
        let Some(first) = self.next_wall(SOME_DATE.naive_utc() - TimeDelta::seconds(1)) else { return false };
        if distance <= TimeDelta::seconds(1) {
            return false;
        }
        // Times of day are the same on every day that matches, and the day after one may be another.
        let mut last = first;
        while let Some(next) = self.next_wall(last).filter(|next| next.date() == first.date()) {
            if next - last < distance {
                return true;
            }
            last = next;
        }
        first + TimeDelta::days(1) - last < distance
    }

    /// The first time after `wall` that the expression names, on a calendar without clock changes.
    fn next_wall(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let found = self.calendar.find_next_occurrence(&wall.and_utc(), false);
        found.ok().map(|found| found.naive_utc())
    }

    fn offset(&self, at: DateTime<Utc>) -> TimeDelta {
        let offset = self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        TimeDelta::seconds(offset.local_minus_utc().into())
    }

    /// The first instant after `at`, and not after `until`, at which the offset is another than `offset`, as it is at `at`.
    fn change_between(
        &self,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
        offset: TimeDelta,
    ) -> Option<DateTime<Utc>> {
        let (mut same, mut other) = (at, at);
        while other < until {
            other = until.min(same.checked_add_signed(STRIDE)?);
            if self.offset(other) != offset {
                while (other - same) > TimeDelta::seconds(1) {
                    let middle = same + TimeDelta::seconds((other - same).num_seconds() / 2);
                    if self.offset(middle) == offset { same = middle } else { other = middle }
                }
                return Some(other);
            }
            same = other;
        }
        None
    }

    /// Whether the wall clock showed this time once before.
    fn is_second_coming(&self, wall: NaiveDateTime, slot: DateTime<Utc>) -> bool {
        self.zone.from_local_datetime(&wall).earliest().is_some_and(|first| first.to_utc() < slot)
    }
}
