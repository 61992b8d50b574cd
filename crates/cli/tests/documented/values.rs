//! What the documentation says of values comes out so: files, fields, operators, expressions, statements.

use crate::pages::{self, Block};
use automation_domain::budget::Budget;
use automation_domain::condition::Condition;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::id::EventId;
use automation_domain::limits::Limits;
use automation_domain::schedule::cron::Cron;
use automation_domain::template::Template;
use automation_domain::workflow;
use automation_test_support::builders;
use automation_test_support::database::TestDatabase;
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::process::Command;
use uuid::Uuid;

fn blocks(language: &str) -> Vec<Block> {
    let all = pages::all().into_iter().flat_map(|page| page.blocks());
    all.filter(|block| block.language == language).collect()
}

fn compile(place: &str, text: &str) {
    let compiled = workflow::parse(text, automation_actions::node_types(), &Limits::default());
    assert!(compiled.is_ok(), "{place}: {:#?}\n{text}", compiled.err());
}

/// The lines, each this much further to the right.
fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

const HEAD: &str = "apiVersion: automation/v1\nkey: example\nname: Example\n";
const START: &str = "triggers:\n  - { id: start, event: form.submitted }\n";

/// A part of a file is put into the smallest file that it can stand in.
#[test]
fn every_workflow_and_every_part_of_one_compiles() {
    let mut seen = 0;
    for Block { place, text, .. } in blocks("yaml") {
        let note = "nodes:\n  - { id: note, action: add_tag, with: { tag: seen } }\n";
        match text.split([':', ' ']).next().unwrap() {
            "apiVersion" => compile(&place, &text),
            "where" => {
                let trigger =
                    format!("triggers:\n  - id: start\n    event: form.submitted\n{}", indented(&text, 4));
                compile(&place, &format!("{HEAD}{trigger}{note}edges:\n  - [start, note]\n"));
            }
            "triggers" => {
                // Schedules are about nobody.
                let note = "nodes:\n  - { id: note, action: delay, with: { for: 1s } }\n";
                compile(
                    &place,
                    &format!("{HEAD}{text}{note}edges:\n  - [nightly, note]\n  - [often, note]\n"),
                );
            }
            "nodes" => {
                let document: Value = yaml_serde::from_str(&text).unwrap();
                let first = document["nodes"][0]["id"].as_str().unwrap();
                let note = match text.contains("on_error: note") {
                    true => indented("- { id: note, action: add_tag, with: { tag: seen } }", 2),
                    false => String::new(),
                };
                compile(&place, &format!("{HEAD}{START}{text}{note}edges:\n  - [start, {first}]\n"));
            }
            "-" => {
                let nodes = format!("nodes:\n{}", indented(&text, 2));
                // One after the other.
                let document: Value = yaml_serde::from_str(&text).unwrap();
                let ids = document.as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap());
                let ways: Vec<&str> = ["start"].into_iter().chain(ids).collect();
                let edges: String =
                    ways.windows(2).map(|way| format!("  - [{}, {}]\n", way[0], way[1])).collect();
                compile(&place, &format!("{HEAD}{START}{nodes}edges:\n{edges}"));
            }
            "title" => {
                let document: Value = yaml_serde::from_str(&text).unwrap();
                for (key, template) in document.as_object().unwrap() {
                    let parsed = Template::parse(template.as_str().unwrap(), key, &Limits::default());
                    assert!(parsed.is_ok(), "{place}: {key}: {:?}", parsed.err());
                }
            }
            "cases" | "answers" => {
                let case =
                    format!("cases:\n  - name: example\n    expect: {{ runs: [] }}\n{}", indented(&text, 4));
                let tests = if text.starts_with("cases") { text.clone() } else { case };
                let read = automation_simulation::test_file::read(&tests, &Limits::default());
                assert!(read.is_ok(), "{place}: {:?}", read.err());
            }
            // Rules of Prometheus: what they measure is held against the metrics there are in the tests of metrics.
            "groups" => drop(yaml_serde::from_str::<Value>(&text).unwrap()),
            other => panic!("{place}: nobody knows what begins with \"{other}\""),
        }
        seen += 1;
    }
    assert!(seen > 6, "only {seen} blocks were found");
}

#[test]
fn every_event_and_every_answer_is_json() {
    let bodies = blocks("sh").into_iter().flat_map(|block| {
        let words = shlex::split(&block.text.replace("\\\n", " ")).unwrap_or_default();
        let place = block.place;
        words
            .windows(2)
            .filter(|pair| pair[0] == "-d" || pair[0] == "--data")
            .map(|pair| (place.clone(), pair[1].clone()))
            .filter(|(_, body)| body.starts_with('{'))
            .collect::<Vec<_>>()
    });
    let answers = blocks("json").into_iter().map(|block| (block.place, block.text));
    let mut seen = 0;
    for (place, text) in bodies.chain(answers) {
        let read = serde_json::from_str::<Value>(&text);
        assert!(read.is_ok(), "{place}: {:?}: {text}", read.err());
        seen += 1;
    }
    assert!(seen > 3, "only {seen} were found");
}

#[tokio::test]
async fn every_statement_is_one_that_the_database_knows() -> anyhow::Result<()> {
    let database = TestDatabase::create().await?;
    let mut seen = 0;
    for block in blocks("sql") {
        let without_comments: String =
            block.text.lines().map(|line| format!("{}\n", line.split("--").next().unwrap_or(""))).collect();
        // What psql puts in, and what has nothing to be explained.
        let without_comments =
            without_comments.replace(":'tenant'", "'00000000-0000-0000-0000-000000000000'");
        let is_explained =
            |statement: &&str| !["", "BEGIN", "COMMIT"].contains(statement) && !statement.starts_with("SET ");
        for statement in without_comments.split(';').map(str::trim).filter(is_explained) {
            let known = database.execute(&format!("EXPLAIN {statement}")).await;
            assert!(known.is_ok(), "{}: {statement}: {:?}", block.place, known.err());
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} were found");
    Ok(())
}

#[test]
fn every_program_can_be_read() {
    for block in blocks("python") {
        let mut python = Command::new("python3");
        let read = python.args(["-c", "import ast, sys; ast.parse(sys.argv[1])", &block.text]).output();
        // Without an interpreter there is nobody to ask; publisher_examples says whether that is allowed.
        if let Ok(output) = read {
            assert!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&output.stderr));
        }
    }
    // The client's own documentation has it too, where it is compiled.
    let compiled = pages::root().join("crates/client/src/lib.rs");
    let compiled = std::fs::read_to_string(compiled).unwrap();
    for block in blocks("rust") {
        let uses = |line: &&str| !line.starts_with("use ") && !line.is_empty();
        for line in block.text.lines().filter(uses) {
            assert!(
                compiled.contains(line.trim()),
                "{}: {line} is not in crates/client/src/lib.rs",
                block.place
            );
        }
    }
}

/// What each operator comes to when something is missing or of another kind, as the table says.
#[test]
fn operators_come_to_what_their_table_says() {
    let mut event = builders::event("demo", "1");
    event.data = json!({ "null": null, "object": { "a": 1 }, "number": 5, "text": "five" });
    let recorded = RecordedEvent { event_id: EventId(Uuid::nil()), received_at: event.time, event };
    let limits = Limits::default();
    let holds = |leaf: Value| {
        let budget = Budget::new(&limits);
        let facts = Facts {
            event: Some(&recorded),
            contact: None,
            run: None,
            past: automation_domain::past::Past::Unknown,
            tenant: TenantFacts::new("demo", "UTC"),
            now: recorded.received_at,
            budget: &budget,
        };
        Condition::parse(&leaf, "where", &limits).unwrap().holds(&facts).unwrap()
    };
    let expected = |cell: &str| match cell {
        "true" => Some(true),
        "false" => Some(false),
        "–" => None,
        other => panic!("{other} is neither true nor false"),
    };
    let rows = pages::page("docs/conditions.md").table("| Operator |");
    let mut seen = 0;
    for row in &rows {
        for op in row[0].split('`').skip(1).step_by(2) {
            let takes_value = !op.starts_with("is_");
            let leaf = |field: &str, value: &str| match takes_value {
                true => json!({ "field": field, "op": op, "value": value }),
                false => json!({ "field": field, "op": op }),
            };
            for field in ["event.data.missing", "event.data.null"] {
                assert_eq!(Some(holds(leaf(field, "five"))), expected(&row[1]), "{op} of {field}");
            }
            if takes_value && op != "regex_match" {
                let missing = holds(leaf("event.data.text", "{{ event.data.missing }}"));
                assert_eq!(Some(missing), expected(&row[2]), "{op} with a value that comes to nothing");
            }
            let mistyped = holds(leaf("event.data.object", "five"));
            assert_eq!(Some(mistyped), expected(&row[3]), "{op} of an object");
            seen += 1;
        }
    }
    assert_eq!(seen, 13);
}

#[test]
fn every_cron_expression_is_read_and_those_that_are_refused_are() {
    let refused = ["0 0 30 2 *"];
    let spans = pages::page("docs/schedules.md").spans();
    let is_cron = |span: &&String| {
        let fields: Vec<&str> = span.split_whitespace().collect();
        (5..=6).contains(&fields.len()) && fields[0].chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c))
    };
    let mut seen = 0;
    for expression in spans.iter().filter(is_cron) {
        let read = Cron::parse(expression, Tz::Europe__Berlin);
        assert_eq!(read.is_ok(), !refused.contains(&expression.as_str()), "{expression}: {:?}", read.err());
        seen += 1;
    }
    assert!(seen > 7, "only {seen} were found");
    for (field, text) in [("5/15", "minute"), ("*/70", "minute"), ("10-20/15", "minute")] {
        assert!(Cron::parse(&format!("{field} * * * *"), Tz::UTC).is_err(), "{field} as {text}");
    }
    for text in ["0 0 * * FRI-MON", "@daily"] {
        assert!(Cron::parse(text, Tz::UTC).is_err(), "{text}");
    }
    for text in [
        "0 0 * * SAT-SUN",
        "0 0 L * *",
        "0 0 LW * *",
        "0 0 15W * *",
        "0 0 * * 5L",
        "0 0 * * 5#2",
        "5-59/15 * * * *",
    ] {
        assert!(Cron::parse(text, Tz::UTC).is_ok(), "{text}");
    }
}

/// One value, one text: as the table of that name has it.
#[test]
fn texts_of_values_are_what_their_table_says() {
    let rows = pages::page("docs/templates.md").table("| value | text |");
    let limits = Limits::default();
    let text = |template: &str| {
        let budget = Budget::new(&limits);
        let facts = Facts {
            event: None,
            contact: None,
            run: None,
            past: automation_domain::past::Past::Unknown,
            tenant: TenantFacts::new("demo", "UTC"),
            now: Default::default(),
            budget: &budget,
        };
        Template::parse(template, "text", &limits).unwrap().render(&facts).unwrap()
    };
    for (value, template, expected) in [
        ("text", "-{{ 'itself' }}", "-itself"),
        ("missing, null", "-{{ none }}", "-"),
        ("true, false", "-{{ true }}{{ false }}", "-truefalse"),
        ("number", "-{{ 17 }},{{ 17.0 }},{{ 1.7e1 }},{{ 1.5 }}", "-17,17,17,1.5"),
        ("list, object", "-{{ [1.0, true, none, 'a'] }}{{ {'a': 2.0} }}", r#"-[1,true,null,"a"]{"a":2}"#),
    ] {
        assert!(rows.iter().any(|row| row[0] == value), "{value} is not in the table: {rows:?}");
        assert_eq!(text(template), json!(expected), "{template}");
    }
    assert_eq!(rows.len(), 5, "a row is not tried");
}

/// Words of code that stand as codes in the tables of errors are words of the code.
#[test]
fn every_code_of_an_error_is_one_that_there_is() {
    let page = pages::page("docs/errors.md");
    let code = pages::rust_below("crates", |path| !path.contains("/tests"));
    let mut seen = 0;
    let rows = page.prose();
    for row in rows.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        for span in cell.split('`').skip(1).step_by(2) {
            // Families: http_<status>, broker_….
            let name = span.split(['<', '…']).next().unwrap();
            // Commands say theirs in brackets behind the sentence.
            let whole = [format!("\"{name}\""), format!("[{name}]")];
            let there = whole.iter().any(|word| code.contains(word))
                || (name != span && code.contains(&format!("\"{name}")));
            assert!(there, "nobody says {span}");
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} codes were found");
}
