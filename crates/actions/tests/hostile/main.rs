//! Definitions made to hurt: each is refused with its code, or evaluated within its budget.
//!
//! The corpus is data: `templates.txt`, `regexes.txt`, and graphs that are made to be as large as limits allow. What each
//! comes to stands in `snapshots/`, with the order of magnitude of the steps that it was charged. There is no clock in it:
//! `./dev bench --only hostile` gives the times.

mod corpus;
mod graphs;
mod memory;
mod outcome;
mod subject;

use corpus::lines;
use subject::Subject;

/// Most memory that a process takes which evaluates all of a part of the corpus.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Compares what everything came to with what it should, and the memory of this process with what it may take.
fn check(name: &str, told: Vec<String>, at_least: usize) {
    assert!(told.len() >= at_least, "the corpus has {} entries and should have {at_least}", told.len());
    insta::assert_snapshot!(name, told.join("\n"));
    let peak = memory::peak_bytes();
    assert!(peak <= MOST_BYTES, "the process took {peak} bytes at its peak");
}

#[test]
fn templates_made_to_hurt_are_refused_or_stay_within_their_budget() {
    let subject = Subject::default();
    let told = lines(include_str!("templates.txt"))
        .map(|(line, template)| format!("{line} => {}", outcome::of_template(&subject, &template)));
    check("templates", told.collect(), 120);
}

#[test]
fn expressions_made_to_hurt_are_refused_or_stay_within_their_budget() {
    let subject = Subject::default();
    let told = lines(include_str!("regexes.txt"))
        .map(|(line, pattern)| format!("{line} => {}", outcome::of_pattern(&subject, &pattern)));
    check("regexes", told.collect(), 60);
}

#[test]
fn graphs_made_to_hurt_are_refused_or_walked_to_their_end() {
    let subject = Subject::default();
    let told = graphs::all()
        .map(|(name, definition)| format!("{name} => {}", outcome::of_definition(&subject, &definition)));
    check("graphs", told.collect(), 100);
}
