//! Which expressions are looked at, where and when: the same ones every time.

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use std::fmt;

pub struct Case {
    pub expression: String,
    pub zone: Tz,
    pub after: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" in {} from {} to {}", self.expression, self.zone.name(), self.after, self.until)
    }
}

/// Zones that change their clocks, in both hemispheres: at midnight, by half an hour, by two, by a day, in Ramadan, with a
/// winter time that is the exception, and at odd distances from UTC.
const ZONES: [Tz; 34] = [
    Tz::Europe__Berlin,
    Tz::Europe__London,
    Tz::Europe__Dublin,
    Tz::Europe__Istanbul,
    Tz::Europe__Volgograd,
    Tz::Europe__Chisinau,
    Tz::America__New_York,
    Tz::America__St_Johns,
    Tz::America__Sao_Paulo,
    Tz::America__Havana,
    Tz::America__Santiago,
    Tz::America__Asuncion,
    Tz::America__Caracas,
    Tz::America__Nuuk,
    Tz::America__Scoresbysund,
    Tz::America__Mexico_City,
    Tz::Asia__Beirut,
    Tz::Asia__Amman,
    Tz::Asia__Tehran,
    Tz::Asia__Gaza,
    Tz::Asia__Pyongyang,
    Tz::Asia__Damascus,
    Tz::Australia__Lord_Howe,
    Tz::Australia__Sydney,
    Tz::Australia__Adelaide,
    Tz::Pacific__Auckland,
    Tz::Pacific__Chatham,
    Tz::Pacific__Apia,
    Tz::Pacific__Fiji,
    Tz::Pacific__Easter,
    Tz::Africa__Casablanca,
    Tz::Africa__El_Aaiun,
    Tz::Africa__Cairo,
    Tz::Antarctica__Troll,
];

/// Around a change of clocks each: the zones in turn, their changes from 2010 to 2030 spread evenly.
pub fn around_changes(count: usize) -> Vec<Case> {
    let changes: Vec<Vec<DateTime<Utc>>> = ZONES.iter().map(|zone| changes(*zone)).collect();
    let mut dice = Dice(2026);
    (0..count)
        .map(|number| {
            let (zone, changes) = (ZONES[number % ZONES.len()], &changes[number % ZONES.len()]);
            let change = changes[dice.below(changes.len() as u32) as usize];
            // The hour that the wall clock shows just before and just after, and one between.
            let hours = [
                (change - TimeDelta::seconds(1)).with_timezone(&zone).hour(),
                change.with_timezone(&zone).hour(),
                (change.with_timezone(&zone).hour() + 23) % 24,
            ];
            let hour = hours[dice.below(3) as usize];
            let expression = around(&mut dice, hour);
            let reach = match expression.split_whitespace().count() {
                6 => TimeDelta::hours(5),
                _ => TimeDelta::hours(i64::from(30 + dice.below(50))),
            };
            Case { expression, zone, after: change - reach, until: change + reach }
        })
        .collect()
}

/// Times near `hour`, fixed and not.
fn around(dice: &mut Dice, hour: u32) -> String {
    let (minute, second, next) = (dice.below(60), dice.below(60), (hour + 1) % 24);
    let (low, high) = (hour.min(next), hour.max(next));
    match dice.below(18) {
        0 | 1 => format!("{minute} {hour} * * *"),
        2 => format!("0 {hour} * * *"),
        3 => format!("0,30 {hour} * * *"),
        4 => format!("{minute} {low},{high} * * *"),
        5 => format!("{minute} {low}-{high} * * *"),
        6 => format!("10-20 {hour} * * *"),
        7 => format!("*/{} {hour} * * *", 7 + dice.below(20)),
        8 => format!("*/{} * * * *", 2 + dice.below(40)),
        9 => format!("{minute} * * * *"),
        10 => format!("{minute} */{} * * *", 2 + dice.below(4)),
        11 => format!("5-50/{} {hour} * * *", 4 + dice.below(9)),
        12 => format!("{minute} {hour} * * {}", ["SUN", "0", "7", "SAT-SUN", "5-7"][dice.below(5) as usize]),
        13 => format!("{minute} {hour} * MAR,APR,SEP-NOV ?"),
        14 => format!("{second} {minute} {hour} * * *"),
        15 => format!("*/{} {minute} {hour} * * *", 7 + dice.below(30)),
        16 => format!("{second} */{} * * * *", 3 + dice.below(20)),
        _ => format!("0,{second} {minute} {low}-{high} * * *"),
    }
}

/// Dates: last days, nearest weekdays, nth weekdays, leap days, days and weekdays together.
pub fn of_the_calendar(count: usize) -> Vec<Case> {
    let mut dice = Dice(4711);
    (0..count)
        .map(|number| {
            let (day, weekday, nth) = (1 + dice.below(31), dice.below(7), 1 + dice.below(5));
            let time = format!("{} {}", dice.below(60), dice.below(24));
            // Most windows hold the end of a February, of leap years and others.
            let mut begin = (2019 + i32::try_from(dice.below(14)).unwrap_or(0), 2, 1 + dice.below(28));
            let expression = match number % 20 {
                0 => format!("{time} L * *"),
                1 => format!("{time} LW * *"),
                2 | 3 => format!("{time} {day}W * *"),
                4 => format!("{time} 1W,15,L * *"),
                5 | 6 => format!("{time} * * {weekday}#{nth}"),
                7 => format!("{time} * * {weekday}L"),
                8 => format!("{time} * * {weekday}#1,{weekday}#3"),
                9 => {
                    begin.0 = 2020 + 4 * (begin.0 % 3);
                    format!("{time} 29 2 *")
                }
                10 => format!("{time} 29 FEB,MAR MON"),
                11 => format!("{time} {day} * {weekday}"),
                12 => format!("{time} 13 * +FRI"),
                13 => format!("{time} {day}-31/2 * *"),
                14 => format!("{time} */3 * ?"),
                15 => format!("{time} ? * MON-FRI"),
                16 => format!("{time} 31 * *"),
                17 => format!("{time} {day} */2 *"),
                18 => format!("{time} L FEB,APR 1-3"),
                _ => format!("{time} 1-7 * +{weekday}"),
            };
            let after = Utc.with_ymd_and_hms(begin.0, begin.1, begin.2, 3, 4, 5).single().expect("a date");
            Case { expression, zone: ZONES[number % ZONES.len()], after, until: after + TimeDelta::days(75) }
        })
        .collect()
}

/// The instants at which a zone's offset changed from 2010 to 2030, to the second.
fn changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let mut at = Utc.with_ymd_and_hms(2010, 1, 1, 0, 0, 0).single().expect("a date");
    let mut found = Vec::new();
    while at.timestamp() < 1_893_456_000 {
        let next = at + TimeDelta::days(1);
        if offset(at) != offset(next) {
            let (mut same, mut other) = (at, next);
            while other - same > TimeDelta::seconds(1) {
                let middle = same + (other - same) / 2;
                let middle = middle - TimeDelta::nanoseconds(middle.timestamp_subsec_nanos().into());
                if offset(middle) == offset(at) { same = middle } else { other = middle }
            }
            found.push(other);
        }
        at = next;
    }
    assert!(!found.is_empty(), "{zone} has no change of clocks");
    found
}

/// A sequence that looks thrown and is the same every time (a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(end)).expect("less than `end`")
    }
}
