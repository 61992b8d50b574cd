use super::tests::types;
use super::*;
use crate::interpreter::{Join, JoinRule};
use crate::workflow::json_schema;
use chrono::TimeDelta;

/// A graph whose nodes are tags, but for these.
fn text(others: &str, tags: &str, edges: &str) -> String {
    let tags =
        tags.split_whitespace().map(|id| format!("{{ id: {id}, action: add_tag, with: {{ tag: x }} }}"));
    let nodes: Vec<String> = std::iter::once(others.to_owned()).chain(tags).collect();
    format!(
        "{{ apiVersion: automation/v1, key: test, triggers: [{{ id: go, event: form.submitted }}],
            nodes: [{}], edges: [{edges}] }}",
        nodes.join(", ")
    )
}

fn compiled(text: &str) -> Result<Workflow, String> {
    let document = text::read(&format!("# yaml\n{text}"), &Limits::default()).map_err(|p| p.to_string())?;
    let is_accepted = jsonschema::options().build(&json_schema(types())).unwrap().is_valid(&document);
    let compiled = parse_value(&document, types(), &Limits::default());
    if compiled.is_ok() {
        assert!(is_accepted, "the schema accepts what compiles: {text}");
    }
    compiled.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn problems(others: &str, tags: &str, edges: &str) -> String {
    compiled(&text(others, tags, edges)).unwrap_err()
}

fn parallel(with: &str) -> String {
    format!("{{ id: both, action: parallel, with: {with} }}")
}

const EDGES: &str = "[go, both], [both, a], [both, b], [a, j], [b, j]";

#[test]
fn a_parallel_has_several_plain_edges_and_says_where_they_meet() {
    let join = |with: &str| {
        let workflow = compiled(&text(&parallel(with), "a b j", EDGES)).unwrap();
        assert_eq!((workflow.nodes[0].branches.as_slice(), workflow.nodes[0].next), (&[1, 2][..], None));
        assert_eq!(workflow.nodes[0].ways.get("join_at"), Some(&3));
        *workflow.nodes[0].behaviour.join().unwrap()
    };
    let dead_after = TimeDelta::days(14);
    assert_eq!(join("{ join_at: j }"), Join { rule: JoinRule::All, dead_after });
    assert_eq!(join("{ join: all, join_at: j }"), Join { rule: JoinRule::All, dead_after });
    assert_eq!(join("{ join: any, join_at: j }"), Join { rule: JoinRule::AtLeast(1), dead_after });
    assert_eq!(
        join("{ join: { at_least: 2 }, join_at: j }"),
        Join { rule: JoinRule::AtLeast(2), dead_after }
    );
    let dead_after = TimeDelta::hours(1);
    assert_eq!(join("{ join_at: j, dead_after: 1h }"), Join { rule: JoinRule::All, dead_after });
    let alone = compiled(&text("{ id: both, action: parallel }", "a b j", EDGES)).unwrap();
    assert_eq!((alone.nodes[0].behaviour.join(), alone.nodes[0].ways.len()), (None, 0));
}

#[test]
fn what_a_join_cannot_be_is_a_problem() {
    let cases = [
        "{ join: most, join_at: j }",
        "{ join: 2, join_at: j }",
        "{ join: { at_least: 0 }, join_at: j }",
        "{ join: { at_least: 3 }, join_at: j }",
        "{ join: { at_least: 2.5 }, join_at: j }",
        "{ join: { least: 2 }, join_at: j }",
        "{ join: any }",
        "{ dead_after: 1d }",
        "{ join_at: k }",
        "{ join_at: go }",
        "{ join_at: both }",
        "{ join_at: j, dead_after: soon }",
    ];
    let said: Vec<String> = cases.iter().map(|with| problems(&parallel(with), "a b j", EDGES)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    nodes[0].with.join: "most" is none of all, any, { at_least: <number> } [bad_value]
    nodes[0].with.join: 2 is none of all, any, { at_least: <number> } [bad_value]
    nodes[0].with.join.at_least: 0 is no number of branches: write 1 to 1000 [bad_value]
    nodes[0].with.join.at_least: "both" has 2 branches: 3 of them cannot arrive [bad_value]
    nodes[0].with.join.at_least: 2.5 is no number of branches: write 1 to 1000 [bad_value]
    nodes[0].with.join.least: join has no key "least" [unknown_key]
    nodes[0].with.join: join needs "at_least" [missing_key]
    nodes[0].with.join: "join" says how branches meet: name the node where, as join_at [missing_key]
    nodes[0].with.dead_after: "dead_after" says how branches meet: name the node where, as join_at [missing_key]
    nodes[0].with.join_at: there is no node "k" (did you mean "a"?) [unknown_node]
    nodes[0].with.join_at: "go" is a trigger; join_at leads to a node [bad_edge]
    nodes[0].with.join_at: no branch of "both" comes to "both" [unreachable_join]
    nodes[0].with.dead_after: "soon" is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]
    "#);
}

#[test]
fn a_join_that_no_branch_comes_to_is_a_problem_and_one_that_some_miss_a_warning() {
    let with = parallel("{ join_at: j }");
    let start = "{ id: pick, action: branch, with: { cases: [{ name: y, where: { field: event.id, op: is_empty } }] } }";
    let picked = "[go, pick], { from: pick, case: y, to: both }, { from: pick, case: else, to: j }, [both, a], [both, b]";
    insta::assert_snapshot!(problems(&format!("{start}, {with}"), "a b j", picked), @r#"
    nodes[1].with.join_at: no branch of "both" comes to "j" [unreachable_join]
    "#);
    let warned =
        compiled(&text(&with, "a b j", "[go, both], [both, a], [both, b], [a, j]")).unwrap().warnings;
    insta::assert_snapshot!(warned.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), @r#"
    nodes[0]: the branch of "both" that begins with "b" never comes to "j": the join goes by the others [open_branch]
    "#);
}

#[test]
fn a_parallel_needs_two_edges_without_a_case() {
    insta::assert_snapshot!(problems("{ id: both, action: parallel }", "a", "[go, both], [both, a]"), @r#"
    nodes[0]: "both" needs two edges at least: each begins a branch [too_few_branches]
    "#);
    let edges = "[go, both], [both, a], [both, b], [both, a], { from: both, case: x, to: b }";
    insta::assert_snapshot!(problems("{ id: both, action: parallel }", "a b", edges), @r#"
    edges[3]: the same edge stands twice, from "both" [duplicate_edge]
    edges[4]: "both" goes all its ways at once: leave case away [unknown_case]
    "#);
}

#[test]
fn a_branch_is_left_by_its_own_join_alone() {
    let both = "{ id: out, action: parallel, with: { join_at: j } }, { id: in, action: parallel, with: { join_at: k } }";
    let edges = "[go, out], [out, in], [out, c], [in, a], [in, b], [a, k], [b, j], [k, j], [c, j]";
    insta::assert_snapshot!(problems(both, "a b c j k", edges), @r#"
    nodes[1]: a branch of "in" leads to "j", where those of "out" around it meet: join it before, or there [branch_border]
    "#);
    let within = "[go, out], [out, in], [out, c], [in, a], [in, b], [a, k], [b, k], [k, j], [c, j]";
    assert!(compiled(&text(both, "a b c j k", within)).is_ok());
    let same = both.replace("join_at: k", "join_at: j");
    let edges = "[go, out], [out, in], [out, c], [in, a], [in, b], [a, j], [b, j], [c, j]";
    assert!(compiled(&text(&same, "a b c j", edges)).is_ok(), "two joins may stand at one node");
    let open = "{ id: out, action: parallel, with: { join_at: j } }, { id: in, action: parallel }";
    insta::assert_snapshot!(problems(open, "a b c j", edges), @r#"
    nodes[1]: a branch of "in" leads to "j", where those of "out" around it meet: join it before, or there [branch_border]
    "#);
    let ending = "[go, out], [out, in], [out, c], [in, a], [in, b], [c, j]";
    assert!(
        compiled(&text(open, "a b c j", ending)).is_ok(),
        "branches that meet nowhere may end in a branch"
    );
}

#[test]
fn branches_and_ways_from_elsewhere_may_share_nodes() {
    let pick = "{ id: pick, action: branch, with: { cases: [{ name: y, where: { field: event.id, op: is_empty } }] } }";
    let others = format!("{pick}, {}", parallel("{ join_at: j }"));
    let edges = "[go, pick], { from: pick, case: y, to: both }, { from: pick, case: else, to: note },
                 [both, a], [both, b], [a, note], [b, note], [note, j]";
    assert!(compiled(&text(&others, "a b note j", edges)).unwrap().warnings.is_empty());
}

fn again(with: &str) -> String {
    format!("{{ id: again, action: go_to, with: {with} }}")
}

#[test]
fn a_go_to_is_bounded_and_the_only_way_back() {
    let edges = "[go, a], [a, again], { from: again, case: exhausted, to: b }";
    let workflow = compiled(&text(&again("{ node: a, most: 3 }"), "a b", edges)).unwrap();
    assert_eq!(workflow.nodes[0].ways, [("exhausted".to_owned(), 2), ("node".to_owned(), 1)].into());
    let without = compiled(&text(&again("{ node: a, most: 1000 }"), "a", "[go, a], [a, again]")).unwrap();
    assert!(without.warnings.is_empty());
    let forward = "[go, a], [a, again]";
    assert!(
        compiled(&text(&again("{ node: b, most: 1 }"), "a b", forward)).is_ok(),
        "no edge has to lead there"
    );
    let cases = [
        "{ node: a }",
        "{ most: 3 }",
        "{ node: a, most: 0 }",
        "{ node: a, most: 1001 }",
        "{ node: a, most: '3' }",
        "{ node: x, most: 3 }",
        "{ node: go, most: 3 }",
        "{ node: again, most: 3 }",
        "{ node: a, most: 3, max: 4 }",
    ];
    let edges = "[go, a], [a, again]";
    let said: Vec<String> = cases.iter().map(|with| problems(&again(with), "a", edges)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    nodes[0].with: a go_to needs "most" [missing_key]
    nodes[0].with: a go_to needs "node" [missing_key]
    nodes[0].with.most: 0 is no bound: write a number from 1 to 1000 [bad_value]
    nodes[0].with.most: 1001 is no bound: write a number from 1 to 1000 [bad_value]
    nodes[0].with.most: "3" is no bound: write a number from 1 to 1000 [bad_value]
    nodes[0].with.node: there is no node "x" (did you mean "a"?) [unknown_node]
    nodes[0].with.node: "go" is a trigger; node leads to a node [bad_edge]
    nodes[0].with: it leads to itself [bad_value]
    nodes[0].with.max: a go_to has no key "max" [unknown_key]
    "#);
    let edges = "[go, a], [a, again], [again, b], { from: again, case: done, to: b }, [b, a]";
    insta::assert_snapshot!(problems(&again("{ node: a, most: 3 }"), "a b", edges), @r#"
    edges[2]: "again" is a go_to, which goes its own way: an edge says which case it is [missing_case]
    edges[3]: "again" has no case "done" [unknown_case]
    "#);
}

#[test]
fn a_go_to_crosses_no_border_of_a_branch() {
    let others = |node: &str| {
        format!("{}, {}", parallel("{ join_at: j }"), again(&format!("{{ node: {node}, most: 3 }}")))
    };
    let within = "[go, x], [x, both], [both, a], [both, b], [a, again], { from: again, case: exhausted, to: j }, [b, j]";
    assert!(compiled(&text(&others("a"), "x a b j", within)).is_ok());
    let out: Vec<String> =
        ["x", "both", "b", "j"].map(|node| problems(&others(node), "x a b j", within)).into();
    insta::assert_snapshot!(out.join("\n"), @r#"
    nodes[1].with: "again" leads out of the branch of "both" that begins with "a": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    nodes[1].with: "again" leads out of the branch of "both" that begins with "a": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    nodes[1].with: "again" leads out of the branch of "both" that begins with "a": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    nodes[1].with: "again" leads into the branch of "both" that begins with "b": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    nodes[1].with: "again" leads out of the branch of "both" that begins with "a": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    "#);
    let after = "[go, x], [x, both], [both, a], [both, b], [a, j], [b, j], [j, again]";
    assert!(compiled(&text(&others("x"), "x a b j", after)).is_ok());
    assert!(compiled(&text(&others("both"), "x a b j", after)).is_ok());
    insta::assert_snapshot!(problems(&others("b"), "x a b j", after), @r#"
    nodes[1].with: "again" leads into the branch of "both" that begins with "b": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    "#);
}

fn each(with: &str) -> String {
    format!("{{ id: each, action: for_each, with: {with} }}")
}

#[test]
fn a_for_each_names_its_list_and_where_an_item_begins() {
    let list = "'{{ event.data.items }}'";
    let edges = "[go, each], [each, b], [a, c]";
    let workflow = compiled(&text(&each(&format!("{{ list: {list}, body: a }}")), "a b c", edges)).unwrap();
    assert_eq!(workflow.nodes[0].ways, [("body".to_owned(), 1)].into());
    assert_eq!((workflow.nodes[0].next, workflow.needs(&crate::interpreter::Need::Event)), (Some(2), true));
    let whole = format!("{{ list: {list}, body: a, concurrency: 50, most: 10000, on_item_error: go_on }}");
    assert!(compiled(&text(&each(&whole), "a b c", edges)).is_ok());
    assert!(compiled(&text(&each("{ list: [1, '{{ event.id }}'], body: a }"), "a b c", edges)).is_ok());
    let cases = [
        "{ body: a }",
        "{ list: [1] }",
        "{ list: 'a, b', body: a }",
        "{ list: 3, body: a }",
        "{ list: [1], body: x }",
        "{ list: [1], body: a, concurrency: 0 }",
        "{ list: [1], body: a, concurrency: 51 }",
        "{ list: [1], body: a, most: 0 }",
        "{ list: [1], body: a, most: 10001 }",
        "{ list: [1], body: a, on_item_error: skip }",
    ];
    let said: Vec<String> = cases.iter().map(|with| problems(&each(with), "a b c", edges)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    nodes[0].with: a for_each needs "list" [missing_key]
    nodes[0].with: a for_each needs "body" [missing_key]
    nodes[0].with.list: must be a list, or a template that comes to one [wrong_type]
    nodes[0].with.list: must be a list, or a template that comes to one [wrong_type]
    nodes[0].with.body: there is no node "x" (did you mean "a"?) [unknown_node]
    nodes[0].with.concurrency: 0 is not allowed: write 1 to 50 [bad_value]
    nodes[0].with.concurrency: 51 is not allowed: write 1 to 50 [bad_value]
    nodes[0].with.most: 0 is not allowed: write 1 to 10000 [bad_value]
    nodes[0].with.most: 10001 is not allowed: write 1 to 10000 [bad_value]
    nodes[0].with.on_item_error: "skip" is none of stop, go_on [bad_value]
    "#);
}

#[test]
fn the_body_of_a_loop_ends_by_itself() {
    let with = each("{ list: [1], body: a }");
    insta::assert_snapshot!(problems(&with, "a b", "[go, each], [each, b], [a, b]"), @r#"
    nodes[0]: the body of "each" leads to "b", where it goes on after the last item: an item is done where no edge leads on [branch_border]
    "#);
    insta::assert_snapshot!(problems(&with, "a b", "[go, each], [each, b], [a, each]"), @r#"
    nodes[0]: the nodes form a cycle: each -> a -> each [cycle]
    nodes[0]: the body of "each" leads to "b", where it goes on after the last item: an item is done where no edge leads on [branch_border]
    "#);
    let others = format!("{}, {with}", parallel("{ join_at: j }"));
    let edges = "[go, both], [both, each], [both, b], [b, j], [a, j], [each, c], [c, j]";
    insta::assert_snapshot!(problems(&others, "a b c j", edges), @r#"
    nodes[1]: a branch of "each" leads to "j", where those of "both" around it meet: join it before, or there [branch_border]
    "#);
    let others = format!("{with}, {}", again("{ node: b, most: 3 }"));
    let edges = "[go, b], [b, each], [a, again]";
    insta::assert_snapshot!(problems(&others, "a b", edges), @r#"
    nodes[1].with: "again" leads out of the branch of "each" that begins with "a": a branch is entered by its edge, and left by an edge to where it ends [branch_border]
    "#);
}

#[test]
fn an_item_is_a_field_within_a_run_alone_and_a_variable_of_a_template_may_be_called_so() {
    let tag = |tag: &str| format!("{{ id: t, action: add_tag, with: {{ tag: '{tag}' }} }}");
    for allowed in [
        "{{ item.value.sku }}",
        "{{ item.parent.index }}",
        "{% for item in event.data.items %}{{ item.sku }}{% endfor %}",
    ] {
        assert!(compiled(&text(&tag(allowed), "", "[go, t]")).is_ok(), "{allowed}");
    }
    insta::assert_snapshot!(problems(&tag("{{ item.sku }}"), "", "[go, t]"), @r#"
    nodes[0].with.tag: "item.sku" is not a field: item has no sku [unknown_field]
    "#);
    let early = text(&tag("x"), "", "[go, t]")
        .replace("form.submitted", "form.submitted, where: { field: item.value, op: is_empty }");
    insta::assert_snapshot!(compiled(&early).unwrap_err(), @r#"
    triggers[0].where: "item.value" does not exist here: there is no run yet [unknown_field]
    "#);
}
