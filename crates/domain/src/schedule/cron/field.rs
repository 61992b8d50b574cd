//! The fields of an expression: what may stand in each, and which values it names.
//!
//! The grammar is narrower than the library's, so that a refusal names the field at fault and what to write instead, and
//! so that [`super::words`] describes what fires and not what was written.

use super::BadCron;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The fields of an expression, in the order in which they are written; without seconds there is one slot at second 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fields {
    pub(super) second: Values,
    pub(super) minute: Values,
    pub(super) hour: Values,
    pub(super) day: Values,
    pub(super) month: Values,
    pub(super) weekday: Values,
    /// Whether day of month and day of week have to hold both (`+FRI`); otherwise either is enough.
    pub(super) both_days: bool,
}

/// What a field names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Values {
    /// `*`: the field restricts nothing.
    pub(super) any: bool,
    /// Plain values, written out; all of them for `*`. Sunday is 0.
    pub(super) plain: BTreeSet<u8>,
    /// The last day of the month: `L`.
    pub(super) last: bool,
    /// The last weekday of the month: `LW`.
    pub(super) last_weekday: bool,
    /// The weekday nearest to each of these days: `15W`.
    pub(super) nearest_weekday: BTreeSet<u8>,
    /// The last such day of the month: `5L`.
    pub(super) last_of: BTreeSet<u8>,
    /// The nth such day of the month, as (day, n): `5#2`.
    pub(super) nth_of: BTreeSet<(u8, u8)>,
}

/// A kind of field.
struct Kind {
    name: &'static str,
    values: &'static str,
    range: RangeInclusive<u8>,
    words: &'static [&'static str],
    days: Days,
}

/// Which of the signs for days a field takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Days {
    None,
    OfMonth,
    OfWeek,
}

const KINDS: [Kind; 6] = [
    Kind { name: "second", values: "0-59", range: 0..=59, words: &[], days: Days::None },
    Kind { name: "minute", values: "0-59", range: 0..=59, words: &[], days: Days::None },
    Kind { name: "hour", values: "0-23", range: 0..=23, words: &[], days: Days::None },
    Kind {
        name: "day of month",
        values: "1-31, L for the last day, LW for the last weekday, 15W for the nearest weekday",
        range: 1..=31,
        words: &[],
        days: Days::OfMonth,
    },
    Kind { name: "month", values: "1-12 or JAN-DEC", range: 1..=12, words: &MONTHS, days: Days::None },
    Kind {
        name: "day of week",
        values: "0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second",
        range: 0..=7,
        words: &WEEKDAYS,
        days: Days::OfWeek,
    },
];
/// Names of months; the first is 1.
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// Names of weekdays; the first is 0.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Splits an expression into its fields as written, five or six.
pub(super) fn split(text: &str) -> Result<Vec<&str>, BadCron> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let [nickname] = fields.as_slice() {
        if let Some((_, written)) = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(nickname)) {
            return Err(BadCron::new(format!("write {nickname} as \"{written}\"")));
        }
        if nickname.eq_ignore_ascii_case("@reboot") {
            return Err(BadCron::new("@reboot is no time: a schedule fires by the clock".to_owned()));
        }
    }
    match fields.len() {
        5 | 6 => Ok(fields),
        count => Err(BadCron::new(format!(
            "\"{text}\" has {count} {}; an expression has five: minute, hour, day of month, month, day of week; \
             or six, with the second in front",
            if count == 1 { "field" } else { "fields" },
        ))),
    }
}

/// Reads the fields of an expression.
pub(super) fn read(written: &[&str]) -> Result<Fields, BadCron> {
    let mut all = KINDS.iter().rev().zip(written.iter().rev());
    let mut next = || all.next().map_or_else(|| Ok(Values::only(0)), |(kind, field)| kind.read(field));
    let (weekday, month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let both_days = written.last().is_some_and(|field| field.starts_with('+'));
    Ok(Fields { second, minute, hour, day, month, weekday, both_days })
}

impl Values {
    fn only(value: u8) -> Self {
        Self { plain: BTreeSet::from([value]), ..Self::default() }
    }
}

impl Kind {
    fn read(&self, field: &str) -> Result<Values, BadCron> {
        let items = match field.strip_prefix('+') {
            Some(rest) if self.days == Days::OfWeek && rest != "*" && rest != "?" => rest,
            Some(_) | None => field,
        };
        if items == "*" || (items == "?" && self.days != Days::None) {
            let plain = self.range.clone().filter(|value| !self.is_second_sunday(*value)).collect();
            return Ok(Values { any: true, plain, ..Values::default() });
        }
        let mut values = Values::default();
        for item in items.split(',') {
            self.add(item, &mut values).map_err(|instead| self.refuse(field, instead))?;
        }
        if values.last && values.last_weekday {
            return Err(self.refuse(field, Some("L or LW, in two schedules for both".to_owned())));
        }
        Ok(values)
    }

    /// Adds what an item of a list names; the error is what to write instead, where that can be told.
    fn add(&self, item: &str, values: &mut Values) -> Result<(), Option<String>> {
        let upper = item.to_ascii_uppercase();
        match (self.days, upper.as_str()) {
            (Days::OfMonth, "L") => values.last = true,
            (Days::OfMonth, "LW") => values.last_weekday = true,
            (Days::OfMonth, text) if text.ends_with('W') => {
                let day = text.strip_suffix('W').and_then(|day| self.value(day)).ok_or(None)?;
                values.nearest_weekday.insert(day);
            }
            (Days::OfWeek, text) if text.ends_with('L') => {
                let day = text.strip_suffix('L').and_then(|day| self.value(day)).ok_or(None)?;
                values.last_of.insert(day % 7);
            }
            (Days::OfWeek, text) if text.contains('#') => {
                let (day, nth) = text.split_once('#').ok_or(None)?;
                let nth = number(nth).filter(|nth| (1..=5).contains(nth)).ok_or(None)?;
                values.nth_of.insert((self.value(day).ok_or(None)? % 7, nth));
            }
            (_, text) => self.add_plain(text, values)?,
        }
        Ok(())
    }

    /// A value, a range, or a step through `*` or a range.
    fn add_plain(&self, item: &str, values: &mut Values) -> Result<(), Option<String>> {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(number(step).filter(|step| *step > 0).ok_or(None)?)),
            None => (item, None),
        };
        let (first, last) = match (span, span.split_once('-')) {
            ("*", _) if step.is_some() => (*self.range.start(), self.last()),
            (_, Some((first, last))) => {
                // A week may end on Sunday: SAT-SUN.
                let ends_on_sunday = self.days == Days::OfWeek && last == "SUN";
                let last = if ends_on_sunday { 7 } else { self.value(last).ok_or(None)? };
                (self.value(first).ok_or(None)?, last)
            }
            (_, None) => {
                let value = self.value(span).ok_or(None)?;
                if let Some(step) = step {
                    // Programs disagree about it: once, or on to the end of the field.
                    return Err(Some(format!("{value}-{}/{step}", self.last())));
                }
                (value, value)
            }
        };
        if first > last {
            return Err(Some(self.around(first, last)));
        }
        let step = step.unwrap_or(1);
        if step > 1 && step > last - first {
            let why =
                format!("{first} for that one alone (a step of {step} goes past {last}), or a smaller step");
            return Err(Some(why));
        }
        values
            .plain
            .extend((first..=last).step_by(step.into()).map(|value| self.without_second_sunday(value)));
        Ok(())
    }

    /// A range that goes past the end, in two.
    fn around(&self, first: u8, last: u8) -> String {
        let span =
            |first: u8, last: u8| if first == last { first.to_string() } else { format!("{first}-{last}") };
        format!("{},{}", span(first, self.last()), span(*self.range.start(), last))
    }

    /// The last value that is not another one's second name.
    fn last(&self) -> u8 {
        if self.days == Days::OfWeek { 6 } else { *self.range.end() }
    }

    fn is_second_sunday(&self, value: u8) -> bool {
        self.days == Days::OfWeek && value == 7
    }

    fn without_second_sunday(&self, value: u8) -> u8 {
        if self.is_second_sunday(value) { 0 } else { value }
    }

    /// A number or name of this field.
    fn value(&self, text: &str) -> Option<u8> {
        let named = self.words.iter().zip(self.first_word()..).find(|(word, _)| text == **word);
        named.map(|(_, value)| value).or_else(|| number(text)).filter(|value| self.range.contains(value))
    }

    fn first_word(&self) -> u8 {
        *self.range.start()
    }

    fn refuse(&self, field: &str, instead: Option<String>) -> BadCron {
        let instead = instead.unwrap_or_else(|| {
            format!("{}, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)", self.values)
        });
        BadCron::new(format!("the {} \"{field}\" is not valid: write {instead}", self.name))
    }
}

/// Digits alone: no sign, no blank.
fn number(text: &str) -> Option<u8> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
