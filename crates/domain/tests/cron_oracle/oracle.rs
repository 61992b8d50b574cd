//! The slow oracle: it looks at every minute or second of a window, and asks a field matcher of its own.

use crate::cases::Case;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};

/// Longer than any stretch of wall clock that comes twice.
const LOOK_BACK: TimeDelta = TimeDelta::hours(26);

pub fn slots(case: &Case) -> Vec<DateTime<Utc>> {
    let fields: Vec<&str> = case.expression.split_whitespace().collect();
    let (step, fields) = match fields.as_slice() {
        [minute, hour, day, month, weekday] => (60, ["0", *minute, *hour, *day, *month, *weekday]),
        [second, minute, hour, day, month, weekday] => (1, [*second, *minute, *hour, *day, *month, *weekday]),
        _ => panic!("{case}"),
    };
    let step = TimeDelta::seconds(step);
    let is_fixed = !fields[..3].iter().any(|field| field.contains(['*', '/']));
    let wall = |at: DateTime<Utc>| at.with_timezone(&case.zone).naive_local();
    let mut found = Vec::new();
    let begin = (case.after - LOOK_BACK).timestamp();
    let mut at = DateTime::from_timestamp(begin - begin.rem_euclid(step.num_seconds()), 0).unwrap();
    let (mut before, mut latest) = (wall(at), wall(at));
    while at < case.until {
        at += step;
        let shown = wall(at);
        let mut is_slot = matches(&fields, shown) && !(is_fixed && shown <= latest);
        let mut skipped = before + step;
        while is_fixed && skipped < shown {
            is_slot |= matches(&fields, skipped);
            skipped += step;
        }
        (before, latest) = (shown, latest.max(shown));
        if is_slot && at > case.after {
            found.push(at);
        }
    }
    found
}

fn matches(fields: &[&str; 6], at: NaiveDateTime) -> bool {
    let [second, minute, hour, day, month, weekday] = fields;
    is_in(minute, at.minute(), 0, 59)
        && is_in(hour, at.hour(), 0, 23)
        && is_in(second, at.second(), 0, 59)
        && is_in(&numbers(month), at.month(), 1, 12)
        && is_day(day, &numbers(weekday), at.date())
}

/// Either of day and weekday is enough when both are restricted, except that `+` asks for both.
fn is_day(day: &str, weekday: &str, date: NaiveDate) -> bool {
    let any = |field: &str| field == "*" || field == "?";
    let (both, weekday) = weekday.strip_prefix('+').map_or((false, weekday), |rest| (true, rest));
    let (on_day, on_weekday) = (is_day_of_month(day, date), is_weekday(weekday, date));
    match (any(day), any(weekday)) {
        (true, true) => true,
        (true, false) => on_weekday,
        (false, true) => on_day,
        (false, false) if both => on_day && on_weekday,
        (false, false) => on_day || on_weekday,
    }
}

fn is_day_of_month(field: &str, date: NaiveDate) -> bool {
    field.split(',').any(|item| match item {
        "L" => date.day() == last_day(date),
        "LW" => Some(date) == nearest_weekday(date, last_day(date)),
        _ => match item.strip_suffix('W') {
            Some(day) => Some(date) == nearest_weekday(date, day.parse().unwrap()),
            None => is_in(item, date.day(), 1, 31),
        },
    })
}

fn is_weekday(field: &str, date: NaiveDate) -> bool {
    let today = date.weekday().num_days_from_sunday();
    field.split(',').any(|item| {
        if let Some((day, nth)) = item.split_once('#') {
            return day.parse::<u32>().unwrap() % 7 == today
                && (date.day() - 1) / 7 + 1 == nth.parse::<u32>().unwrap();
        }
        if let Some(day) = item.strip_suffix('L') {
            return day.parse::<u32>().unwrap() % 7 == today && date.day() + 7 > last_day(date);
        }
        is_in(item, today, 0, 7) || (today == 0 && is_in(item, 7, 0, 7))
    })
}

/// The weekday nearest to a day, within its month.
fn nearest_weekday(month: NaiveDate, day: u32) -> Option<NaiveDate> {
    let wanted = month.with_day(day)?;
    let distances: [i64; 5] = [0, -1, 1, -2, 2];
    distances
        .into_iter()
        .map(|days| wanted + TimeDelta::days(days))
        .find(|date| date.month() == wanted.month() && date.weekday().num_days_from_monday() < 5)
}

fn last_day(date: NaiveDate) -> u32 {
    (28..=31).rev().find(|day| date.with_day(*day).is_some()).unwrap()
}

fn is_in(field: &str, value: u32, least: u32, most: u32) -> bool {
    field.split(',').any(|item| {
        let (range, step) =
            item.split_once('/').map_or((item, 1), |(range, step)| (range, step.parse().unwrap()));
        let (first, last) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (least, most),
            (_, Some((first, last))) => (first.parse().unwrap(), last.parse().unwrap()),
            (number, None) => (number.parse().unwrap(), number.parse().unwrap()),
        };
        (first..=last).contains(&value) && (value - first).is_multiple_of(step)
    })
}

fn numbers(field: &str) -> String {
    // At the end of a range Sunday is the last day.
    let mut field = field.replace("-SUN", "-7");
    for (number, name) in ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        .iter()
        .enumerate()
    {
        field = field.replace(name, &(number + 1).to_string());
    }
    for (number, name) in ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"].iter().enumerate() {
        field = field.replace(name, &number.to_string());
    }
    field
}
