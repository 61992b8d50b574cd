//! Files of tests: what the schema lets through, and what reading does.

use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_simulation::test_file::{read, schema};
use std::path::Path;

#[test]
fn the_schema_lets_the_tests_of_all_examples_through() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.to_string_lossy().ends_with(".test.yaml") {
            let text = std::fs::read_to_string(&file).unwrap();
            let document = workflow::read(&text, &Limits::default()).unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", file.display());
            assert!(read(&text, &Limits::default()).is_ok());
            files += 1;
        }
    }
    assert!(files >= 10, "{files}");
}

#[test]
fn what_reading_refuses_the_schema_refuses_too() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let case = |rest: &str| format!("cases: [ {{ name: a, {rest} }} ]");
    for text in [
        "cases: []".to_owned(),
        "case: []".to_owned(),
        case("when: []"),
        case("expect: {}"),
        case("expect: { run: [] }"),
        case("expect: { runs: [ { end: done } ] }"),
        case("expect: { runs: [], tasks: [ { name: x } ] }"),
        case("expect: { runs: [] }, until: later"),
        case("expect: { runs: [] }, when: [ { event: a.b, contact: ada } ]"),
        case("expect: { runs: [] }, when: [ { subject: ada } ]"),
        case("expect: { runs: [] }, given: { contact: {} }"),
        case("expect: { runs: [] }, given: { contacts: { ada: { score: high } } }"),
        case("expect: { runs: [] }, answers: { call: { status: 200, failure: timeout } }"),
        case("expect: { runs: [] }, answers: { call: [] }"),
        case("expect: { runs: [] }, answers: { call: { failure: shrug } }"),
    ] {
        let document = workflow::read(&text, &Limits::default()).unwrap();
        assert!(read(&text, &Limits::default()).is_err(), "{text}");
        assert!(!validator.is_valid(&document), "{text}");
    }
}

#[test]
fn an_answer_that_leads_elsewhere_or_a_type_that_is_the_engines_is_refused() {
    for (text, path) in [
        ("expect: { runs: [] }, answers: { call: { status: 302 } }", "cases[0].answers.call.status"),
        ("expect: { runs: [] }, when: [ { event: schedule.cron } ]", "cases[0].when[0].event"),
        ("expect: { runs: [] }, when: [ { contact: ada } ]", "cases[0].when[0]"),
        ("expect: { runs: [] }, when: [ { contact: ada, set: { scor: 1 } } ]", "cases[0].when[0].set.scor"),
    ] {
        let problems = read(&format!("cases: [ {{ name: a, {text} }} ]"), &Limits::default()).unwrap_err();
        assert!(problems.iter().any(|problem| problem.path == path), "{text}: {problems:?}");
    }
}
