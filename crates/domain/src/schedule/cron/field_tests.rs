//! The fields as read here name the very times at which the library fires, so words made of them are true.

use super::*;
use chrono::{Datelike, NaiveDate, TimeDelta, Timelike, Utc, Weekday};
use croner::parser::CronParser;
use proptest::prelude::*;

fn fields(text: &str) -> Result<Fields, BadCron> {
    read(&split(text)?)
}

/// Whether `fields` name this time, told from their sets alone.
fn names(fields: &Fields, at: chrono::DateTime<Utc>) -> bool {
    let date = at.date_naive();
    let day = day_of_month(&fields.day, date);
    let weekday = day_of_week(&fields.weekday, date);
    let either = !fields.day.any && !fields.weekday.any && !fields.both_days;
    let has = |values: &Values, value: u32| values.plain.contains(&u8::try_from(value).unwrap());
    has(&fields.second, at.second())
        && has(&fields.minute, at.minute())
        && has(&fields.hour, at.hour())
        && has(&fields.month, at.month())
        && if either { day || weekday } else { day && weekday }
}

fn day_of_month(values: &Values, date: NaiveDate) -> bool {
    let last = last_day(date);
    let day = |n: u8| NaiveDate::from_ymd_opt(date.year(), date.month(), n.into());
    values.plain.contains(&u8::try_from(date.day()).unwrap())
        || values.last && date == last
        || values.last_weekday && date == nearest(last)
        || values.nearest_weekday.iter().filter_map(|n| day(*n)).any(|target| nearest(target) == date)
}

/// The weekday nearest to a date, within its month.
fn nearest(date: NaiveDate) -> NaiveDate {
    let by = match date.weekday() {
        Weekday::Sat if date.day() == 1 => 2,
        Weekday::Sat => -1,
        Weekday::Sun if date == last_day(date) => -2,
        Weekday::Sun => 1,
        Weekday::Mon | Weekday::Tue | Weekday::Wed | Weekday::Thu | Weekday::Fri => 0,
    };
    date + TimeDelta::days(by)
}

fn last_day(date: NaiveDate) -> NaiveDate {
    (0..=3).rev().filter_map(|n| date.with_day(28 + n)).next().unwrap()
}

fn day_of_week(values: &Values, date: NaiveDate) -> bool {
    let weekday = u8::try_from(date.weekday().num_days_from_sunday()).unwrap();
    let nth = u8::try_from((date.day() - 1) / 7 + 1).unwrap();
    let is_last = (date + TimeDelta::days(7)).month() != date.month();
    values.plain.contains(&weekday)
        || values.last_of.contains(&weekday) && is_last
        || values.nth_of.contains(&(weekday, nth))
}

/// A list of one to three of these.
fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(item, 1..=3).prop_map(|items| items.join(","))
}

fn plain(first: u8, last: u8) -> impl Strategy<Value = String> {
    let range = (first..=last, first..=last).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        (first..=last).prop_map(|value| value.to_string()),
        range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        (range, 1..=10_u8).prop_map(|((a, b), step)| format!("{a}-{b}/{step}")),
        (1..=last).prop_map(|step| format!("*/{step}")),
    ]
}

fn expressions() -> impl Strategy<Value = String> {
    let any = |field: BoxedStrategy<String>| prop_oneof![Just("*".to_owned()), field];
    let day = prop_oneof![
        plain(1, 31),
        Just("L".to_owned()),
        Just("LW".to_owned()),
        (1..=31_u8).prop_map(|day| format!("{day}W")),
    ];
    let weekday = prop_oneof![
        plain(0, 7),
        (0..=7_u8).prop_map(|day| format!("{day}L")),
        (0..=7_u8, 1..=5_u8).prop_map(|(day, n)| format!("{day}#{n}")),
        Just("MON-FRI".to_owned()),
        Just("sun".to_owned()),
    ];
    let weekdays =
        (prop_oneof![Just(""), Just("+")], list(weekday)).prop_map(|(sign, days)| sign.to_owned() + &days);
    let months = prop_oneof![plain(1, 12), Just("JAN-mar".to_owned())];
    (
        any(list(plain(0, 59)).boxed()),
        any(list(plain(0, 59)).boxed()),
        any(list(plain(0, 23)).boxed()),
        any(list(day).boxed()),
        any(list(months).boxed()),
        any(weekdays.boxed()),
    )
        .prop_map(|(second, minute, hour, day, month, weekday)| {
            format!("{second} {minute} {hour} {day} {month} {weekday}")
        })
}

proptest! {
    #[test]
    fn the_fields_name_the_times_at_which_it_fires(text in expressions(), from in 0..1_460_i64) {
        // Steps that go past the end of their range and L beside LW are refused.
        let Ok(fields) = fields(&text) else { return Ok(()) };
        let fires = CronParser::new().parse(&text).unwrap();
        let start = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
        // Strides that share no factor with the fields come by every second, minute and hour.
        let times = (0..400).map(|n| start + TimeDelta::days(from) + TimeDelta::seconds(n * 7_919 * 13));
        for at in times {
            prop_assert_eq!(names(&fields, at), fires.is_time_matching(&at).unwrap(), "{} at {}", text, at);
        }
        let mut at = start + TimeDelta::days(from);
        for _ in 0..20 {
            let Ok(next) = fires.find_next_occurrence(&at, false) else { break };
            prop_assert!(names(&fields, next), "{} at {}", text, next);
            at = next;
        }
    }
}
