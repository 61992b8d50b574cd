//! `at` without a date: a token waits for the next time of day on one of some weekdays.

use super::clock::Clock;
use super::values::{Given, TIME};
use super::{ENTRY, go_on};
use crate::action::ContactUse;
use crate::facts::FieldPath;
use crate::interpreter::{Onward, StepError, Visit, Walk};
use crate::json::excerpt;
use crate::problem::nearest_hint;
use crate::step_code::StepCode;
use crate::wall_clock::{self, Weekdays};
use crate::workflow::compile::{Reader, Section};
use crate::workflow::kinds::Behaviour;
use chrono::NaiveTime;
use serde_json::Map;

/// A node that waits for a time of day.
#[derive(Clone, Debug)]
pub(super) struct TimeOfDay {
    at: Given<NaiveTime>,
    on: Weekdays,
    clock: Clock,
}

impl TimeOfDay {
    pub(super) fn read(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Self> {
        let at = Given::read(reader, section, "at", &TIME);
        let (on, clock) = (weekdays(reader, section), Clock::read(reader, section));
        Some(Self { at: at?, on: on?, clock: clock? })
    }
}

fn weekdays(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Weekdays> {
    if section.get("on").is_none() {
        return Some(Weekdays::ALL);
    }
    let days = reader.list(section, "on")?;
    if days.is_empty() {
        return reader.problem(
            "bad_value",
            section.at("on"),
            "must name a weekday, or be left out for every day",
        );
    }
    let words = days.iter().map(|day| day.as_str().unwrap_or_default());
    Weekdays::read(words.clone()).ok().or_else(|| {
        let wrong = words.zip(days).enumerate().find(|(_, (word, _))| !Weekdays::WORDS.contains(word));
        let (index, (word, day)) = wrong?;
        let hint = nearest_hint(&word.to_lowercase(), Weekdays::WORDS);
        let message = format!("{} is not a weekday{hint}: monday, tuesday, …", excerpt(day));
        reader.problem("bad_value", format!("{}[{index}]", section.at("on")), message)
    })
}

impl Behaviour for TimeOfDay {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        self.at.references().chain(self.clock.references()).collect()
    }

    fn contact(&self) -> ContactUse {
        self.clock.contact()
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let now = walk.now();
        let invalid =
            |message: &str| StepError { code: StepCode::InvalidConfig.into(), message: message.to_owned() };
        let found = walk.evaluate(visit, |facts| {
            let time =
                self.at.get(facts)?.ok_or_else(|| invalid("at came to nothing: it is a time of day"))?;
            let chosen = self.clock.choose(facts)?;
            let until = wall_clock::next(chosen.zone, now, time, self.on);
            Ok((until.ok_or_else(|| invalid("at is beyond the calendar"))?, chosen))
        });
        let (until, chosen) = match found {
            Ok(found) => found,
            Err(error) => return walk.fail(visit, error),
        };
        let mut detail = Map::new();
        chosen.tell(&mut detail);
        if until == now { go_on(walk, visit, until, detail) } else { walk.wait_telling(visit, until, detail) }
    }
}
