//! Conditions that come true by the clock alone.

use super::{Condition, Expected, Leaf, Test};
use crate::facts::Facts;
use crate::wall_clock::{self, Weekdays};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

impl Condition {
    /// When it may come to something else although nothing but the clock moved; `None` if it never does.
    ///
    /// A comparison of `now.…` with what is written there changes at that time of day, at midnight, or at that instant. One
    /// with anything that has to be worked out is looked at every minute.
    pub(crate) fn next_turn(&self, facts: &Facts<'_>) -> Option<DateTime<Utc>> {
        match &self.test {
            Test::All(parts) | Test::Any(parts) => {
                parts.iter().filter_map(|part| part.next_turn(facts)).min()
            }
            Test::Not(part) => part.next_turn(facts),
            Test::Leaf(leaf) => leaf.next_turn(facts),
            Test::Aggregate(aggregate) => aggregate.next_turn(facts),
            Test::Relative(relative) => relative.next_turn(facts),
        }
    }
}

impl Leaf {
    fn next_turn(&self, facts: &Facts<'_>) -> Option<DateTime<Utc>> {
        let written = match &self.expected {
            Expected::Template(template) if template.reads("now") => return Some(next_minute(facts.now)),
            Expected::Literal(value) => value.as_str(),
            Expected::Template(_) | Expected::Nothing | Expected::Pattern(_) => None,
        };
        if self.field.root() != "now" {
            return None;
        }
        let zone = facts.zone().zone;
        match (self.field.segments().get(1).map(String::as_str), written) {
            (Some("time"), Some(written)) => {
                let Ok(time) = NaiveTime::parse_from_str(written, "%H:%M") else {
                    return Some(next_minute(facts.now));
                };
                // From this minute on, and after it.
                let turns = [time, time.overflowing_add_signed(TimeDelta::minutes(1)).0];
                turns.into_iter().filter_map(|turn| next_time(zone, facts.now, turn)).min()
            }
            (Some("date" | "weekday"), Some(_)) => next_time(zone, facts.now, NaiveTime::MIN),
            (Some("timestamp"), Some(written)) => {
                let at = DateTime::parse_from_rfc3339(written).ok()?.to_utc();
                let turns = [at, at + TimeDelta::milliseconds(1)];
                turns.into_iter().filter(|turn| *turn > facts.now).min()
            }
            _ => Some(next_minute(facts.now)),
        }
    }
}

fn next_minute(now: DateTime<Utc>) -> DateTime<Utc> {
    let into = TimeDelta::milliseconds(now.timestamp_millis().rem_euclid(60_000));
    now - into + TimeDelta::minutes(1)
}

/// The next moment after `now` at which clocks of the zone show this time of day.
fn next_time(zone: Tz, now: DateTime<Utc>, time: NaiveTime) -> Option<DateTime<Utc>> {
    wall_clock::next(zone, now + TimeDelta::seconds(1), time, Weekdays::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::sample::Sample;
    use crate::limits::Limits;
    use serde_json::{Value, json};

    /// The sample's clock shows 23:30 of Tuesday, 24 November 2026, in UTC.
    fn next_turn(zone: Option<&str>, condition: Value) -> Option<String> {
        let mut sample = Sample::default();
        sample.contact.timezone = zone.map(str::to_owned);
        let condition = Condition::parse(&condition, "", &Limits::default()).unwrap();
        condition.next_turn(&sample.facts()).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }

    #[test]
    fn a_condition_over_the_clock_is_asked_again_when_the_clock_can_change_it() {
        for (zone, condition, expected) in [
            (None, json!({ "field": "contact.score", "op": "greater_than", "value": 8 }), None),
            (
                None,
                json!({ "field": "now.time", "op": "greater_or_equal", "value": "09:00" }),
                Some("2026-11-25T09:00:00Z"),
            ),
            (
                None,
                json!({ "field": "now.time", "op": "equals", "value": "23:30" }),
                Some("2026-11-24T23:31:00Z"),
            ),
            (
                Some("America/Los_Angeles"),
                json!({ "field": "now.time", "op": "greater_or_equal", "value": "16:00" }),
                Some("2026-11-25T00:00:00Z"),
            ),
            (
                Some("Europe/Berlin"),
                json!({ "field": "now.weekday", "op": "equals", "value": "friday" }),
                Some("2026-11-25T23:00:00Z"),
            ),
            (
                None,
                json!({ "field": "now.timestamp", "op": "greater_or_equal", "value": "2026-12-01T10:00:00Z" }),
                Some("2026-12-01T10:00:00Z"),
            ),
            (
                None,
                json!({ "field": "now.timestamp", "op": "less_than", "value": "2026-11-01T10:00:00Z" }),
                None,
            ),
            (
                None,
                json!({ "field": "contact.fields.due", "op": "less_than", "value": "{{ now.timestamp }}" }),
                Some("2026-11-24T23:31:00Z"),
            ),
            (
                None,
                json!({ "not": { "any": [
                    { "field": "now.time", "op": "less_than", "value": "06:00" },
                    { "field": "now.date", "op": "equals", "value": "2026-12-24" },
                ] } }),
                Some("2026-11-25T00:00:00Z"),
            ),
        ] {
            assert_eq!(next_turn(zone, condition.clone()).as_deref(), expected, "{condition}");
        }
    }
}
