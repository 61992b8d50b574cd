//! What the values of a delay's options may be, in the file and once rendered alike.

use crate::duration;
use crate::facts::{Facts, FieldPath};
use crate::interpreter::StepError;
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::ValueTemplate;
use crate::workflow::compile::{Reader, Section};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde_json::Value;

const MAX_DAYS: i64 = duration::LONGEST.num_days();

/// How a kind of value is read, and what is said of others.
#[derive(Debug)]
pub(super) struct Form<T> {
    pub(super) read: fn(&Value) -> Option<T>,
    /// What it is, and how it is written: `is not …`.
    pub(super) wanted: &'static str,
    /// Of a problem in a file.
    pub(super) problem: &'static str,
    /// Of a step that fails.
    pub(super) code: StepCode,
}

/// An option: a value, or a template that gives one.
#[derive(Clone, Debug)]
pub(super) struct Given<T: 'static> {
    name: &'static str,
    value: ValueTemplate,
    form: &'static Form<T>,
}

pub(super) static OFFSET: Form<TimeDelta> = Form {
    read: offset,
    wanted: "an offset: write 3h or -2d, at most 3660 days",
    problem: "bad_duration",
    code: StepCode::InvalidDuration,
};

pub(super) static DAYS: Form<i64> = Form {
    read: days,
    wanted: "a number of days: write a whole number from -3660 to 3660",
    problem: "bad_value",
    code: StepCode::InvalidConfig,
};

pub(super) static TIME: Form<NaiveTime> = Form {
    read: time,
    wanted: "a time of day: write 09:00 or 09:00:30",
    problem: "bad_time",
    code: StepCode::InvalidConfig,
};

pub(super) static MOMENT: Form<Moment> = Form {
    read: moment,
    wanted: "a date or time: write 2027-01-31, 2027-01-31T08:00 or 2027-01-31T08:00:00+01:00",
    problem: "bad_time",
    code: StepCode::InvalidDate,
};

/// A date or a time, as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// It names its distance from UTC.
    Instant(DateTime<Utc>),
    /// What a clock on a wall shows; a date alone is its midnight.
    Local(NaiveDateTime),
}

impl<T> Given<T> {
    /// The option of this name, if it is there; problems stay with the reader.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        section: Section<'_>,
        name: &'static str,
        form: &'static Form<T>,
    ) -> Option<Self> {
        let (value, at) = (section.get(name)?, section.at(name));
        let template = reader.template(value, &at)?;
        if template.is_literal() && (form.read)(value).is_none() {
            return reader.problem(form.problem, at, format!("{} is not {}", excerpt(value), form.wanted));
        }
        Some(Self { name, value: template, form })
    }

    pub(super) fn references(&self) -> impl Iterator<Item = (&FieldPath, String)> {
        self.value.references().into_iter().map(|path| (path, self.name.to_owned()))
    }

    /// The value; `None` for what comes to nothing: null, or an empty text.
    pub(super) fn get(&self, facts: &Facts<'_>) -> Result<Option<T>, StepError> {
        let error = |code: String, message| StepError { code, message };
        let rendered = self.value.render(facts).map_err(|failed| error(failed.code, failed.message))?;
        if is_nothing(&rendered) {
            return Ok(None);
        }
        let Form { read, wanted, code, .. } = self.form;
        let refused =
            || error((*code).into(), format!("{}: {} is not {wanted}", self.name, excerpt(&rendered)));
        read(&rendered).map(Some).ok_or_else(refused)
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A duration in either direction.
fn offset(value: &Value) -> Option<TimeDelta> {
    let text = value.as_str().map(str::trim);
    let back = text.and_then(|text| text.strip_prefix('-')).and_then(duration::parse);
    let forth = text.and_then(|text| text.strip_prefix('+')).and_then(duration::parse);
    let offset = back.map(|length| -length).or(forth).or_else(|| duration::of_value(value))?;
    (offset.abs() <= TimeDelta::days(MAX_DAYS)).then_some(offset)
}

fn days(value: &Value) -> Option<i64> {
    let days = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (-MAX_DAYS..=MAX_DAYS).contains(&days).then_some(days)
}

fn time(value: &Value) -> Option<NaiveTime> {
    let text = value.as_str()?.trim();
    let parse = |format| NaiveTime::parse_from_str(text, format).ok();
    // A 60th second is a leap second to the parser; no wall clock shows it.
    parse("%H:%M").or_else(|| parse("%H:%M:%S")).filter(|_| !text.ends_with(":60"))
}

/// What a text says of a moment; `None` for what is no date or time.
pub(crate) fn moment(value: &Value) -> Option<Moment> {
    let text = value.as_str()?.trim();
    // What comes before is neither looked at as a year of another length nor as a sign.
    let is_dated = text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    if !is_dated || !text.is_ascii() {
        return None;
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(Moment::Instant(instant.to_utc()));
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(Moment::Local(date.and_time(NaiveTime::MIN)));
    }
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).map(Moment::Local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn dates_and_times_are_read_as_written() {
        let local = |text: &str| Some(Moment::Local(text.parse().unwrap()));
        let instant = |text: &str| Some(Moment::Instant(text.parse().unwrap()));
        for (text, expected) in [
            ("2027-03-01", local("2027-03-01T00:00:00")),
            (" 2027-03-01 ", local("2027-03-01T00:00:00")),
            ("2027-03-01T08:30", local("2027-03-01T08:30:00")),
            ("2027-03-01 08:30:15", local("2027-03-01T08:30:15")),
            ("2027-03-01T08:30:15.250", local("2027-03-01T08:30:15.250")),
            ("2027-03-01T08:30:15Z", instant("2027-03-01T08:30:15Z")),
            ("2027-03-01T08:30:15+02:00", instant("2027-03-01T06:30:15Z")),
            ("2027-02-29", None),
            ("27-03-01", None),
            ("+2027-03-01", None),
            ("2027-3-1", None),
            ("01.03.2027", None),
            ("2027-03-01T25:00", None),
            ("2027-03-01T08:30 Europe/Berlin", None),
            ("tomorrow", None),
            ("2027-03-1\u{e9}", None),
        ] {
            assert_eq!(moment(&json!(text)), expected, "{text}");
        }
        assert_eq!(moment(&json!(1_800_000_000)), None, "seconds and milliseconds look alike");
    }

    #[test]
    fn offsets_and_times_of_day_are_read_as_written() {
        for (value, seconds) in [
            (json!("-2d"), Some(-172_800)),
            (json!("3h"), Some(10_800)),
            (json!("+1h30m"), Some(5_400)),
            (json!(-90), Some(-90)),
            (json!("-3661d"), None),
            (json!("--1d"), None),
            (json!("2 days"), None),
        ] {
            assert_eq!(offset(&value).map(|offset| offset.num_seconds()), seconds, "{value}");
        }
        for (value, expected) in [
            (json!("09:00"), Some((9, 0, 0))),
            (json!("9:05"), Some((9, 5, 0))),
            (json!("23:59:59"), Some((23, 59, 59))),
            (json!("24:00"), None),
            (json!("09:60"), None),
            (json!("09:00:60"), None),
            (json!("9"), None),
            (json!(900), None),
        ] {
            let expected =
                expected.and_then(|(hour, minute, second)| NaiveTime::from_hms_opt(hour, minute, second));
            assert_eq!(time(&value), expected, "{value}");
        }
        for (value, expected) in
            [(json!(-1), Some(-1)), (json!("3"), Some(3)), (json!(3_661), None), (json!(1.5), None)]
        {
            assert_eq!(days(&value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(text in "[-+0-9:TZdhms. é]{0,24}", number: f64) {
            for value in [json!(text), json!(number)] {
                let _ = (moment(&value), offset(&value), time(&value), days(&value), duration::of_value(&value));
            }
        }
    }
}
