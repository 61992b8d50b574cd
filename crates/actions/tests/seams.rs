//! A node kind and an action that are in no list of the engine, made of public parts alone: each is one value.

use automation_domain::action::{
    Action, ContactUse, Decision, NamedWays, Outgoing, Prepared, Reason, SKIPPED, StepContext, as_answered,
    passes,
};
use automation_domain::budget::Budget;
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::effect::{Directive, HttpRequest, Outcome, Request};
use automation_domain::facts::{Facts, FieldPath, TenantFacts};
use automation_domain::id::{ContactId, RunId};
use automation_domain::interpreter::{
    Advanced, Command, End, NothingRecorded, NothingStored, Onward, OwedFor, RunEvent, RunInput, RunState,
    StepError, StoredRequests, Unwatched, Visit, Walk, advance,
};
use automation_domain::limits::Limits;
use automation_domain::record::{Note, RecordChange};
use automation_domain::retry::Ladder;
use automation_domain::template::ValueTemplate;
use automation_domain::workflow::kinds::{Behaviour, Kind, NodeText, Ways};
use automation_domain::workflow::{Keys, NodeTypes, Reader, Workflow, json_schema, parse_value};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
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
    gate: passes,
    ways: NamedWays::NONE,
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
    advance(workflow, state, [input], run(now, &Limits::default(), &Ladder::default()))
}

fn run<'a>(now: DateTime<Utc>, limits: &'a Limits, ladder: &'a Ladder) -> RunInput<'a> {
    RunInput {
        event: None,
        contact: None,
        tenant: TenantFacts::new("acme", "UTC"),
        run_id: RunId(Uuid::from_u128(9)),
        run_key: "c-1",
        started_at: now,
        version: 1,
        now,
        limits,
        ladder,
        is_paused: false,
        stored: &NothingStored,
        recorded: &NothingRecorded,
        watch: &Unwatched,
    }
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
        past: automation_domain::past::Past::Unknown,
        tenant: TenantFacts::new("acme", "UTC"),
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

/// `knock`: calls whoever lives in a house, unless a policy says no.
static KNOCK: Action = Action {
    entry: ActionEntry {
        key: "knock",
        group: "crm",
        description: "Knocks at a door.",
        effect: Effect::External,
        emits: &[],
    },
    schema: || json!({ "type": "object" }),
    contact: ContactUse::None,
    check: |_| Vec::new(),
    prepare: knock,
    gate: at_home,
    ways: NamedWays { names: &[SKIPPED, "opened"], of_output: opened },
    receive: as_answered,
};

fn knock(config: &Value, _step: &StepContext<'_>) -> Result<Prepared, StepError> {
    if config["bell"] == true {
        let directive = Directive { command_type: "bell.ring".to_owned(), subject: None, data: json!({}) };
        return Ok(Prepared::Directive { directive, output: json!({ "rang": true }) });
    }
    Ok(Prepared::Request(request()))
}

fn request() -> Request {
    Request::Http(HttpRequest {
        method: "POST".to_owned(),
        url: "https://house.example.com/".to_owned(),
        headers: Vec::new(),
        body: None,
        credential: None,
        timeout_ms: 1_000,
        redirects: 0,
        save: BTreeMap::new(),
    })
}

/// Nobody knocks in the first hour; whoever is away is left alone; each knock is counted.
fn at_home(_outgoing: Outgoing<'_>, step: &StepContext<'_>) -> Decision {
    let away = step.facts.run.and_then(|run| run.state.vars.get("away"));
    let opens = begun() + TimeDelta::hours(1);
    if step.facts.now < opens {
        return Decision::Hold { until: opens, reason: reason("quiet_hours") };
    }
    if away == Some(&json!(true)) {
        return Decision::Skip { reason: reason("away") };
    }
    let id = step.record_id;
    Decision::Send {
        changes: vec![RecordChange::AddNote(Note {
            note_id: id,
            contact_id: ContactId(Uuid::nil()),
            text: "knock".to_owned(),
        })],
    }
}

fn reason(code: &'static str) -> Reason {
    Reason { code, message: "not now".to_owned() }
}

fn opened(output: &Value) -> Option<&'static str> {
    (output["opened"] == true).then_some("opened")
}

fn begun() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000)
}

fn house(bell: bool, edges: &[Value]) -> Result<Workflow, Vec<String>> {
    let plain = [json!(["go", "door"]), json!(["door", "plain"])];
    let edges: Vec<Value> = plain.into_iter().chain(edges.iter().cloned()).collect();
    let mut nodes = vec![
        json!({ "id": "door", "action": "knock", "with": { "bell": bell } }),
        json!({ "id": "plain", "action": "shout", "with": { "words": "plain" } }),
    ];
    if edges.len() > 2 {
        nodes.push(json!({ "id": "named", "action": "shout", "with": { "words": "named" } }));
    }
    let definition = json!({
        "apiVersion": "automation/v1", "key": "visits",
        "triggers": [{ "id": "go", "event": "form.submitted" }],
        "nodes": nodes,
        "edges": edges,
    });
    let types = NodeTypes::new([&SHOUT, &KNOCK]);
    parse_value(&definition, &types, &Limits::default())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn edge(case: &str) -> Value {
    json!({ "from": "door", "case": case, "to": "named" })
}

fn lines(advanced: &Advanced) -> Vec<String> {
    advanced.log().map(|step| format!("{} {:?}", step.node, step.outcome)).collect()
}

fn started() -> RunEvent {
    RunEvent::Started { trigger: "go".to_owned() }
}

#[test]
fn a_gate_holds_a_step_until_its_time_and_is_asked_again_then() {
    let workflow = house(false, &[edge("opened")]).unwrap();
    let held = go(&workflow, RunState::default(), started(), begun());
    assert_eq!(lines(&held), ["go Completed", "door Waiting"]);
    let until = begun() + TimeDelta::hours(1);
    let detail = &held.log().last().unwrap().detail;
    assert_eq!(
        *detail,
        json!({ "until": "2027-01-15T09:00:00Z", "reason": "quiet_hours", "message": "not now" })
    );
    assert_eq!(held.state.owed(begun())[0].waits_for, OwedFor::Retry { until });
    assert_eq!((held.sends().count(), held.changes().count()), (0, 0));

    let sent = go(&workflow, held.state, RunEvent::TimerFired, until);
    let send = sent.sends().next().unwrap();
    assert_eq!((send.tries.attempt, send.is_stored, send.changes.len()), (1, false, 1));
    assert_eq!(sent.changes().count(), 0, "it is counted when there is room for it");

    let answer = |output: Value| RunEvent::ActionCompleted {
        token: 0,
        node: send.node,
        visit: 1,
        number: 1,
        output,
        vars: Map::new(),
    };
    for (output, way) in [(json!({ "opened": true }), "named"), (json!({ "opened": false }), "plain")] {
        let done = go(&workflow, sent.state.clone(), answer(output), until);
        assert_eq!(lines(&done), ["door Completed".to_owned(), format!("{way} Completed")]);
    }
}

#[test]
fn a_gate_skips_a_step_which_is_no_error_and_goes_its_own_way_where_there_is_one() {
    let state =
        || RunState { vars: Map::from_iter([("away".to_owned(), json!(true))]), ..RunState::default() };
    let later = begun() + TimeDelta::hours(2);
    for (edges, way) in [(vec![edge(SKIPPED)], "named"), (Vec::new(), "plain")] {
        let workflow = house(false, &edges).unwrap();
        let skipped = go(&workflow, state(), started(), later);
        assert_eq!(lines(&skipped)[1..], ["door Skipped".to_owned(), format!("{way} Completed")]);
        assert_eq!(skipped.state.end, Some(End::Completed));
        assert_eq!((skipped.sends().count(), skipped.changes().count()), (0, 0));
        assert_eq!(skipped.state.steps["door"].case.as_deref(), Some(SKIPPED));
    }
}

/// The request of an earlier try.
#[derive(Debug)]
struct Stored(Request);

impl StoredRequests for Stored {
    fn request(&self, _node: &str, _visit: u32) -> Option<&Request> {
        Some(&self.0)
    }
}

#[test]
fn a_gate_is_asked_before_every_try_and_what_it_withholds_is_told_to_the_ledger() {
    let workflow = house(false, &[]).unwrap();
    let later = begun() + TimeDelta::hours(2);
    let sent = go(&workflow, RunState::default(), started(), later);
    let again = |mut state: RunState, now: DateTime<Utc>, is_away: bool| {
        state.vars.insert("away".to_owned(), json!(is_away));
        let limits = Limits::default();
        let ladder = Ladder::default();
        let run = RunInput { stored: &Stored(request()), ..run(now, &limits, &ladder) };
        advance(&workflow, state, [RunEvent::Claimed], run)
    };
    let withheld = |advanced: &Advanced| {
        advanced.commands.iter().find_map(|command| {
            if let Command::Withhold { visit, is_skipped, .. } = command {
                Some((*visit, *is_skipped))
            } else {
                None
            }
        })
    };
    let resent = again(sent.state.clone(), later, false);
    assert_eq!((resent.sends().count(), withheld(&resent)), (1, None));
    let held = again(sent.state.clone(), begun(), false);
    assert_eq!((held.sends().count(), withheld(&held)), (0, Some((1, false))));
    let resent = again(held.state, later, false);
    assert!(resent.sends().next().unwrap().is_stored, "what was stored is sent as it is");
    let skipped = again(sent.state, later, true);
    assert_eq!((withheld(&skipped), &skipped.state.end), (Some((1, true)), &Some(End::Completed)));
}

#[test]
fn a_command_for_another_module_passes_the_same_gate_and_its_step_is_done_at_once() {
    let workflow = house(true, &[]).unwrap();
    let held = go(&workflow, RunState::default(), started(), begun());
    assert!(held.commands.iter().all(|command| command.directive().is_none()));
    let done = go(&workflow, held.state, RunEvent::TimerFired, begun() + TimeDelta::hours(1));
    let published: Vec<_> = done.commands.iter().filter_map(Command::directive).collect();
    assert_eq!((published.len(), published[0].command_type.as_str()), (1, "bell.ring"));
    assert_eq!((done.changes().count(), &done.state.end), (1, &Some(End::Completed)));
    assert_eq!(done.state.steps["door"].output, json!({ "rang": true }));
}

#[test]
fn an_edge_names_a_way_that_the_action_has() {
    assert!(house(false, &[edge(SKIPPED), edge("opened")]).is_ok());
    let problems = house(false, &[edge("opend")]).unwrap_err();
    assert!(problems[0].contains("no case \"opend\" (did you mean \"opened\"?)"), "{problems:?}");
}
