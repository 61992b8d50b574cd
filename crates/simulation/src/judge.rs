//! What came, held against what was expected.

use crate::effect::{Done, Effect};
use crate::run::Run;
use crate::simulation::Simulation;
use crate::story::What;
use crate::test_file::{Expected, ExpectedRun, Listed, Moment};
use automation_domain::interpreter::Waits;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Something that came otherwise than it was expected.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Mismatch {
    /// Where the expectation stands: `cases[0].expect.runs[0].end`.
    pub path: String,
    /// What was expected.
    pub expected: Value,
    /// What came; null where nothing did.
    pub actual: Value,
}

/// Holds what came against expectations: `path` is where they stand, `tested` the key of the tested workflow.
pub(crate) fn judge(simulation: &Simulation, expected: &Expected, path: &str, tested: &str) -> Vec<Mismatch> {
    let start = simulation.setting().start;
    let mut judge = Judge { start, mismatches: Vec::new() };
    if let Some(runs) = &expected.runs {
        judge.runs(simulation.runs(), runs, &format!("{path}.runs"), tested);
    }
    for (kind, entries) in &expected.listed {
        let came = listed(simulation, *kind);
        judge.list(&came, entries, &format!("{path}.{}", kind.key()));
    }
    for (subject, contact) in &expected.contacts {
        let at = format!("{path}.contacts.{subject}");
        let actual = simulation.contact(subject);
        let actual = actual.map_or(Value::Null, |contact| json!(contact));
        judge.contact(contact, &actual, &at);
    }
    judge.mismatches
}

/// What was done of a kind, as far as expectations can speak of it.
fn listed(simulation: &Simulation, kind: Listed) -> Vec<Value> {
    let of_effect = |done: &Done| {
        let is_listed = match &done.effect {
            Effect::Task { .. } => kind == Listed::Tasks,
            Effect::Note { .. } => kind == Listed::Notes,
            Effect::Request { .. } => kind == Listed::Requests,
            Effect::Command { .. } => kind == Listed::Commands,
            Effect::AddTag { .. } | Effect::RemoveTag { .. } | Effect::SetField { .. } => false,
        };
        is_listed.then(|| json!(done))
    };
    if kind != Listed::Events {
        return simulation.effects().iter().filter_map(of_effect).collect();
    }
    let caused = simulation.story().iter().filter_map(|told| match &told.what {
        What::Event { event_type, subject, data, caused_by: Some(_), .. } => {
            Some(json!({ "type": event_type, "subject": subject, "data": data, "at": text(told.at) }))
        }
        What::Event { .. }
        | What::Refused { .. }
        | What::Decided { .. }
        | What::Step { .. }
        | What::Effect { .. }
        | What::Answered { .. }
        | What::Buried { .. }
        | What::Goal { .. }
        | What::Ended { .. } => None,
    });
    caused.collect()
}

struct Judge {
    start: DateTime<Utc>,
    mismatches: Vec<Mismatch>,
}

impl Judge {
    fn differs(&mut self, path: String, expected: impl Into<Value>, actual: impl Into<Value>) {
        self.mismatches.push(Mismatch { path, expected: expected.into(), actual: actual.into() });
    }

    fn runs(&mut self, came: &[Run], expected: &[ExpectedRun], path: &str, tested: &str) {
        let mut left: Vec<&Run> = came.iter().collect();
        for one in expected {
            let workflow = one.workflow.as_deref().unwrap_or(tested);
            let is_it = |run: &&&Run| {
                run.workflow == workflow
                    && one.key.as_ref().is_none_or(|key| *key == run.key)
                    && one.contact.as_ref().is_none_or(|who| Some(who) == run.contact.as_ref())
            };
            let Some(found) = left.iter().position(|run| is_it(&run)) else {
                let mut wanted = json!({ "workflow": workflow });
                if let Some(key) = &one.key {
                    wanted["key"] = key.as_str().into();
                }
                if let Some(contact) = &one.contact {
                    wanted["contact"] = contact.as_str().into();
                }
                self.differs(one.path.clone(), wanted, Value::Null);
                continue;
            };
            let run = left.remove(found);
            self.run(run, one);
        }
        // Those of other workflows are there whether or not a case is about them.
        for run in left.into_iter().filter(|run| run.workflow == tested) {
            self.differs(path.to_owned(), Value::Null, json!({ "workflow": tested, "key": run.key }));
        }
    }

    fn run(&mut self, run: &Run, expected: &ExpectedRun) {
        let at = |key: &str| format!("{}.{key}", expected.path);
        if let Some(trigger) = &expected.trigger
            && *trigger != run.trigger
        {
            self.differs(at("trigger"), trigger.as_str(), run.trigger.as_str());
        }
        if let Some(end) = expected.end
            && end != run.ended()
        {
            let actual = match run_error(run) {
                Some(error) => format!("{}: {error}", run.ended().as_str()),
                None => run.ended().as_str().to_owned(),
            };
            self.differs(at("end"), end.as_str(), actual);
        }
        if let Some(moment) = expected.at {
            self.moment(moment, run.ended_at, at("at"));
        }
        let entered = entered(run);
        if let Some(steps) = &expected.steps
            && *steps != entered
        {
            self.differs(at("steps"), json!(steps), json!(entered));
        }
        let mut rest = entered.iter();
        if !expected.passes.iter().all(|node| rest.any(|came| came == node)) {
            self.differs(at("passes"), json!(expected.passes), json!(entered));
        }
        if expected.never.iter().any(|node| entered.contains(node)) {
            self.differs(at("never"), json!(expected.never), json!(entered));
        }
        if let Some(nodes) = &expected.waits_at {
            let waiting = waiting(run);
            if *nodes != waiting {
                self.differs(at("waits_at"), json!(nodes), json!(waiting));
            }
        }
        let step = |node: &str| run.state.steps.get(node);
        for (node, way) in &expected.ways {
            let actual = step(node).and_then(|step| step.case.as_deref());
            self.value(way, &json!(actual), &format!("{}.{node}", at("ways")));
        }
        for (name, value) in &expected.vars {
            let actual = run.state.vars.get(name).cloned().unwrap_or_default();
            self.value(value, &actual, &format!("{}.{name}", at("vars")));
        }
        for (node, value) in &expected.outputs {
            let actual = step(node).map(|step| step.output.clone()).unwrap_or_default();
            self.value(value, &actual, &format!("{}.{node}", at("outputs")));
        }
        for (node, code) in &expected.errors {
            let actual = step(node).and_then(|step| Some(step.error.as_ref()?.code.as_str()));
            self.value(code, &json!(actual), &format!("{}.{node}", at("errors")));
        }
    }

    fn list(&mut self, came: &[Value], expected: &[Map<String, Value>], path: &str) {
        for (index, entry) in expected.iter().enumerate() {
            let at = format!("{path}[{index}]");
            match came.get(index) {
                Some(actual) => self.entry(entry, actual, &at),
                None => self.differs(at, entry.clone(), Value::Null),
            }
        }
        for (index, actual) in came.iter().enumerate().skip(expected.len()) {
            self.differs(format!("{path}[{index}]"), Value::Null, actual.clone());
        }
    }

    fn entry(&mut self, expected: &Map<String, Value>, actual: &Value, path: &str) {
        for (key, value) in expected {
            let at = format!("{path}.{key}");
            let moment = value.as_str().filter(|_| key == "at" || key == "due_at").and_then(Moment::parse);
            match moment {
                Some(moment) => {
                    let came = actual[key].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
                    self.moment(moment, came.map(|at| at.to_utc()), at);
                }
                None => self.value(value, &actual[key], &at),
            }
        }
    }

    fn contact(&mut self, expected: &Value, actual: &Value, path: &str) {
        for (key, value) in expected.as_object().into_iter().flatten() {
            let at = format!("{path}.{key}");
            let mut value = value.clone();
            // Both are sets, which contacts keep sorted.
            if let (true, Value::Array(words)) = (key == "tags" || key == "segments", &mut value) {
                words.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            }
            self.value(&value, &actual[key], &at);
        }
    }

    fn moment(&mut self, expected: Moment, actual: Option<DateTime<Utc>>, path: String) {
        let expected = expected.from(self.start);
        // What happens takes a moment; nobody can say when within a second.
        let is_it = actual.is_some_and(|actual| actual.trunc_subsecs(0) == expected.trunc_subsecs(0));
        if !is_it {
            self.differs(path, text(expected), json!(actual.map(text)));
        }
    }

    /// Of objects, what is said is compared; lists are compared whole.
    fn value(&mut self, expected: &Value, actual: &Value, path: &str) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                for (key, value) in expected {
                    let actual = actual.get(key).unwrap_or(&Value::Null);
                    self.value(value, actual, &format!("{path}.{key}"));
                }
            }
            (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
                for (index, (value, actual)) in expected.iter().zip(actual).enumerate() {
                    self.value(value, actual, &format!("{path}[{index}]"));
                }
            }
            (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
            (expected, actual) if expected == actual => {}
            (expected, actual) => self.differs(path.to_owned(), expected.clone(), actual.clone()),
        }
    }
}

/// The nodes that a run entered, in order, each once for each visit.
pub(crate) fn entered(run: &Run) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let of_nodes = run.log.iter().map(|(_, step)| step);
    of_nodes
        .filter(|step| !step.node.is_empty() && step.action != "trigger")
        .filter(|step| seen.insert((step.node.clone(), step.visit)))
        .map(|step| step.node.clone())
        .collect()
}

fn run_error(run: &Run) -> Option<String> {
    let Some(automation_domain::interpreter::End::Failed { node, error, .. }) = &run.state.end else {
        return None;
    };
    let node = node.as_deref().map(|node| format!("{node}: ")).unwrap_or_default();
    Some(format!("{node}{} [{}]", error.message, error.code))
}

/// The nodes on which branches of a run wait.
fn waiting(run: &Run) -> Vec<String> {
    let tokens = run.state.tokens.values().filter(|_| run.state.end.is_none());
    tokens
        .filter(|token| !matches!(token.waits, Waits::Dead { .. }))
        .map(|token| token.node.clone())
        .collect()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
