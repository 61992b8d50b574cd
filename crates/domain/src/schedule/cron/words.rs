//! A cron expression in English, told from the values that it names: the words say what fires.

use super::field::{Fields, Values};
use std::collections::BTreeSet;

/// Most times of day that are told one by one.
const MOST_TIMES: usize = 12;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// One sentence.
pub(super) fn describe(fields: &Fields) -> String {
    let mut sentence = time(fields);
    for part in [days(fields), months(&fields.month)].into_iter().flatten() {
        sentence.push(' ');
        sentence.push_str(&part);
    }
    sentence.push('.');
    sentence
}

/// `At 02:30`, `Every 10 minutes`, `At minute 0 and 45 of every hour`.
fn time(fields: &Fields) -> String {
    let Fields { second, minute, hour, .. } = fields;
    let on_the_minute = is_only(second, 0);
    if let Some(every) = pace(fields) {
        return every;
    }
    let count = second.plain.len() * minute.plain.len() * hour.plain.len();
    if !hour.any && count <= MOST_TIMES {
        let mut times = Vec::with_capacity(count);
        for (hour, minute) in
            hour.plain.iter().flat_map(|hour| minute.plain.iter().map(move |minute| (hour, minute)))
        {
            times.extend(second.plain.iter().map(|second| {
                if on_the_minute {
                    format!("{hour:02}:{minute:02}")
                } else {
                    format!("{hour:02}:{minute:02}:{second:02}")
                }
            }));
        }
        return format!("At {}", list(&times));
    }
    let mut parts = Vec::new();
    match even_step(minute, 60).filter(|step| on_the_minute && (2..60).contains(step)) {
        Some(step) => parts.push(format!("every {step} minutes")),
        None => {
            parts.extend((!on_the_minute).then(|| unit(second, "second")));
            parts.push(unit(minute, "minute"));
        }
    }
    parts.push(unit(hour, "hour"));
    capitalized(&parts.join(" of "))
}

/// What fires at equal distances all day, told by the distance.
fn pace(fields: &Fields) -> Option<String> {
    let Fields { second, minute, hour, .. } = fields;
    let every = |values: &Values, modulus: u8, unit: &str| {
        let step = even_step(values, modulus)?;
        Some(if step == 1 { format!("Every {unit}") } else { format!("Every {step} {unit}s") })
    };
    if minute.any && hour.any && !is_only(second, 0) {
        return every(second, 60, "second");
    }
    if !is_only(second, 0) {
        return None;
    }
    if hour.any && minute.plain.len() > 1 {
        return every(minute, 60, "minute");
    }
    if is_only(minute, 0) && hour.plain.len() > 1 {
        return every(hour, 24, "hour").map(|every| format!("{every}, on the hour"));
    }
    None
}

/// `second 0`, `every second`, `minute 0 and 45`.
fn unit(values: &Values, name: &str) -> String {
    if values.any { format!("every {name}") } else { format!("{name} {}", numbers(&values.plain)) }
}

/// The distance of values that begin at 0 and stay equal over the end of the field.
fn even_step(values: &Values, modulus: u8) -> Option<u8> {
    let count = u8::try_from(values.plain.len()).ok()?;
    let step = modulus.checked_div(count)?;
    let even =
        modulus.is_multiple_of(count) && values.plain.iter().copied().eq((0..modulus).step_by(step.into()));
    even.then_some(step)
}

fn days(fields: &Fields) -> Option<String> {
    let (day, weekday) = (&fields.day, &fields.weekday);
    match (day.any, weekday.any) {
        (true, true) => None,
        (false, true) => Some(format!("on {}", days_of_month(day))),
        (true, false) => Some(format!("on {}", days_of_week(weekday))),
        (false, false) if fields.both_days => {
            Some(format!("on {}, if that is {}", days_of_month(day), days_of_week(weekday)))
        }
        (false, false) => Some(format!("on {}, and on {}", days_of_month(day), days_of_week(weekday))),
    }
}

fn days_of_month(values: &Values) -> String {
    let mut parts = Vec::new();
    match spans(&values.plain).as_slice() {
        [] => {}
        [(first, last)] if last - first > 1 => {
            parts.push(format!("the {} to {}", ordinal(*first), ordinal(*last)))
        }
        _ => {
            let each: Vec<String> = values.plain.iter().map(|day| ordinal(*day)).collect();
            parts.push(format!("the {}", list(&each)));
        }
    }
    parts.extend(
        values.nearest_weekday.iter().map(|day| format!("the weekday nearest to the {}", ordinal(*day))),
    );
    if values.last {
        parts.push("the last day".to_owned());
    }
    if values.last_weekday {
        parts.push("the last weekday (Monday to Friday)".to_owned());
    }
    format!("{} of the month", list(&parts))
}

fn days_of_week(values: &Values) -> String {
    let name = |day: u8| WEEKDAYS[usize::from(day % 7)];
    let mut parts: Vec<String> = match spans(&values.plain).as_slice() {
        [(first, last)] if last - first > 1 => vec![format!("{} to {}", name(*first), name(*last))],
        _ => values.plain.iter().map(|day| name(*day).to_owned()).collect(),
    };
    let nth = ["first", "second", "third", "fourth", "fifth"];
    parts.extend(
        values
            .nth_of
            .iter()
            .map(|(day, n)| format!("the {} {} of the month", nth[usize::from(n - 1)], name(*day))),
    );
    parts.extend(values.last_of.iter().map(|day| format!("the last {} of the month", name(*day))));
    list(&parts)
}

fn months(values: &Values) -> Option<String> {
    if values.any {
        return None;
    }
    let name = |month: u8| MONTHS[usize::from(month - 1)].to_owned();
    Some(match spans(&values.plain).as_slice() {
        [(first, last)] if last - first > 1 => format!("in {} to {}", name(*first), name(*last)),
        _ => format!("in {}", list(&values.plain.iter().map(|month| name(*month)).collect::<Vec<_>>())),
    })
}

fn is_only(values: &Values, value: u8) -> bool {
    !values.any && values.plain.iter().eq([&value])
}

/// `0 and 45`, `9 to 17`, `0, 10 to 20 and 50`.
fn numbers(values: &BTreeSet<u8>) -> String {
    let mut parts = Vec::new();
    for (first, last) in spans(values) {
        match last - first {
            0 => parts.push(first.to_string()),
            1 => parts.extend([first.to_string(), last.to_string()]),
            _ => parts.push(format!("{first} to {last}")),
        }
    }
    list(&parts)
}

/// Values that follow each other, as first and last.
fn spans(values: &BTreeSet<u8>) -> Vec<(u8, u8)> {
    let mut spans: Vec<(u8, u8)> = Vec::new();
    for value in values {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == *value => *last = *value,
            Some(_) | None => spans.push((*value, *value)),
        }
    }
    spans
}

fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn ordinal(day: u8) -> String {
    let ending = match (day % 10, day % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

/// Times that are not told by the clock begin with `At`, as those that are.
fn capitalized(text: &str) -> String {
    match text.strip_prefix("every") {
        Some(rest) => format!("Every{rest}"),
        None => format!("At {text}"),
    }
}
