//! Tests of workflows as files: the examples pass theirs, and what fails, or cannot be read, says why.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and names its files itself"
)]

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use uuid::Uuid;

const WORKFLOW: &str = "
apiVersion: automation/v1
key: greet
triggers: [{ id: asked, event: form.submitted }]
nodes:
  - id: size
    action: branch
    with: { cases: [ { name: large, where: { field: event.data.total, op: greater_than, value: 50 } } ] }
  - { id: note, action: add_note, with: { text: \"large <& \\\"{{ event.data.who }}\\\"\" } }
  - { id: tag, action: add_tag, with: { tag: small } }
edges:
  - [asked, size]
  - { from: size, case: large, to: note }
  - { from: size, case: else, to: tag }
";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("automation-tests-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        let folder = Self(folder);
        folder.file("greet.yaml", WORKFLOW);
        folder
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Exit code, standard output and standard error, without any server to be reached.
fn automation(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_automation")).args(arguments).env_clear().output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[test]
fn the_tests_of_all_examples_pass() {
    let (code, out, error) = automation(&["workflow", "test", examples().to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{out}{error}");
    let results: Value = serde_json::from_str(&out).unwrap();
    let files: BTreeSet<&str> =
        results["cases"].as_array().unwrap().iter().map(|case| case["file"].as_str().unwrap()).collect();
    assert!(files.len() >= 10, "{files:?}");
    assert!(results["passed"].as_u64().unwrap() >= 25 && results["failed"] == 0, "{results}");
}

#[test]
fn simulating_a_file_needs_no_server_and_shows_every_decision_with_both_values() {
    let folder = Folder::new();
    let file = folder.path("greet.yaml");
    let simulate = |more: &[&str]| {
        automation(&[&["workflow", "simulate", &file, "--at", "2027-12-24T18:00:00Z"], more].concat())
    };
    let event = ["--type", "form.submitted", "--subject", "ada", "--data", "{\"total\":50}"];
    let (code, out, error) = simulate(&event);
    assert_eq!(code, 0, "{error}");
    for line in [
        "2027-12-24T18:00:00.000Z  +0s",
        "greet, trigger asked: starts a run, unique by ada",
        "size branch: completed, takes else",
        "no   event.data.total greater_than 50, is 50",
        "tag would do: {\"contact\":\"ada\",\"effect\":\"add_tag\",\"tag\":\"small\"}",
        "greet (ada) has ended, completed",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert_eq!(error.trim(), "nothing was sent, and nothing was stored");
    // A contact of a file, and an event as publishers send it.
    let contact = folder.file("ada.json", "{\"subject\":\"ada\",\"tags\":[\"old\"]}");
    let sent = folder.file(
        "event.json",
        "{\"specversion\":\"1.0\",\"type\":\"form.submitted\",\"id\":\"7\",\"source\":\"shop\",\"data\":{\"total\":60}}",
    );
    let (code, out, error) = simulate(&["--event", &sent, "--contact", &contact, "--json"]);
    assert_eq!(code, 0, "{error}");
    let played: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(played["runs"][0]["steps"]["size"]["case"], "large");
    assert_eq!(played["contacts"][0]["tags"], serde_json::json!(["old"]));
    for (more, code, said) in [
        (&["--type", "form.submitted", "--answer", "nte=200"][..], 2, "has no node \"nte\""),
        (&["--type", "form.submitted", "--answer", "note=700"], 2, "answer.status"),
        (&["--type", "form.submitted", "--contact", "somebody"], 2, "kept on a server"),
        (&["--type", "form.submitted", "--draft"], 2, "a file has no draft"),
        (&["--schedule", "nightly"], 2, "has no schedule"),
        (&[], 2, "required"),
    ] {
        let (came, _, error) = simulate(more);
        assert!(came == code && error.contains(said), "{more:?}: {came} {error}");
    }
}

#[test]
fn the_committed_schema_of_tests_is_what_the_code_says() {
    let (code, out, _) = automation(&["workflow", "schema", "--tests"]);
    assert_eq!(code, 0);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/workflow-tests.schema.json");
    if std::env::var_os("AUTOMATION_BLESS").is_some() {
        std::fs::write(&path, &out).unwrap();
    }
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(
        committed == serde_json::from_str::<Value>(&out).unwrap(),
        "docs/workflow-tests.schema.json is not what the code says: run this test once with AUTOMATION_BLESS=1 and commit it"
    );
}

/// One case passes, one does not.
fn failing(folder: &Folder) -> String {
    folder.file(
        "greet.test.yaml",
        "
cases:
  - name: small
    when: [ { event: form.submitted, subject: ada, data: { total: 5 } } ]
    expect: { runs: [ { steps: [size, tag] } ] }
  - name: \"large <\\u0007&>\"
    when: [ { event: form.submitted, subject: ada, data: { total: 5, who: \"]]> <b>\" } } ]
    expect:
      runs: [ { end: completed, ways: { size: large }, at: 1d } ]
      notes: [ { text: hello } ]
      contacts: { ada: { tags: [small] } }
",
    )
}

#[test]
fn what_came_otherwise_is_shown_with_what_was_expected_and_how_the_run_went() {
    let folder = Folder::new();
    let (code, out, error) = automation(&["workflow", "test", &failing(&folder)]);
    assert_eq!(code, 6, "{out}{error}");
    for line in [
        "cases[1].expect.runs[0].ways.size: expected \"large\", came \"else\"",
        "cases[1].expect.runs[0].at: expected \"2026-01-06T09:00:00Z\", came \"2026-01-05T09:00:00Z\"",
        "cases[1].expect.notes[0]: expected {\"text\":\"hello\"}, came nothing",
        "no   event.data.total greater_than 50, is 5",
        "tag would do: {\"contact\":\"ada\",\"effect\":\"add_tag\",\"tag\":\"small\"}",
        "1 case passed, 1 failed",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(!out.contains("contacts.ada"), "what came as expected is not told: {out}");
    assert!(error.contains("1 case did not come to what it expects") && error.contains("next: "), "{error}");
}

#[test]
fn a_report_in_junit_xml_is_well_formed_whatever_stands_in_names_and_values() {
    let folder = Folder::new();
    let (tests, report) = (failing(&folder), folder.path("report.xml"));
    assert_eq!(automation(&["workflow", "test", &tests, "--junit", &report]).0, 6);
    let text = std::fs::read_to_string(&report).unwrap();
    let (mut reader, mut open, mut names) = (Reader::from_str(&text), Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => open.push(start.name().as_ref().to_vec()),
            Event::Empty(_) => {}
            Event::End(end) => assert_eq!(open.pop().unwrap(), end.name().as_ref()),
            Event::Text(text) => names.push(text.decode().unwrap().into_owned()),
            Event::Eof => break,
            Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    assert!(open.is_empty());
    assert!(text.contains("<testsuites tests=\"2\" failures=\"1\" errors=\"0\">"), "{text}");
    assert!(text.contains("name=\"large &lt;\\u0007&amp;&gt;\""), "{text}");
    assert!(text.contains("&lt;b&gt;") && !text.contains("<b>"), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
}

#[test]
fn a_key_that_nothing_has_is_a_problem_with_its_place_and_the_nearest_known_one() {
    let folder = Folder::new();
    let tests = folder.file(
        "greet.test.yaml",
        "
cases:
  - name: a
    given: { contacts: { ada: { score: high, firstname: Ada } } }
    when: [ { evnt: form.submitted, subject: ada }, { event: form.submitted, dta: {} } ]
    answers: { size: { stats: 200 } }
    expect: { runs: [ { ednd: completed } ], note: [] }
  - name: a
    until: soon
    expect: { runs: [ { end: finished } ] }
",
    );
    let (code, out, _) = automation(&["workflow", "test", &tests]);
    assert_eq!(code, 1, "{out}");
    for problem in [
        "cases[0].given.contacts.ada.firstname: a contact has no key \"firstname\" (did you mean \"first_name\"?) [unknown_key]",
        "cases[0].given.contacts.ada.score: score takes a number [bad_value]",
        "cases[0].when[0].evnt: what happens has no key \"evnt\" (did you mean \"event\"?) [unknown_key]",
        "cases[0].when[1].dta: an event has no key \"dta\" (did you mean \"data\"?) [unknown_key]",
        "cases[0].answers.size.stats: an answer has no key \"stats\" (did you mean \"status\"?) [unknown_key]",
        "cases[0].expect.note: what is expected has no key \"note\" (did you mean \"notes\"?) [unknown_key]",
        "cases[0].expect.runs[0].ednd: a run has no key \"ednd\" (did you mean \"end\"?) [unknown_key]",
        "cases[1].until: \"soon\" is no moment",
        "cases[1].expect.runs[0].end: \"finished\" is none of",
    ] {
        assert!(out.contains(problem), "{problem}\n{out}");
    }
}

#[test]
fn a_name_that_the_workflow_does_not_have_is_a_problem_and_no_passing_case() {
    let folder = Folder::new();
    let tests = folder.file(
        "greet.test.yaml",
        "
cases:
  - name: a
    when: [ { schedule: nightly } ]
    answers: { nots: { status: 200 } }
    expect: { runs: [ { never: [nte], ways: { siz: else } }, { workflow: great } ] }
",
    );
    let (code, out, _) = automation(&["workflow", "test", &tests]);
    assert_eq!(code, 1, "{out}");
    for problem in [
        "cases[0].answers.nots: \"greet\" has no node \"nots\" (did you mean \"note\"?) [unknown_node]",
        "cases[0].when: \"greet\" has no schedule \"nightly\" [unknown_node]",
        "cases[0].expect.runs[0].never[0]: \"greet\" has no node \"nte\" (did you mean \"note\"?) [unknown_node]",
        "cases[0].expect.runs[0].ways.siz: \"greet\" has no node \"siz\" (did you mean \"size\"?) [unknown_node]",
        "cases[0].expect.runs[1].workflow: no workflow \"great\" plays along (did you mean \"greet\"?) [unknown_workflow]",
    ] {
        assert!(out.contains(problem), "{problem}\n{out}");
    }
}

#[test]
fn tests_without_a_workflow_or_with_a_broken_one_are_bad_input() {
    let folder = Folder::new();
    let alone = folder.file("alone.test.yaml", "cases: [ { name: a, expect: { runs: [] } } ]");
    let (code, out, _) = automation(&["workflow", "test", &alone]);
    assert!(code == 1 && out.contains("there is no workflow of this name beside it"), "{out}");
    folder.file("alone.yaml", "apiVersion: automation/v1");
    let (code, out, _) = automation(&["workflow", "test", &alone, "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 1 && told["problems"][0]["code"] == "missing_key", "{out}");
    let (code, _, error) = automation(&["workflow", "test", &folder.path("nowhere.test.yaml")]);
    assert!(code == 2 && error.contains("cannot read"), "{error}");
}
