//! How long definitions made to hurt hold a thread: the corpus of `crates/actions/tests/hostile/`, which asserts what they
//! are charged and come to.

#[path = "../../../actions/tests/hostile/corpus.rs"]
mod corpus;
#[path = "../../../actions/tests/hostile/graphs.rs"]
mod graphs;
#[path = "../../../actions/tests/hostile/subject.rs"]
mod subject;

use super::percentile;
use automation_actions::node_types;
use automation_domain::budget::Budget;
use automation_domain::condition::Condition;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::interpreter::{
    NothingRecorded, NothingStored, OwedFor, RunEvent, RunInput, RunState, Unwatched, advance,
};
use automation_domain::past::Past;
use automation_domain::template::Template;
use automation_domain::workflow::{self, Workflow};
use serde::Serialize;
use serde_json::json;
use std::time::Instant;
use subject::{Subject, TEXTS};

/// How long the entries of a part of the corpus took.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Held {
    /// What was timed.
    pub(crate) what: &'static str,
    /// How many of them.
    pub(crate) entries: usize,
    /// Milliseconds each.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) most_ms: f64,
    /// The one that took longest.
    pub(crate) slowest: String,
}

impl Held {
    fn of(what: &'static str, mut times: Vec<(f64, String)>) -> Self {
        times.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        let millis: Vec<f64> = times.iter().map(|(millis, _)| *millis).collect();
        let (most_ms, slowest) = times.pop().unwrap_or_default();
        let (p50_ms, p99_ms) = (percentile(&millis, 0.5), percentile(&millis, 0.99));
        Self { what, entries: millis.len(), p50_ms, p99_ms, most_ms, slowest }
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let Self { what, entries, p50_ms, p99_ms, most_ms, slowest } = self;
        let slowest: String = slowest.chars().take(60).collect();
        format!(
            "{what}: {entries}, p50 {p50_ms:.2} ms, p99 {p99_ms:.1} ms, at most {most_ms:.1} ms ({slowest})"
        )
    }
}

/// Times every entry of the corpus.
pub(crate) fn measure() -> Vec<Held> {
    let subject = Subject::default();
    let (compiling, walking) = graphs(&subject);
    vec![templates(&subject), patterns(&subject), compiling, walking]
}

fn timed<T>(times: &mut Vec<(f64, String)>, name: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    times.push((begun.elapsed().as_secs_f64() * 1e3, name.to_owned()));
    done
}

fn facts<'a>(subject: &'a Subject, budget: &'a Budget) -> Facts<'a> {
    let (event, contact) = (Some(&subject.event), Some(&subject.contact));
    let (past, tenant) = (Past::Unknown, TenantFacts::new("acme", "UTC"));
    Facts { event, contact, run: None, past, tenant, now: subject.now, budget }
}

fn templates(subject: &Subject) -> Held {
    let mut times = Vec::new();
    for (line, text) in corpus::lines(include_str!("../../../actions/tests/hostile/templates.txt")) {
        let Ok(template) = Template::parse(&text, "with.text", &subject.limits) else { continue };
        let budget = Budget::new(&subject.limits);
        // What it comes to is the test's business.
        let _ = timed(&mut times, line, || template.render(&facts(subject, &budget)));
    }
    Held::of("rendering a template", times)
}

fn patterns(subject: &Subject) -> Held {
    let mut times = Vec::new();
    for (line, pattern) in corpus::lines(include_str!("../../../actions/tests/hostile/regexes.txt")) {
        for text in TEXTS {
            let field = format!("event.data.{text}");
            let condition = json!({ "field": field, "op": "regex_match", "value": pattern });
            let Ok(condition) = Condition::parse(&condition, "where", &subject.limits) else { continue };
            let budget = Budget::new(&subject.limits);
            let name = format!("{line} in {text}");
            let _ = timed(&mut times, &name, || condition.holds(&facts(subject, &budget)));
        }
    }
    Held::of("looking for an expression", times)
}

/// Reading the graphs, and each turn of walking those that can be.
fn graphs(subject: &Subject) -> (Held, Held) {
    let (mut reading, mut walking) = (Vec::new(), Vec::new());
    for (name, definition) in graphs::all() {
        let read =
            timed(&mut reading, &name, || workflow::parse_value(&definition, node_types(), &subject.limits));
        if let Ok(workflow) = read {
            turns(subject, &workflow, &name, &mut walking);
        }
    }
    (Held::of("reading a definition", reading), Held::of("a turn of a walk", walking))
}

fn turns(subject: &Subject, workflow: &Workflow, name: &str, times: &mut Vec<(f64, String)>) {
    let trigger = workflow.triggers[0].id.clone();
    let (mut state, mut input) = (RunState::default(), RunEvent::Started { trigger });
    while state.end.is_none() {
        let run = RunInput {
            event: Some(&subject.event),
            contact: Some(subject.contact.clone()),
            tenant: TenantFacts::new("acme", "UTC"),
            run_id: subject.run_id,
            run_key: "c-1",
            started_at: subject.now,
            version: 1,
            now: subject.now,
            limits: &subject.limits,
            ladder: &subject.ladder,
            is_paused: false,
            stored: &NothingStored,
            recorded: &NothingRecorded,
            watch: &Unwatched,
        };
        let walked = timed(times, name, || advance(workflow, state, [input], run));
        let owed = walked.state.owed(subject.now);
        if walked.state.end.is_none() && owed.iter().all(|owed| owed.waits_for == OwedFor::Outcome) {
            return;
        }
        (state, input) = (walked.state, RunEvent::TimerFired);
    }
}
