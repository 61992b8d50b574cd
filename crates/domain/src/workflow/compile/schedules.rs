//! `schedule` of a trigger: when it fires.

use super::reader::{Keys, Reader, Section};
use crate::schedule::{CatchUp, Cron, Every, Schedule, Timing};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::Value;

const SCHEDULE: Keys = Keys {
    what: "a schedule",
    known: &["cron", "timezone", "every", "anchor", "catch_up", "jitter", "starts_at", "ends_at"],
    later: &[],
};

/// Longest jitter: what is to be spread over more is better scheduled apart.
const LONGEST_JITTER: TimeDelta = TimeDelta::hours(1);

pub(super) fn read(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<Schedule> {
    let section = reader.section(value, at, &SCHEDULE)?;
    let before = reader.problems.len();
    let timing = timing(reader, section);
    let catch_up = reader.choice(section, "catch_up", &CatchUp::ALL).unwrap_or_default();
    let jitter = section.get("jitter").and_then(|value| reader.duration(value, &section.at("jitter")));
    let (starts_at, ends_at) = (time(reader, section, "starts_at"), time(reader, section, "ends_at"));
    let jitter = jitter.unwrap_or(TimeDelta::zero());
    let schedule = Schedule { timing: timing?, catch_up, jitter, starts_at, ends_at };
    check_distances(reader, section, &schedule);
    if let (Some(start), Some(end)) = (starts_at, ends_at)
        && start >= end
    {
        let message = "must be later than starts_at: there is no slot between the two";
        reader.problem::<()>("bad_value", section.at("ends_at"), message);
    } else if schedule.is_never() {
        let message = "no slot is between starts_at and ends_at, so it would never fire";
        reader.problem::<()>("never_fires", section.at("ends_at"), message);
    }
    (reader.problems.len() == before).then_some(schedule)
}

fn timing(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Timing> {
    let (other, needed) = match (section.get("cron"), section.get("every")) {
        (Some(_), None) => ("anchor", "every"),
        (None, Some(_)) => ("timezone", "cron"),
        (None, None) | (Some(_), Some(_)) => {
            return reader.problem("bad_value", section.at, "a schedule has either \"cron\" or \"every\"");
        }
    };
    if section.get(other).is_some() {
        let message = format!("{other} belongs to a schedule with \"{needed}\"");
        reader.problem::<()>("bad_value", section.at(other), message);
    }
    if needed == "every" { cron(reader, section) } else { every(reader, section) }
}

fn cron(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Timing> {
    let zone = match section.get("timezone") {
        None => Some(Tz::UTC),
        Some(_) => {
            let name = reader.text(section, "timezone");
            name.and_then(|name| reader.zone(name, section.at("timezone")))
        }
    };
    let text = reader.text(section, "cron")?;
    // An expression is read even where the zone is not known, to say what is wrong with both.
    match Cron::parse(text, zone.unwrap_or(Tz::UTC)) {
        Ok(cron) => zone.map(|_| Timing::Cron(Box::new(cron))),
        Err(bad) if bad.is_never() => reader.problem("never_fires", section.at("cron"), bad.to_string()),
        Err(bad) => reader.problem("bad_cron", section.at("cron"), bad.to_string()),
    }
}

fn every(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Timing> {
    let anchor = time(reader, section, "anchor");
    let text = reader.text(section, "every")?;
    let interval = reader.duration(section.get("every")?, &section.at("every"))?;
    Some(Timing::Every(Every { text: text.to_owned(), interval, anchor }))
}

fn check_distances(reader: &mut Reader<'_>, section: Section<'_>, schedule: &Schedule) {
    let shortest = reader.limits.schedule_seconds;
    if schedule.is_closer_than(TimeDelta::seconds(shortest.into())) {
        let key = match schedule.timing {
            Timing::Cron(_) => "cron",
            Timing::Every(_) => "every",
        };
        let message = format!(
            "fires too often: at least {shortest} s must be between two slots (AUTOMATION_MIN_SCHEDULE_SECONDS)"
        );
        reader.problem::<()>("too_frequent", section.at(key), message);
    } else if schedule.jitter > LONGEST_JITTER || schedule.is_closer_than(schedule.jitter) {
        let message = "is at most 1h, and not longer than the shortest time between two slots";
        reader.problem::<()>("bad_value", section.at("jitter"), message);
    }
}

fn time(reader: &mut Reader<'_>, section: Section<'_>, key: &str) -> Option<DateTime<Utc>> {
    let value = section.get(key)?;
    match value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
        Some(time) => Some(time.to_utc()),
        None => {
            let message = format!("{value} is not a time: write it like 2027-01-31T08:00:00Z");
            reader.problem("bad_time", section.at(key), message)
        }
    }
}
