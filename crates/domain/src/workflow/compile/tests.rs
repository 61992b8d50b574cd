use super::*;
use crate::action::{Action, ContactUse, Literals, NamedWays, StepContext, as_answered, passes};
use crate::catalogue::{ActionEntry, Effect};
use crate::facts::sample::Sample;
use crate::interpreter::Need;
use crate::priority::Priority;
use crate::schedule::CatchUp;
use crate::workflow::kinds::Ways;
use crate::workflow::{NodeTypes, OnConflict, Reentry, json_schema};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(super) const WELCOME: &str = r#"
apiVersion: automation/v1
key: cart-rescue
name: Rescue abandoned carts
priority: high
enrolment:
  key: "{{ event.data.cart_id }}"
  where: { field: contact.tags, op: not_contains, value: staff }
  reentry: { mode: after_exit, gap: 7d }
  on_conflict: ignore
triggers:
  - id: abandoned
    event: cart.abandoned
    where:
      all:
        - { field: event.data.total, op: greater_than, value: 50 }
        - not: { field: contact.email, op: is_empty }
  - { id: again, event: com.example.cart }
nodes:
  - { id: breathe, action: delay, with: { for: 1h } }
  - id: segment
    action: branch
    with:
      cases:
        - { name: vip, where: { any: [ { field: contact.score, op: greater_or_equal, value: 80 },
                                       { field: contact.tags, op: contains, value: vip } ] } }
  - { id: call, action: create_task, with: { title: "Call {{ contact.first_name }}", rank: "{{ event.data.rank }}" } }
  - { id: tag, action: add_tag, with: { tag: cart-rescue } }
  - { id: done, action: stop_workflow }
edges:
  - [abandoned, breathe]
  - [again, segment]
  - [breathe, segment]
  - { from: segment, case: vip, to: call }
  - { from: segment, case: else, to: tag }
  - [call, done]
"#;

pub(super) fn types() -> &'static NodeTypes {
    static TYPES: LazyLock<NodeTypes> =
        LazyLock::new(|| NodeTypes::new([&ADD_TAG, &CREATE_TASK, &HTTP_REQUEST]));
    &TYPES
}

const fn action(key: &'static str, effect: Effect, contact: ContactUse, schema: fn() -> Value) -> Action {
    let entry = ActionEntry { key, group: "crm", description: "Does something.", effect, emits: &[] };
    let prepare = |_: &Value, _: &StepContext<'_>| unreachable!("the compiler prepares nothing");
    Action {
        entry,
        schema,
        contact,
        check: check_rank,
        prepare,
        gate: passes,
        ways: NamedWays::NONE,
        receive: as_answered,
    }
}

static ADD_TAG: Action =
    action("add_tag", Effect::Record, ContactUse::Needed, || schema(json!({ "tag": text() }), &["tag"]));

static CREATE_TASK: Action = action("create_task", Effect::Record, ContactUse::Optional, || {
    let lines = json!({ "type": "array", "items": schema(json!({ "sku": text() }), &["sku"]) });
    let properties = json!({
        "title": text(), "rank": { "type": "integer", "minimum": 1 }, "lines": lines,
        "due": { "anyOf": [{ "type": "integer" }, { "type": "boolean" }] },
    });
    schema(properties, &["title"])
});

static HTTP_REQUEST: Action = action("http_request", Effect::External, ContactUse::Optional, || {
    schema(json!({ "url": text() }), &["url"])
});

fn schema(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1, "description": "A text." })
}

/// A rule that the schema does not have.
fn check_rank(literals: &Literals) -> Vec<(&'static str, String)> {
    let is_unlucky = literals.known.get("rank") == Some(&json!(13));
    if is_unlucky { vec![("rank", "13 is bad luck".to_owned())] } else { Vec::new() }
}

fn compile(text: &str) -> Result<Workflow, Vec<Problem>> {
    parse(text, types(), &Limits::default())
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn problems(text: &str) -> String {
    lines(&compile(text).unwrap_err())
}

/// A small workflow with these nodes and edges; its trigger is `go`.
fn graph(nodes: &str, edges: &str) -> String {
    format!(
        "apiVersion: automation/v1\nkey: test\ntriggers:\n  - {{ id: go, event: form.submitted }}\n\
         nodes: [{nodes}]\nedges: [{edges}]\n"
    )
}

#[test]
fn a_workflow_is_compiled_with_every_reference_resolved() {
    let workflow = compile(WELCOME).unwrap();
    assert_eq!((workflow.key.as_str(), workflow.name.as_str()), ("cart-rescue", "Rescue abandoned carts"));
    assert_eq!(workflow.priority, Some(Priority::High));
    assert_eq!(workflow.enrolment.reentry, Reentry::AfterExit { gap: TimeDelta::days(7) });
    assert_eq!(workflow.enrolment.on_conflict, OnConflict::Ignore);
    assert!(workflow.enrolment.condition.is_some() && workflow.enrolment.key.is_some());
    let starts: Vec<_> =
        workflow.triggers.iter().map(|trigger| (trigger.event.as_str(), trigger.to)).collect();
    assert_eq!(starts, [("cart.abandoned", 0), ("com.example.cart", 1)]);
    let next: Vec<_> = workflow.nodes.iter().map(|node| node.next).collect();
    assert_eq!(next, [Some(1), None, Some(4), None, None]);
    let branch = &workflow.nodes[1];
    assert_eq!(branch.behaviour.ways(), Ways::Named(vec!["vip", "else"]));
    assert_eq!(branch.ways, BTreeMap::from([("vip".to_owned(), 2), ("else".to_owned(), 3)]));
    assert_eq!(workflow.nodes[4].action_key(), "stop_workflow");
    assert!(workflow.needs(&Need::Contact) && workflow.needs(&Need::Event));
    assert_eq!(lines(&workflow.warnings), "");
}

#[test]
fn what_was_compiled_compiles_again_from_its_definition() {
    let workflow = compile(WELCOME).unwrap();
    let again = parse_value(&workflow.definition, types(), &Limits::default()).unwrap();
    assert_eq!(again.definition, workflow.definition);
    assert_eq!(format!("{:?}", again.nodes), format!("{:?}", workflow.nodes));
    let json = compile(&workflow.definition.to_string()).unwrap();
    assert_eq!(json.definition.to_string(), workflow.definition.to_string());
}

#[test]
fn configurations_are_rendered_with_their_types() {
    let workflow = compile(WELCOME).unwrap();
    let config = &workflow.nodes[2].behaviour.action().unwrap().config;
    let mut sample = Sample::default();
    sample.event.event.data = json!({ "rank": 2 });
    assert_eq!(config.render(&sample.facts()).unwrap(), json!({ "title": "Call Ada", "rank": 2 }));
}

#[test]
fn only_what_nodes_read_is_loaded() {
    let reads = |node: &str| {
        let workflow = compile(&graph(&format!("{{ id: a, {node} }}"), "[go, a]")).unwrap();
        (workflow.needs(&Need::Event), workflow.needs(&Need::Contact))
    };
    assert_eq!(reads("action: stop_workflow"), (false, false));
    assert_eq!(reads("action: delay, with: { for: 1h }"), (false, false));
    assert_eq!(reads("action: delay, with: { for: '{{ event.data.pause }}' }"), (true, false));
    assert_eq!(reads("action: delay, with: { for: '{{ now.time }}' }"), (false, true));
    // It works without a contact, and with the run's where there is one.
    assert_eq!(reads("action: create_task, with: { title: plain }"), (false, true));
    assert_eq!(reads("action: add_tag, with: { tag: vip }"), (false, true));
}

#[test]
fn everything_wrong_with_a_document_is_said_at_once() {
    let text = r#"
apiVersion: automation/v2
key: Cart Rescue
nmae: typo
priority: hihg
goal: { event: order.completed, within: 91d }
enrolment:
  key: 5
  were: {}
  where: { field: vars.x, op: is_empty }
  reentry: { mode: once, gap: 1h, max: { runs: 3 } }
  on_conflict: restart_timers
triggers:
  - { id: a, event: cart.abandond, wher: {} }
  - { id: a, schedule: { cron: "* * * * *" } }
  - { id: b, event: "two words", where: { field: steps.x.case, op: equals, value: "{{ run.key }}" } }
  - { event: schedule.cron }
nodes:
  - { id: x, action: create_taks }
  - { id: x, action: send_email, timeout: 30s }
  - { id: y, action: add_tag, with: { tga: vip } }
  - { id: z, action: create_task, with: { title: "{{ contact.frist_name }}", rank: 0, lines: [{ sku: 1 }, { skuu: a }] } }
  - { id: d, action: delay, with: { for: soon } }
  - { id: e, action: delay, with: { at: "25:00" } }
  - { id: f, action: delay }
  - { id: g, action: branch, with: { cases: [{ name: else, where: { field: event.id, op: is_empty } }, { name: n }] } }
  - { id: h, action: optimize_timing }
  - { id: i, action: stop_workflow, with: { reason: x } }
  - { id: j, action: create_task, with: { title: "{{ steps.zz.output }}", due: later } }
edges:
  - [a, x, y]
  - { from: b, too: x }
  - [nowhere, x]
  - [x, a]
  - from b to x
"#;
    insta::assert_snapshot!(problems(text), @r#"
    nmae: a workflow has no key "nmae" (did you mean "name"?) [unknown_key]
    apiVersion: this engine reads automation/v1, not "automation/v2" [unknown_version]
    key: "Cart Rescue" is not a name: lower-case letters, digits, - and _, beginning with a letter or digit, at most 64 [bad_name]
    priority: "hihg" is none of high, medium, low (did you mean "high"?) [bad_value]
    enrolment.were: enrolment has no key "were" (did you mean "where"?) [unknown_key]
    enrolment.key: must be a text or a template [wrong_type]
    enrolment.reentry.gap: only the mode after_exit has a gap [bad_value]
    enrolment.reentry.max: max needs "per" [missing_key]
    enrolment.on_conflict: restart_timers is not available yet; use ignore, start or supersede [not_available]
    goal.within: must be longer than 0s, and at most 90 days [bad_value]
    triggers[0].wher: a trigger has no key "wher" (did you mean "where"?) [unknown_key]
    triggers[2].event: an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes [bad_name]
    triggers[3]: a trigger needs "id" [missing_key]
    triggers[3].event: slots start the trigger whose schedule they belong to: write "schedule" instead [bad_value]
    nodes[0].action: there is no action "create_taks" (did you mean "create_task"?) [unknown_action]
    nodes[1].action: the action send_email is not available yet [not_available]
    nodes[2].with.tga: add_tag has no key "tga" (did you mean "tag"?) [unknown_key]
    nodes[2].with: add_tag needs "tag" [missing_key]
    nodes[3].with.lines[0].sku: must be a text [wrong_type]
    nodes[3].with.lines[1].skuu: create_task has no key "skuu" (did you mean "sku"?) [unknown_key]
    nodes[3].with.lines[1]: create_task needs "sku" [missing_key]
    nodes[3].with.rank: must be at least 1 [bad_value]
    nodes[3].with.title: "contact.frist_name" is not a field: contact has no frist_name (did you mean "first_name"?) [unknown_field]
    nodes[4].with.for: "soon" is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]
    nodes[5].with.at: "25:00" is not a time of day: write 09:00 or 09:00:30 [bad_time]
    nodes[6].with: a delay needs "for", "until" or "at" [missing_key]
    nodes[7].with.cases[0].name: else is the way taken when no case holds; give the case another name [bad_name]
    nodes[7].with.cases[1]: a case needs "where" [missing_key]
    nodes[8].action: the action optimize_timing is not available yet [not_available]
    nodes[9].with.reason: stop_workflow has no key "reason" [unknown_key]
    nodes[10].with.due: must be a whole number or true or false [bad_value]
    edges[0]: a short edge is two names: [from, to] [wrong_type]
    edges[1].too: an edge has no key "too" (did you mean "to"?) [unknown_key]
    edges[1]: an edge needs "to" [missing_key]
    edges[4]: an edge is [from, to] or {from, case, to} [wrong_type]
    triggers[1].id: "a" is taken: triggers and nodes have ids of their own [duplicate_id]
    nodes[1].id: "x" is taken: triggers and nodes have ids of their own [duplicate_id]
    edges[2]: the edge leads from "nowhere", which is neither a trigger nor a node [unknown_node]
    edges[3]: "a" is a trigger; edges lead to nodes [bad_edge]
    enrolment.where: "vars.x" does not exist here: there is no run yet [unknown_field]
    triggers[2].where: "run.key" does not exist here: there is no run yet [unknown_field]
    triggers[2].where: "steps.x.case" does not exist here: there is no run yet [unknown_field]
    nodes[10].with: "steps.zz.output" refers to the node "zz", which does not exist (did you mean "z"?) [unknown_node]
    "#);
}

#[test]
fn what_the_schema_cannot_say_is_checked_where_no_template_stands() {
    let task = |with: &str| graph(&format!("{{ id: a, action: create_task, with: {with} }}"), "[go, a]");
    let texts = [
        "{ title: x, rank: 13 }",
        "{ title: '{{ event.id }}', rank: 13 }",
        "{ rank: 13 }",
        "'{{ event.data.with }}'",
        "[x]",
    ];
    let problems: Vec<String> = texts.iter().map(|with| problems(&task(with))).collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    nodes[0].with.rank: 13 is bad luck [bad_value]
    nodes[0].with.rank: 13 is bad luck [bad_value]
    nodes[0].with: create_task needs "title" [missing_key]
    nodes[0].with: must be an object: a template can stand for its values, not for all of it [wrong_type]
    nodes[0].with: must be an object: a template can stand for its values, not for all of it [wrong_type]
    "#);
    assert!(compile(&task("{ title: x, rank: '{{ 13 }}' }")).is_ok());
}

#[test]
fn edges_have_to_make_sense() {
    let branch = "{ id: a, action: branch, with: { cases: [{ name: yes, where: { field: event.id, op: is_empty } }] } }";
    let rest = "{ id: b, action: add_tag, with: { tag: x } }, { id: c, action: stop_workflow }";
    let nodes = format!("{branch}, {rest}");
    let text = graph(
        &nodes,
        "[go, a], { from: go, case: x, to: b }, [a, b], { from: a, case: yess, to: b }, { from: a, case: yes, to: b },
         { from: a, case: yes, to: b }, { from: a, case: yes, to: c }, { from: b, case: yes, to: c }, [b, c], [b, a],
         [c, b], [b, go], [b, d], [go, a], [go, b]",
    );
    insta::assert_snapshot!(problems(&text), @r#"
    edges[1]: a trigger has one way out: leave case away [unknown_case]
    edges[2]: "a" is a branch: the edge has to say which case it is [missing_case]
    edges[3]: "a" has no case "yess" (did you mean "yes"?) [unknown_case]
    edges[5]: the same edge stands twice, from "a" for the case yes [duplicate_edge]
    edges[6]: "a" has a second edge for the case yes; one way out leads to one node [several_edges]
    edges[7]: "b" has one way out: leave case away [unknown_case]
    edges[9]: "b" has a second edge; one way out leads to one node [several_edges]
    edges[10]: "c" ends the run: nothing comes after it [bad_edge]
    edges[11]: "go" is a trigger; edges lead to nodes [bad_edge]
    edges[12]: the edge leads to "d", which is neither a trigger nor a node (did you mean "a"?) [unknown_node]
    edges[13]: the same edge stands twice, from "go" [duplicate_edge]
    edges[14]: "go" has a second edge; one way out leads to one node [several_edges]
    "#);
}

#[test]
fn cycles_and_unreachable_nodes_are_named() {
    let nodes =
        ["a", "b", "c", "d", "e"].map(|id| format!("{{ id: {id}, action: add_tag, with: {{ tag: x }} }}"));
    let text = graph(&nodes.join(", "), "[go, a], [a, b], [b, c], [c, b], [d, e], [e, d]");
    insta::assert_snapshot!(problems(&text), @r#"
    nodes[3]: no trigger leads to "d" [unreachable_node]
    nodes[4]: no trigger leads to "e" [unreachable_node]
    nodes[1]: the nodes form a cycle: b -> c -> b [cycle]
    nodes[3]: the nodes form a cycle: d -> e -> d [cycle]
    "#);
}

#[test]
fn what_is_odd_but_allowed_is_a_warning() {
    let text = graph(
        "{ id: a, action: branch, with: { cases: [{ name: yes, where: { field: event.id, op: is_empty } }] } }",
        "[go, a]",
    )
    .replace("form.submitted", "form.submited");
    insta::assert_snapshot!(lines(&compile(&text).unwrap().warnings), @r#"
    triggers[0].event: "form.submited" is not in the catalogue, so it is taken for an event of your own (did you mean "form.submitted"?) [unknown_event]
    nodes[0]: the case yes of "a" has no edge: runs that take it end there [open_case]
    nodes[0]: the case else of "a" has no edge: runs that take it end there [open_case]
    "#);
}

#[test]
fn documents_are_bounded_and_strict() {
    let small = Limits { definition_bytes: 600, nodes: 1, ..Limits::default() };
    let nodes = "{ id: a, action: stop_workflow }, { id: b, action: stop_workflow }";
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [{}]",
        ["*c"; 40].join(",")
    );
    let deep = format!("a: {}1{}", "[".repeat(70), "]".repeat(70));
    let texts = [
        graph(nodes, "[go, a]"),
        "x".repeat(601),
        bomb,
        deep,
        "a: 1\n---\nb: 2".to_owned(),
        "a: 1\na: 2".to_owned(),
        "1: 2".to_owned(),
        "a: !env HOME".to_owned(),
        "a: .nan".to_owned(),
        "a: \"\\0\"".to_owned(),
        "a: [1".to_owned(),
        "{ \"a\": 1, \"a\": 2 }".to_owned(),
        "[1, 2]".to_owned(),
        String::new(),
    ];
    let problems: Vec<String> =
        texts.iter().map(|text| lines(&parse(text, types(), &small).unwrap_err())).collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    nodes: a workflow may have at most 1 nodes; this has 2 [too_many_nodes]
    a definition may have at most 600 bytes; this has 601 [definition_too_large]
    not valid YAML: c[1][7]: with its aliases written out, the document is too large at line 1 column 4 [bad_document]
    not valid YAML: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested too deep at line 1 column 67 [bad_document]
    not valid YAML: deserializing from YAML containing more than one document is not supported [bad_document]
    not valid YAML: the key "a" stands twice in one object [bad_document]
    not valid YAML: the key 1 must be a text; put it in quotes [bad_document]
    not valid YAML: a: invalid type: enum, expected a value without a tag at line 1 column 4 [bad_document]
    not valid YAML: a: a number must be finite at line 1 column 4 [bad_document]
    not valid YAML: a: a text contains the character U+0000, which cannot be stored at line 1 column 4 [bad_document]
    not valid YAML: did not find expected ',' or ']' at line 2 column 1, while parsing a flow sequence at line 1 column 4; inside { } and [ ], a text that has brackets, braces or commas in it needs quotes: "items[0].price" [bad_document]
    the key "a" stands twice in one object [bad_document]
    a workflow is an object [wrong_type]
    a workflow is an object [wrong_type]
    "#);
}

/// A workflow whose triggers have these schedules, each leading to a task.
fn timed(schedules: &[&str]) -> String {
    let triggers: Vec<_> = schedules
        .iter()
        .enumerate()
        .map(|(n, schedule)| format!("{{ id: t{n}, schedule: {schedule} }}"))
        .collect();
    let edges: Vec<_> = (0..schedules.len()).map(|n| format!("[t{n}, call]")).collect();
    format!(
        "apiVersion: automation/v1\nkey: timed\ntriggers: [{}]\nedges: [{}]\n\
         nodes: [{{ id: call, action: create_task, with: {{ title: 'Look at {{{{ event.data.fire_at }}}}' }} }}]\n",
        triggers.join(", "),
        edges.join(", ")
    )
}

#[test]
fn schedules_are_read_with_their_rules() {
    let workflow = compile(&timed(&[
        "{ cron: '30 2 * * *', timezone: Europe/Berlin, catch_up: all, jitter: 30s }",
        "{ every: 15m, anchor: '2026-01-01T00:07:00+01:00', starts_at: '2026-02-01T00:00:00Z', ends_at: '2027-01-01T00:00:00Z' }",
        "{ cron: '*/10 * * * * *' }",
    ]))
    .unwrap();
    let shown: Vec<_> = workflow
        .triggers
        .iter()
        .map(|trigger| {
            let schedule = trigger.schedule.as_ref().unwrap();
            let first = schedule.next_after("2026-03-28T12:00:00Z".parse().unwrap()).unwrap();
            (trigger.event.as_str(), first.to_rfc3339(), schedule.catch_up, schedule.jitter.num_seconds())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("schedule.cron", "2026-03-29T01:00:00+00:00".to_owned(), CatchUp::All, 30),
            ("schedule.interval", "2026-03-28T12:07:00+00:00".to_owned(), CatchUp::Latest, 0),
            ("schedule.cron", "2026-03-28T12:00:10+00:00".to_owned(), CatchUp::Latest, 0),
        ]
    );
    assert!(schema_accepts(&workflow.definition));
    let alone = parse_schedule(&workflow.definition["triggers"][1]["schedule"], &Limits::default()).unwrap();
    assert_eq!(Some(&alone), workflow.triggers[1].schedule.as_ref());
}

#[test]
fn everything_wrong_with_schedules_is_said_at_once() {
    let text = timed(&[
        "{ cron: '61 2 * * *', timezone: Europe/Berln }",
        "{ cron: '0 9 * * *', timezone: berlin, every: 1h }",
        "{ cron: '0 9 * * *', timezone: berlin }",
        "{ cron: '0 9 * * *', timezone: new york, anchor: '2026-01-01T00:00:00Z' }",
        "{ every: 15 minutes, timezone: UTC }",
        "{ every: 0s }",
        "{ cron: '0 0 30 2 *' }",
        "{ cron: '@daily' }",
        "{ every: 10s, jitter: 11s, catch_up: lates }",
        "{ cron: '0 9 * * *', jitter: 2h }",
        "{ every: 1h, starts_at: '2026-02-01T00:00:00Z', ends_at: '2026-02-01T00:00:00Z' }",
        "{ every: 1h, ends_at: tomorrow, evry: 1h }",
        "nightly",
        "{}",
    ]);
    insta::assert_snapshot!(problems(&text), @r#"
    triggers[0].schedule.timezone: "Europe/Berln" is not a time zone (did you mean "Europe/Berlin"?); write an IANA name [unknown_timezone]
    triggers[0].schedule.cron: the minute "61" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2) [bad_cron]
    triggers[1].schedule: a schedule has either "cron" or "every" [bad_value]
    triggers[2].schedule.timezone: "berlin" is not a time zone (did you mean "Europe/Berlin"?); write an IANA name [unknown_timezone]
    triggers[3].schedule.anchor: anchor belongs to a schedule with "every" [bad_value]
    triggers[3].schedule.timezone: "new york" is not a time zone (did you mean "America/New_York"?); write an IANA name [unknown_timezone]
    triggers[4].schedule.timezone: timezone belongs to a schedule with "cron" [bad_value]
    triggers[4].schedule.every: "15 minutes" is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]
    triggers[5].schedule.every: fires too often: at least 1 s must be between two slots (AUTOMATION_MIN_SCHEDULE_SECONDS) [too_frequent]
    triggers[6].schedule.cron: "0 0 30 2 *" names no date that exists, so it would never fire [never_fires]
    triggers[7].schedule.cron: write @daily as "0 0 * * *" [bad_cron]
    triggers[8].schedule.catch_up: "lates" is none of skip, latest, all (did you mean "latest"?) [bad_value]
    triggers[8].schedule.jitter: is at most 1h, and not longer than the shortest time between two slots [bad_value]
    triggers[9].schedule.jitter: is at most 1h, and not longer than the shortest time between two slots [bad_value]
    triggers[10].schedule.ends_at: must be later than starts_at: there is no slot between the two [bad_value]
    triggers[11].schedule.evry: a schedule has no key "evry" (did you mean "every"?) [unknown_key]
    triggers[11].schedule.ends_at: "tomorrow" is not a time: write it like 2027-01-31T08:00:00Z [bad_time]
    triggers[12].schedule: a schedule is an object [wrong_type]
    triggers[13].schedule: a schedule has either "cron" or "every" [bad_value]
    "#);
    let both = graph("{ id: a, action: stop_workflow }", "[go, a]")
        .replace("form.submitted", "form.submitted, schedule: { every: 1h }");
    insta::assert_snapshot!(problems(&both), @r#"
    triggers[0].event: a trigger listens for an event or has a schedule, not both [bad_value]
    "#);
    let neither = graph("{ id: a, action: stop_workflow }", "[go, a]").replace(", event: form.submitted", "");
    insta::assert_snapshot!(problems(&neither), @r#"
    triggers[0]: a trigger needs "event" or "schedule" [missing_key]
    "#);
    let limits = Limits { schedule_seconds: 60, ..Limits::default() };
    let often =
        parse(&timed(&["{ every: 59s }", "{ cron: '*/59 * * * * *' }", "{ every: 1m }"]), types(), &limits);
    insta::assert_snapshot!(lines(&often.unwrap_err()), @r#"
    triggers[0].schedule.every: fires too often: at least 60 s must be between two slots (AUTOMATION_MIN_SCHEDULE_SECONDS) [too_frequent]
    triggers[1].schedule.cron: fires too often: at least 60 s must be between two slots (AUTOMATION_MIN_SCHEDULE_SECONDS) [too_frequent]
    "#);
}

#[test]
fn what_needs_a_contact_cannot_stand_where_a_schedule_leads() {
    let text = "
apiVersion: automation/v1
key: timed
triggers:
  - { id: form, event: form.submitted }
  - { id: nightly, schedule: { every: 1d }, where: { field: contact.email, op: is_empty } }
nodes:
  - { id: tag, action: add_tag, with: { tag: seen } }
  - { id: pause, action: delay, with: { for: 1h } }
  - { id: call, action: create_task, with: { title: 'Call {{ contact.email }} at {{ now.time }}' } }
  - { id: again, action: add_tag, with: { tag: called } }
edges:
  - [form, tag]
  - [tag, pause]
  - [nightly, pause]
  - [pause, call]
  - [call, again]
";
    insta::assert_snapshot!(problems(text), @r#"
    triggers[1].where: the schedule "nightly" is about no contact: nothing of one can be asked for [no_contact]
    nodes[3]: add_tag needs a contact, and runs of the schedule "nightly" are about none [no_contact]
    "#);
    let text =
        text.replace(", where: { field: contact.email, op: is_empty }", "").replace("  - [call, again]", "");
    let text = text.replace("  - { id: again, action: add_tag, with: { tag: called } }\n", "");
    insta::assert_snapshot!(lines(&compile(&text).unwrap().warnings), @r#"
    nodes[2].with: runs of the schedule "nightly" are about no contact: every contact.… is empty there [no_contact]
    "#);
}

#[test]
fn a_file_whose_json_is_too_large_is_refused_as_the_roles_would_refuse_it() {
    let text = graph("{ id: a, action: stop_workflow }", "[go, a]");
    let json = compile(&text).unwrap().definition.to_string();
    assert!(text.len() < json.len());
    let limits = Limits { definition_bytes: json.len() - 1, ..Limits::default() };
    assert_eq!(parse(&text, types(), &limits).unwrap_err()[0].code, "definition_too_large");
    let limits = Limits { definition_bytes: json.len(), ..Limits::default() };
    assert!(parse(&text, types(), &limits).is_ok());
}

#[test]
fn a_chain_of_a_thousand_nodes_compiles() {
    let nodes: Vec<_> =
        (0..1000).map(|n| format!("{{ id: n{n}, action: add_tag, with: {{ tag: t }} }}")).collect();
    let edges: Vec<_> = (1..1000).map(|n| format!("[n{}, n{n}]", n - 1)).collect();
    let workflow = compile(&graph(&nodes.join(", "), &format!("[go, n0], {}", edges.join(", ")))).unwrap();
    assert_eq!(workflow.nodes[998].next, Some(999));
}

/// What the published schema says of a definition.
fn schema_accepts(definition: &Value) -> bool {
    jsonschema::options().build(&json_schema(types())).unwrap().is_valid(definition)
}

#[test]
fn the_published_schema_accepts_what_compiles() {
    let definition = compile(WELCOME).unwrap().definition;
    let schema = json_schema(types());
    let validator = jsonschema::options().build(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&definition)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0]);
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
}

#[test]
fn the_published_schema_refuses_what_is_not_available() {
    let changed = |pointer: &str, key: &str, value: Value| {
        let mut definition = compile(WELCOME).unwrap().definition;
        definition.pointer_mut(pointer).unwrap()[key] = value;
        assert!(!schema_accepts(&definition), "{pointer} {key}");
        let refused = parse_value(&definition, types(), &Limits::default());
        assert!(refused.is_err(), "{pointer} {key}");
    };
    changed("", "goal", json!({}));
    changed("/enrolment", "on_conflict", json!("restart_timers"));
    changed("/enrolment/reentry", "max", json!({}));
    changed("/enrolment/reentry", "max", json!({ "runs": 101, "per": "30d" }));
    changed("/enrolment/reentry", "max", json!({ "runs": 0, "per": "30d" }));
    changed("/enrolment/reentry", "mode", json!("once"));
    changed("/triggers/0", "schedule", json!({ "every": "1h" }));
    changed("/triggers/0", "event", json!("schedule.cron"));
    for key in ["timeout", "delivery", "retry", "unknown"] {
        changed("/nodes/0", key, json!("x"));
    }
    changed("/nodes/0", "on_error", json!("two words"));
    changed("/nodes/1", "timeout", json!("10s"));
    changed("/nodes/0", "action", json!("parallel"));
    changed("/nodes/0/with", "until", json!("x"));
    changed("/nodes/1/with", "split", json!([]));
    changed("/nodes/2/with", "rank", json!("x"));
    changed("/nodes/3/with", "tga", json!("x"));
    changed("/triggers/0/where/all/0", "op", json!("equls"));
    changed("/triggers/0/where/all/0", "value", json!(null));
}

#[test]
fn contracts_of_the_flow_have_valid_schemas() {
    for known in NodeTypes::new([]).iter() {
        assert!(jsonschema::options().build(&known.schema).is_ok(), "{:?}", known.kind);
    }
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in "[a-z:{}\\[\\], \n\"'&*!|>-]{0,80}") {
        let _ = compile(&text);
    }

    /// Edges that only lead onward compile, whichever they are; one that leads back to where it came by makes a cycle.
    #[test]
    fn a_graph_is_refused_exactly_when_an_edge_leads_back(
        steps in prop::collection::vec(0usize..4, 6),
        start in 0usize..6,
        back in any::<prop::sample::Index>(),
    ) {
        // A step of 0 ends the way; so does one beyond the last node.
        let mut next: Vec<Option<usize>> =
            steps.iter().enumerate().map(|(n, step)| Some(n + step).filter(|to| *step > 0 && *to < 6)).collect();
        let onward = compile(&chain(&next));
        prop_assert!(onward.is_ok(), "{:?}", onward.err());
        let way: Vec<usize> = std::iter::successors(Some(start), |node| next[*node]).collect();
        next[way[way.len() - 1]] = Some(way[back.index(way.len())]);
        let codes: Vec<String> =
            compile(&chain(&next)).unwrap_err().into_iter().map(|problem| problem.code).collect();
        prop_assert_eq!(codes, ["cycle"]);
    }
}

/// A graph with a trigger for each node, and at most one edge from each.
fn chain(next: &[Option<usize>]) -> String {
    let all = || 0..next.len();
    let triggers = all().map(|n| format!("  - {{ id: t{n}, event: form.submitted }}\n")).collect::<String>();
    let nodes: Vec<_> =
        all().map(|n| format!("{{ id: n{n}, action: add_tag, with: {{ tag: t }} }}")).collect();
    let starts = all().map(|n| format!("[t{n}, n{n}]"));
    let ways = all().filter_map(|n| next[n].map(|to| format!("[n{n}, n{to}]")));
    let edges: Vec<_> = starts.chain(ways).collect();
    format!(
        "apiVersion: automation/v1\nkey: test\ntriggers:\n{triggers}nodes: [{}]\nedges: [{}]\n",
        nodes.join(", "),
        edges.join(", ")
    )
}

#[test]
fn every_code_is_listed_for_people() {
    const SOURCES: [&str; 25] = [
        include_str!("../allowance.rs"),
        include_str!("document.rs"),
        include_str!("edges.rs"),
        include_str!("enrolment.rs"),
        include_str!("facts_read.rs"),
        include_str!("handling.rs"),
        include_str!("no_contact.rs"),
        include_str!("nodes.rs"),
        include_str!("options.rs"),
        include_str!("paths.rs"),
        include_str!("reader.rs"),
        include_str!("schedules.rs"),
        include_str!("text.rs"),
        include_str!("triggers.rs"),
        include_str!("wiring.rs"),
        include_str!("../kinds/branch.rs"),
        include_str!("../kinds/branch/split.rs"),
        include_str!("../kinds/delay.rs"),
        include_str!("../kinds/delay/time_of_day.rs"),
        include_str!("../kinds/set_variables.rs"),
        include_str!("../kinds/stop.rs"),
        include_str!("../../condition/aggregate/read.rs"),
        include_str!("../../condition/parse.rs"),
        include_str!("../../condition/relative.rs"),
        include_str!("../../facts/path.rs"),
    ];
    let listed = include_str!("../../../../../docs/errors.md");
    let code =
        regex::Regex::new(r#"(?:problem(?:::<\(\)>)?|warn|Problem::new|within)\(\s*"([a-z_]+)""#).unwrap();
    for code in SOURCES.iter().flat_map(|source| code.captures_iter(source)).map(|found| found[1].to_owned())
    {
        assert!(listed.contains(&format!("`{code}`")), "{code}");
    }
}
