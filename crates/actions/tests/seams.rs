//! A node kind and an action that are in no list of the engine, made of public parts alone: each is one value.

use automation_domain::action::{Action, ContactUse, Prepared, StepContext};
use automation_domain::budget::Budget;
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::effect::Outcome;
use automation_domain::facts::{Facts, FieldPath};
use automation_domain::id::RunId;
use automation_domain::interpreter::{
    Advanced, End, NothingStored, Onward, RunEvent, RunInput, RunState, StepError, Unwatched, Visit, Walk,
    advance,
};
use automation_domain::limits::Limits;
use automation_domain::retry::Ladder;
use automation_domain::template::ValueTemplate;
use automation_domain::workflow::kinds::{Behaviour, Kind, NodeText, Ways};
use automation_domain::workflow::{Keys, NodeTypes, Reader, Workflow, json_schema, parse_value};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// `weigh`: waits a minute, then goes the way of `light` or `heavy`.
#[derive(Debug)]
struct WeighKind;

static WEIGH: WeighKind = WeighKind;

static WEIGH_ENTRY: ActionEntry = ActionEntry {
    key: "weigh",
    group: "flow",
    description: "Weighs something.",
    effect: Effect::Flow,
    emits: &[],
};

impl Kind for WeighKind {
    fn entry(&self) -> &ActionEntry {
        &WEIGH_ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": { "grams": { "type": "number" } },
            "required": ["grams"],
            "additionalProperties": false,
        })
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        const WITH: Keys = Keys { what: "a scale", known: &["grams"], later: &[] };
        let section = reader.section(node.with, node.at, &WITH)?;
        let grams = reader.required(section, "grams")?;
        let grams = reader.template(grams, &section.at("grams"))?;
        Some(Arc::new(Weigh { grams }))
    }
}

#[derive(Debug)]
struct Weigh {
    grams: ValueTemplate,
}

impl Behaviour for Weigh {
    fn key(&self) -> &'static str {
        WEIGH_ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        Vec::new()
    }

    fn ways(&self) -> Ways<'_> {
        Ways::Named(vec!["light", "heavy"])
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        walk.wait_until(visit, walk.now() + TimeDelta::minutes(1))
    }

    fn wake(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let error = |code: &str, message: String| StepError { code: code.to_owned(), message };
        let grams = walk.evaluate(visit, |facts| {
            let rendered =
                self.grams.render(facts).map_err(|refused| error(&refused.code, refused.message))?;
            rendered.as_f64().ok_or_else(|| error("not_a_weight", format!("{rendered} is no weight")))
        });
        match grams {
            Ok(grams) => {
                let way = if grams < 100.0 { "light" } else { "heavy" };
                walk.complete(visit, json!({ "grams": grams }));
                Onward::To(visit.node.ways.get(way).copied())
            }
            Err(error) => walk.fail(visit, error),
        }
    }
}

/// `shout`: says something aloud, to nobody.
static SHOUT: Action = Action {
    entry: ActionEntry {
        key: "shout",
        group: "crm",
        description: "Shouts.",
        effect: Effect::Record,
        emits: &[],
    },
    schema: || {
        json!({
            "type": "object",
            "properties": { "words": { "type": "string" } },
            "required": ["words"],
            "additionalProperties": false,
        })
    },
    contact: ContactUse::None,
    check: |literals| match literals.known.get("words").and_then(Value::as_str) {
        Some("") => vec![("words", "say something".to_owned())],
        Some(_) | None => Vec::new(),
    },
    prepare: shout,
    receive: heard,
};

fn shout(config: &Value, _step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let words = config["words"].as_str().unwrap_or_default().to_uppercase();
    Ok(Prepared::Changes { changes: Vec::new(), output: json!({ "words": words }) })
}

/// The other side says in its answer whether it heard.
fn heard(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Done { output, .. } if output["body"]["heard"] == false => {
            let error = StepError { code: "not_heard".to_owned(), message: "nobody listened".to_owned() };
            Outcome::Retry { error, after: None, reached: true }
        }
        Outcome::Done { .. } | Outcome::Retry { .. } | Outcome::Failed { .. } => outcome,
    }
}

fn types() -> NodeTypes {
    NodeTypes::new([&SHOUT]).with(&WEIGH)
}

fn definition(grams: Value, words: &str) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "letters",
        "triggers": [{ "id": "go", "event": "form.submitted" }],
        "nodes": [
            { "id": "scale", "action": "weigh", "with": { "grams": grams }, "on_error": "say" },
            { "id": "say", "action": "shout", "with": { "words": words } },
        ],
        "edges": [["go", "scale"], { "from": "scale", "case": "heavy", "to": "say" }],
    })
}

fn compile(definition: &Value) -> Result<Workflow, Vec<String>> {
    parse_value(definition, &types(), &Limits::default())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn go(workflow: &Workflow, state: RunState, input: RunEvent, now: DateTime<Utc>) -> Advanced {
    let run = RunInput {
        event: None,
        contact: None,
        tenant: "acme",
        run_id: RunId(Uuid::from_u128(9)),
        run_key: "c-1",
        started_at: now,
        version: 1,
        now,
        limits: &Limits::default(),
        ladder: &Ladder::default(),
        is_paused: false,
        stored: &NothingStored,
        watch: &Unwatched,
    };
    advance(workflow, state, [input], run)
}

#[test]
fn a_kind_and_an_action_of_public_parts_are_compiled_and_walked_like_those_of_the_engine() {
    for (grams, expected) in [
        (json!(120), vec!["scale weigh Completed", "say shout Completed"]),
        (json!("{{ 20 + 30 }}"), vec!["scale weigh Completed"]),
        (json!("{{ 'much' }}"), vec!["scale weigh Failed", "say shout Completed"]),
    ] {
        let definition = definition(grams, "hello {{ run.key }}");
        assert!(jsonschema::options().build(&json_schema(&types())).unwrap().is_valid(&definition));
        let workflow = compile(&definition).unwrap();
        let begun = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let waiting =
            go(&workflow, RunState::default(), RunEvent::Started { trigger: "go".to_owned() }, begun);
        assert_eq!((waiting.state.owed(begun).len(), waiting.finished()), (1, false));
        let done = go(&workflow, waiting.state, RunEvent::TimerFired, begun + TimeDelta::minutes(1));
        let lines = done.log().map(|step| format!("{} {} {:?}", step.node, step.action, step.outcome));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        assert_eq!(done.state.end, Some(End::Completed));
        if expected.len() == 2 {
            assert_eq!(done.state.steps["say"].output, json!({ "words": "HELLO C-1" }));
        }
    }
}

#[test]
fn their_mistakes_are_told_like_those_of_the_engine() {
    let mut wrong = definition(json!(1), "");
    wrong["nodes"][0]["with"]["gram"] = json!(2);
    wrong["nodes"][0]["retry"] = json!("none");
    wrong["edges"][1]["case"] = json!("hevy");
    let problems = compile(&wrong).unwrap_err();
    for part in [
        "say something",
        "a scale has no key \"gram\" (did you mean \"grams\"?)",
        "no case \"hevy\"",
        "\"retry\" makes no sense here: weigh",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
    let unknown = parse_value(&definition(json!(1), "x"), &NodeTypes::new([]), &Limits::default());
    assert_eq!(unknown.unwrap_err().iter().filter(|problem| problem.code == "unknown_action").count(), 2);
    // What is evaluated is charged like anything else.
    let budget = Budget::default();
    let facts = Facts {
        event: None,
        contact: None,
        run: None,
        tenant: "acme",
        now: DateTime::UNIX_EPOCH,
        budget: &budget,
    };
    let grams = ValueTemplate::parse(&json!("{{ 1 + 1 }}"), "grams", &Limits::default()).unwrap();
    grams.render(&facts).unwrap();
    assert!(budget.spent_steps() > 0);
}

#[test]
fn an_action_reads_whether_it_worked_in_what_came_back() {
    let vars = Map::new();
    let answered =
        |heard: bool| Outcome::Done { output: json!({ "body": { "heard": heard } }), vars: vars.clone() };
    assert_eq!((SHOUT.receive)(answered(true)), answered(true));
    assert!(
        matches!((SHOUT.receive)(answered(false)), Outcome::Retry { error, .. } if error.code == "not_heard")
    );
}
