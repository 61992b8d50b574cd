//! `until`: a token waits for a date, or for some time before or after it.

use super::clock::{Chosen, Clock};
use super::values::{DAYS, Given, MOMENT, Moment, OFFSET, TIME};
use super::{ENTRY, go_on};
use crate::action::ContactUse;
use crate::duration;
use crate::facts::{Facts, FieldPath};
use crate::interpreter::{End, Onward, StepError, Visit, Walk};
use crate::step_code::StepCode;
use crate::wall_clock;
use crate::workflow::compile::{Reader, Section};
use crate::workflow::kinds::{Behaviour, Ways};
use chrono::{DateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use serde_json::{Map, Value};

/// The way out for a date that is past.
const PAST: &str = "past";

/// What a run does whose date is past, or that has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum WhenPast {
    /// It goes on at once, as if the date had just come.
    #[default]
    GoOn,
    /// It goes the way `past`, and skips what comes after the date.
    Skip,
    /// It ends.
    Leave,
}

impl WhenPast {
    pub(super) const ALL: [(&str, Self); 3] =
        [("go_on", Self::GoOn), ("skip", Self::Skip), ("leave", Self::Leave)];

    fn as_str(self) -> &'static str {
        match self {
            Self::GoOn => "go_on",
            Self::Skip => "skip",
            Self::Leave => "leave",
        }
    }
}

/// A node that waits for a date.
#[derive(Clone, Debug)]
pub(in crate::workflow::kinds) struct Date {
    until: Given<Moment>,
    offset: Option<Given<TimeDelta>>,
    offset_days: Option<Given<i64>>,
    at: Option<Given<NaiveTime>>,
    clock: Clock,
    when_past: WhenPast,
}

/// When the wait is over.
struct Target {
    at: DateTime<Utc>,
    /// The clock that it was found by, if one was asked.
    by: Option<Chosen>,
}

impl Date {
    pub(in crate::workflow::kinds) fn read(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Self> {
        let until = Given::read(reader, section, "until", &MOMENT);
        let date = Self {
            offset: Given::read(reader, section, "offset", &OFFSET),
            offset_days: Given::read(reader, section, "offset_days", &DAYS),
            at: Given::read(reader, section, "at", &TIME),
            when_past: reader.choice(section, "when_past", &WhenPast::ALL).unwrap_or_default(),
            clock: Clock::read(reader, section)?,
            until: until?,
        };
        Some(date)
    }

    /// When the wait for it is over; `None` where there is no date.
    pub(in crate::workflow::kinds) fn ends_at(
        &self,
        facts: &Facts<'_>,
    ) -> Result<Option<DateTime<Utc>>, StepError> {
        Ok(self.target(facts)?.map(|target| target.at))
    }

    /// Days are counted on the calendar and a time of day is put in its place before the zone is asked when that is; then what
    /// is elapsed time is added. `None` where there is no date.
    fn target(&self, facts: &Facts<'_>) -> Result<Option<Target>, StepError> {
        let Some(moment) = self.until.get(facts)? else { return Ok(None) };
        let days = optional(&self.offset_days, facts)?;
        let time = optional(&self.at, facts)?;
        let offset = optional(&self.offset, facts)?.unwrap_or_default();
        let (at, by) = match moment {
            Moment::Instant(at) if days.is_none() && time.is_none() => (Some(at), None),
            Moment::Instant(_) | Moment::Local(_) => {
                let chosen = self.clock.choose(facts)?;
                let shown = match moment {
                    Moment::Instant(at) => chosen.zone.from_utc_datetime(&at.naive_utc()).naive_local(),
                    Moment::Local(shown) => shown,
                };
                let date = shown.date().checked_add_signed(TimeDelta::days(days.unwrap_or_default()));
                let shown = date.map(|date| date.and_time(time.unwrap_or(shown.time())));
                (shown.and_then(|shown| wall_clock::instant(chosen.zone, shown)), Some(chosen))
            }
        };
        let at = at.and_then(|at| at.checked_add_signed(offset));
        match at.filter(|at| *at - facts.now <= duration::LONGEST) {
            Some(at) => Ok(Some(Target { at, by })),
            None => Err(StepError {
                code: StepCode::InvalidDate.into(),
                message: format!("until is more than {} days ahead", duration::LONGEST.num_days()),
            }),
        }
    }

    /// The date is past, or there is none; `detail` says which.
    fn pass(&self, walk: &mut Walk<'_>, visit: Visit<'_>, mut detail: Map<String, Value>) -> Onward {
        detail.insert("when_past".to_owned(), self.when_past.as_str().into());
        match self.when_past {
            WhenPast::GoOn => {
                walk.complete(visit, Value::Object(detail));
                Onward::To(visit.node.next)
            }
            WhenPast::Skip => {
                detail.insert("case".to_owned(), PAST.into());
                walk.result(visit).case = Some(PAST.to_owned());
                walk.complete(visit, Value::Object(detail));
                Onward::To(visit.node.ways.get(PAST).copied())
            }
            WhenPast::Leave => {
                walk.complete(visit, Value::Object(detail));
                walk.end(End::Completed)
            }
        }
    }
}

fn optional<T>(option: &Option<Given<T>>, facts: &Facts<'_>) -> Result<Option<T>, StepError> {
    option.as_ref().map_or(Ok(None), |option| option.get(facts))
}

impl Behaviour for Date {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        let mut references: Vec<_> = self.until.references().chain(self.clock.references()).collect();
        references.extend(self.offset.iter().flat_map(Given::references));
        references.extend(self.offset_days.iter().flat_map(Given::references));
        references.extend(self.at.iter().flat_map(Given::references));
        references
    }

    fn contact(&self) -> ContactUse {
        self.clock.contact()
    }

    fn ways(&self) -> Ways<'_> {
        match self.when_past {
            WhenPast::Skip => Ways::OneAnd(&[PAST]),
            WhenPast::GoOn | WhenPast::Leave => Ways::One,
        }
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let now = walk.now();
        let target = match walk.evaluate(visit, |facts| self.target(facts)) {
            Ok(target) => target,
            Err(error) => return walk.fail(visit, error),
        };
        // A case of an earlier visit is not this one's.
        walk.result(visit).case = None;
        let mut detail = Map::new();
        let Some(Target { at, by }) = target else {
            detail.insert("reason".to_owned(), "there is no date".into());
            return self.pass(walk, visit, detail);
        };
        if let Some(chosen) = by {
            chosen.tell(&mut detail);
        }
        if at > now {
            return walk.wait_telling(visit, at, detail);
        }
        if at == now {
            return go_on(walk, visit, at, detail);
        }
        detail.insert("until".to_owned(), at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
        detail.insert("reason".to_owned(), "the date is past".into());
        self.pass(walk, visit, detail)
    }
}
