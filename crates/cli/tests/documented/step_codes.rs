//! Codes of failed steps, and of parked events: the tables in the code and those in `docs/errors.md` are one, and no step
//! fails with any other.

use crate::pages;
use automation_domain::step_code::StepCode;
use automation_operations::parked_events::REASONS;
use std::collections::BTreeSet;

/// Codes in the first column under a title; a family stands there as `http_<status>`.
fn documented(title: &str) -> BTreeSet<String> {
    let page = pages::page("docs/errors.md").prose();
    let (_, section) = page.split_once(&format!("\n## {title}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells =
        section.lines().filter(|line| line.starts_with("| `")).map(|row| row.split('|').nth(1).unwrap());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_code_of_a_step_is_documented_and_every_documented_one_is_in_the_table() {
    let table: BTreeSet<String> = StepCode::NAMED
        .iter()
        .map(|code| code.to_string())
        .chain([StepCode::HttpStatus(0).to_string().replace('0', "<status>")])
        .collect();
    assert_eq!(documented("Failed steps"), table);
}

#[test]
fn every_reason_for_which_events_are_parked_is_documented_and_every_documented_one_is_in_the_table() {
    let table: BTreeSet<String> = REASONS.iter().copied().chain(["broker_…"]).map(str::to_owned).collect();
    let mut documented = documented("Parked events");
    documented.retain(|code| !["broker_rejected", "broker_delivery_limit"].contains(&code.as_str()));
    assert_eq!(documented, table);
}

#[test]
fn no_step_fails_with_a_code_that_is_not_from_the_table() {
    let mut seen = 0;
    for folder in ["domain", "actions", "executor", "connectors"] {
        let is_shipped =
            |path: &str| path.ends_with(".rs") && !path.ends_with("tests.rs") && !path.contains("/tests/");
        for path in pages::below(&format!("crates/{folder}/src")) {
            let path = path.to_string_lossy();
            if !is_shipped(&path) {
                continue;
            }
            let text = std::fs::read_to_string(path.as_ref()).unwrap();
            let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            // What fails to render fails its step.
            let all = ["StepError {", "RenderError {"].map(|made| shipped.split(made).skip(1));
            for made in all.into_iter().flatten() {
                let code = made.split_whitespace().skip_while(|word| !word.starts_with("code")).nth(1);
                assert!(!code.unwrap_or_default().starts_with('"'), "{path}: {code:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "only {seen} were found");
}
