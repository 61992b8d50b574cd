//! Who is let in, and how often.

use super::reader::{Keys, Reader, Section};
use crate::template::Template;
use crate::workflow::{Enrolment, MostRuns, OnConflict, Reentry};
use chrono::TimeDelta;
use serde_json::Value;

const ENROLMENT: Keys =
    Keys { what: "enrolment", known: &["key", "where", "suppress", "reentry", "on_conflict"], later: &[] };

const REENTRY: Keys = Keys { what: "reentry", known: &["mode", "gap", "max"], later: &[] };

const MAX: Keys = Keys { what: "max", known: &["runs", "per"], later: &[] };

/// Words of `on_conflict` that this version does not execute.
const LATER_CONFLICTS: [&str; 1] = ["restart_timers"];

#[derive(Clone, Copy)]
enum Mode {
    Once,
    Always,
    AfterExit,
}

pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Enrolment {
    let Some(value) = document.get("enrolment") else {
        return Enrolment::default();
    };
    let Some(section) = reader.section(value, "enrolment", &ENROLMENT) else {
        return Enrolment::default();
    };
    let key = section.get("key").and_then(|value| key(reader, value));
    let condition = reader.condition(section, "where");
    let suppress = reader.condition(section, "suppress");
    let (reentry, max) = section.get("reentry").map_or_else(Default::default, |value| reentry(reader, value));
    Enrolment { key, condition, suppress, reentry, max, on_conflict: on_conflict(reader, section) }
}

fn key(reader: &mut Reader<'_>, value: &Value) -> Option<Template> {
    let at = "enrolment.key";
    let Some(text) = value.as_str().filter(|text| !text.is_empty()) else {
        return reader.problem("wrong_type", at, "must be a text or a template");
    };
    let counted = reader.allowance.value(value, at);
    reader.keep(counted.map_err(|problem| problem.into_iter().collect()))?;
    let template = Template::parse(text, at, reader.limits).map_err(|problem| vec![problem]);
    reader.keep(template)
}

fn reentry(reader: &mut Reader<'_>, value: &Value) -> (Reentry, Option<MostRuns>) {
    let at = "enrolment.reentry";
    let Some(section) = reader.section(value, at, &REENTRY) else {
        return Default::default();
    };
    (mode(reader, section), section.get("max").and_then(|value| max(reader, value)))
}

fn mode(reader: &mut Reader<'_>, section: Section<'_>) -> Reentry {
    reader.required(section, "mode");
    let modes = [("once", Mode::Once), ("always", Mode::Always), ("after_exit", Mode::AfterExit)];
    let mode = reader.choice(section, "mode", &modes);
    let gap_at = section.at("gap");
    let gap = section.get("gap").map(|value| reader.duration(value, &gap_at).unwrap_or_default());
    match mode {
        Some(Mode::AfterExit) => Reentry::AfterExit { gap: gap.unwrap_or(TimeDelta::zero()) },
        Some(Mode::Once | Mode::Always) if gap.is_some() => {
            reader.problem::<()>("bad_value", gap_at, "only the mode after_exit has a gap");
            Reentry::default()
        }
        Some(Mode::Once) => Reentry::Once,
        Some(Mode::Always) | None => Reentry::Always,
    }
}

fn max(reader: &mut Reader<'_>, value: &Value) -> Option<MostRuns> {
    let at = "enrolment.reentry.max";
    let section = reader.section(value, at, &MAX)?;
    let runs = reader.required(section, "runs").and_then(|number| {
        let inside = number.as_u64().and_then(|number| usize::try_from(number).ok());
        inside.filter(|number| (1..=MostRuns::LIMIT).contains(number)).or_else(|| {
            let message = format!("{number} is no number of runs: write one from 1 to {}", MostRuns::LIMIT);
            reader.problem("bad_value", section.at("runs"), message)
        })
    });
    let per_at = section.at("per");
    let per = reader.required(section, "per").and_then(|value| reader.duration(value, &per_at));
    if per.is_some_and(|per| per <= TimeDelta::zero()) {
        return reader.problem("bad_value", per_at, "must be longer than 0s");
    }
    Some(MostRuns { runs: runs?, per: per? })
}

fn on_conflict(reader: &mut Reader<'_>, section: Section<'_>) -> OnConflict {
    if let Some(word) =
        section.get("on_conflict").and_then(Value::as_str).filter(|word| LATER_CONFLICTS.contains(word))
    {
        let message = format!("{word} is not available yet; use ignore, start or supersede");
        reader.problem::<()>("not_available", section.at("on_conflict"), message);
        return OnConflict::default();
    }
    let words =
        [("ignore", OnConflict::Ignore), ("start", OnConflict::Start), ("supersede", OnConflict::Supersede)];
    reader.choice(section, "on_conflict", &words).unwrap_or_default()
}
