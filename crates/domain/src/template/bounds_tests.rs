//! Templates that are built to hurt: whatever they ask for, they get no more than the budget, and the process lives.

use super::tests::sample;
use super::*;
use crate::budget::Budget;
use crate::facts::sample::Sample;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

fn code(template: &str) -> String {
    code_with(template, &sample())
}

/// How a template ends: `ok`, or a code; the sample's budget is charged no more than it has.
fn code_with(template: &str, sample: &Sample) -> String {
    let limits = Limits::default();
    let code = match Template::parse(template, "at", &limits) {
        Ok(template) => template.render(&sample.facts()).map_or_else(|error| error.code, |_| "ok".to_owned()),
        Err(problem) => problem.code,
    };
    assert!(sample.budget.spent_steps() <= limits.evaluation_steps);
    assert!(sample.budget.spent_bytes() <= limits.evaluation_bytes);
    code
}

#[test]
fn what_grows_is_stopped_before_it_is_made() {
    let doublings =
        |start: &str, doubling: &str, times| format!("{{% set a = {start} %}}{}", doubling.repeat(times));
    for template in [
        "{{ 'x' * 18446744073709551615 }}".to_owned(),
        "{{ [1] * 18446744073709551615 }}".to_owned(),
        "{{ [] * 18446744073709551615 ~ '' * 18446744073709551615 }}{{ range(18446744073709551615) }}"
            .to_owned(),
        doublings("[1]", "{% set a = a + a %}", 40),
        doublings("'x'", "{% set a = a ~ a %}", 40),
        doublings("'x'", "{% set a = [a, a] | join %}", 40),
        doublings("'x'", "{% set a = a | replace('x', 'xx') %}", 40),
        doublings("'x'", "{% set a %}{{ a }}{{ a }}{% endset %}", 40),
        doublings("1", "{% set a = [a, a] %}", 40) + "{{ a ~ '' }}",
        doublings("1", "{% set a = [a, a] %}", 40) + "{{ a == a }}",
        doublings("1", "{% set a = {'a': a, 'b': a} %}", 40) + "{{ a | tojson }}",
        doublings("1", "{% set a = [a, a] %}", 40) + "{{ [a] | unique }}",
        doublings("1", "{% set a = [a, a] %}", 40) + "{{ a in [a] }}",
        doublings("1", "{% set a = [a, a] %}", 40) + "{% if a != a %}x{% endif %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}".to_owned(),
        format!("{}x{}", "{% for a in range(9) %}".repeat(8), "{% endfor %}".repeat(8)),
        "{% for a in range(80000) %}{% set b = event.data == event.data %}{% endfor %}".to_owned(),
        "{% set t = namespace(a=1) %}{% for a in range(40000) %}{% set t.a = [t.a, t.a] %}{% endfor %}"
            .to_owned(),
        "{{ ('x' * 2000000) | upper }}".to_owned(),
        "{{ ('a,' * 1000000) | split(',') }}".to_owned(),
        "{{ ('a' * 1000000) | list }}".to_owned(),
        "{{ ('&' * 1000000) | escape }}".to_owned(),
        "{{ range(80000) | map('string') | join('x' * 1000) }}".to_owned(),
        "{{ ('a' * 1000000) | trim('b' * 1000000) }}".to_owned(),
        "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}".to_owned(),
    ] {
        let start: String = template.chars().take(70).collect();
        assert_eq!(code(&template), "over_budget", "{start}");
    }
    let many = json!(vec!["{{ 'x' * 260000 }}"; 550]);
    let many = ValueTemplate::parse(&many, "with", &Limits::default()).unwrap();
    assert_eq!(many.render(&sample().facts()).unwrap_err().code, "over_budget");
    assert_eq!(code(&"{{ 'x' * 260000 }}".repeat(550)), "template_failed");
}

#[test]
fn what_is_nested_is_refused_before_the_stack_ends() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{{{{ {}{inner}{} }}}}", open.repeat(times), close.repeat(times))
    };
    for times in [60, 4_900] {
        for (template, expected) in [
            (nested("(", "1", ")", times), "bad_template"),
            (nested("[", "1", "]", times), "bad_template"),
            (nested("{1:", "1", "}", times), "bad_template"),
            (nested("- ", "1", "", times), "bad_template"),
            (nested("not ", "1", "", times), "bad_template"),
            (nested("1 if 1 else ", "1", "", times), "bad_template"),
            (nested("vars[", "vars.x", "]", times), "bad_template"),
            (nested("1|default(", "1", ")", times), "bad_template"),
            (nested("range(", "1", ")", times), "bad_template"),
            (format!("{}{}", "{% if 1 %}".repeat(times), "{% endif %}".repeat(times)), "bad_template"),
            (
                format!("{}{}", "{% for x in [] %}".repeat(times), "{% endfor %}".repeat(times)),
                "bad_template",
            ),
            (format!("{}{}", "{% set x %}".repeat(times), "{% endset %}".repeat(times)), "bad_template"),
            (
                format!("{{% set a = 1 %}}{}{{{{ a }}}}", "{% set a=[a] %}".repeat(times)),
                if times < 96 { "ok" } else { "bad_template" },
            ),
        ] {
            let start: String = template.chars().take(30).collect();
            assert_eq!(code(&template), expected, "{times} {start}");
        }
    }
    // What stands beside each other is no nesting.
    for chained in [
        nested("1+", "1", "", 2_000),
        nested("1~", "1", "", 2_000),
        nested("", "1", "|string", 2_000),
        nested("", "vars", ".a", 2_000),
        nested("", "vars.x", "[:]", 1_000),
        nested("1 and ", "1", "", 2_000),
        nested("", "1", " is defined", 2_000),
        nested("1 is eq ", "1", "", 2_000),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(2_000)),
    ] {
        let start: String = chained.chars().take(30).collect();
        assert_eq!(code(&chained), "ok", "{start}");
    }
}

#[test]
fn values_that_are_nested_while_running_are_bounded() {
    for set in ["{% set a=[a]%}", "{% set a={'a':a}%}", "{% set a=[[1],a]%}"] {
        let within = format!("{{% set a = 1 %}}{}", set.repeat(126));
        for (use_of_it, expected) in [("{{ a | string | length }}", "ok"), ("{{ a == a }}", "ok"), ("", "ok")]
        {
            assert_eq!(code(&format!("{within}{use_of_it}")), expected, "{set} {use_of_it}");
        }
        assert_eq!(code(&format!("{within}{set}{set}{set}")), "over_budget", "{set}");
    }
    let loops = "{% set t = namespace(a=1) %}{% for n in range(4900) %}{% set t.a = [t.a] %}{% endfor %}";
    assert_eq!(code(loops), "over_budget");
}

#[test]
fn the_deepest_template_runs_on_a_small_stack() {
    let deepest = format!("{{{{ {}event.data{} }}}}", "[not -(".repeat(11), " | length)]".repeat(11));
    let filters = format!("{{{{ {}vars.x{} }}}}", "(1 ~ ".repeat(46), " | string)".repeat(46));
    let run = move || (code(&deepest), code(&filters));
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap(), ("ok".to_owned(), "ok".to_owned()));
}

#[test]
fn results_are_bounded_in_depth_so_that_they_can_be_read_again() {
    let mut sample = sample();
    let deep = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
    sample.event.event.data = json!({ "deep": deep(64) });
    let rendered = |value: Value| {
        let template = ValueTemplate::parse(&value, "with", &Limits::default()).unwrap();
        template.render(&sample.facts()).map_err(|error| error.code)
    };
    let result = rendered(json!({ "a": "{{ [event.data.deep] }}" })).unwrap();
    assert!(serde_json::from_str::<Value>(&result.to_string()).is_ok());
    let literal = (0..40).fold(json!("{{ event.data.deep }}"), |value, _| json!({ "a": value }));
    assert_eq!(rendered(literal), Err("over_budget".to_owned()));
}

#[test]
fn everything_that_is_rendered_together_spends_one_budget() {
    let mut sample = sample();
    sample.budget = Budget::new(&Limits { evaluation_bytes: 800, ..Limits::default() });
    let part = "x".repeat(300);
    let value = json!([part, format!("{{{{ '{part}' ~ '' }}}}")]);
    let template = ValueTemplate::parse(&value, "with", &Limits::default()).unwrap();
    let first = template.render(&sample.facts());
    assert!(first.is_err(), "{first:?}");
    assert_eq!(sample.budget.spent_bytes(), 800);
    let field = Template::parse("{{ event.id }}", "at", &Limits::default()).unwrap();
    let error = field.render(&sample.facts()).unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("over_budget", "at: the template makes more than 800 bytes")
    );
}

#[test]
fn a_template_has_a_bounded_number_of_parts() {
    let problem = Template::parse(&"{{1}}".repeat(5_000), "at", &Limits::default()).unwrap_err();
    assert_eq!(
        problem.message,
        "not a template: it has 15000 words, values and signs; at most 10000 are allowed"
    );
}

/// Expressions over the sample's facts, most of which mean something.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("event.data.items".to_owned()),
        Just("event.data.items[0].sku".to_owned()),
        Just("event.data.items[1]['n']".to_owned()),
        Just("event.data.name".to_owned()),
        Just("event.data".to_owned()),
        Just("event".to_owned()),
        Just("contact.email".to_owned()),
        Just("contact.tags".to_owned()),
        Just("contact".to_owned()),
        Just("contact.score".to_owned()),
        Just("vars.coupon".to_owned()),
        Just("vars".to_owned()),
        Just("steps.a.output".to_owned()),
        Just("run.key".to_owned()),
        Just("now.time".to_owned()),
        Just("contact.phone".to_owned()),
        Just("'sku'".to_owned()),
        Just("'name'".to_owned()),
        Just("'x'".to_owned()),
        (-2..5_i32).prop_map(|number| number.to_string()),
        Just("1.5".to_owned()),
        Just("none".to_owned()),
        Just("v".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operators =
            prop::sample::select(vec!["+", "-", "*", "~", "==", "<", "in", "and", "or", "%", "//"]);
        let filters = prop::sample::select(vec![
            "upper",
            "length",
            "list",
            "string",
            "tojson",
            "first",
            "last",
            "sort",
            "unique",
            "reverse",
            "default('d')",
            "join('-')",
            "map(attribute='sku')",
            "select('defined')",
            "items",
            "int(0)",
            "round",
            "sum",
            "replace('a', 'bb')",
        ]);
        let tests = prop::sample::select(vec!["defined", "odd", "string", "eq 1", "mapping"]);
        prop_oneof![
            (inner.clone(), operators, inner.clone())
                .prop_map(|(left, sign, right)| format!("({left} {sign} {right})")),
            (inner.clone(), filters).prop_map(|(value, filter)| format!("({value} | {filter})")),
            (inner.clone(), tests).prop_map(|(value, test)| format!("({value} is {test})")),
            (inner.clone(), inner.clone()).prop_map(|(value, index)| format!("({value})[{index}]")),
            (inner.clone(), -3..3_i32).prop_map(|(value, end)| format!("({value})[:{end}]")),
            (inner.clone(), prop::sample::select(vec!["sku", "data", "email", "n"]))
                .prop_map(|(value, name)| format!("({value}).{name}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| format!("{{{key}: {value}}}")),
            prop::sample::select(vec!["event.data", "event", "contact", "vars", "steps.a.output"])
                .prop_flat_map(move |root| inner.clone().prop_map(move |index| format!("{root}[{index}]"))),
        ]
    })
}

fn template() -> impl Strategy<Value = String> {
    prop_oneof![
        expression().prop_map(|one| format!("{{% set v = 1 %}}{{{{ {one} }}}}")),
        (expression(), expression())
            .prop_map(|(list, one)| format!("{{% for v in {list} %}}{{{{ {one} }}}}{{% endfor %}}")),
        (expression(), expression())
            .prop_map(|(set, one)| format!("{{% set v = 2 %}}{{% set v = {set} %}}{{{{ {one} }}}}")),
        (expression(), expression()).prop_map(|(test, one)| {
            format!("{{% set v = 'x' %}}{{% if {test} %}}a{{% else %}}{{{{ {one} }}}}{{% endif %}}")
        }),
    ]
}

/// The same facts without anything that the template does not say it reads.
fn only_what_is_read(full: &Sample, template: &Template) -> Sample {
    let paths: BTreeSet<&FieldPath> = template.references().iter().collect();
    let covers = |segments: &[&str]| {
        paths.iter().any(|path| {
            let path: Vec<&str> = path.segments().iter().map(String::as_str).collect();
            path.starts_with(segments) || segments.starts_with(&path)
        })
    };
    let mut left = sample();
    left.event.event.data = kept(&full.event.event.data, &mut vec!["event", "data"], &covers);
    left.state.vars.retain(|name, _| covers(&["vars", name]));
    left.state.steps.retain(|name, _| covers(&["steps", name]));
    if !covers(&["contact"]) && !covers(&["now"]) {
        left.contact = crate::contact::Contact::new(left.contact.contact_id, "");
    }
    left
}

fn kept<'a>(value: &'a Value, path: &mut Vec<&'a str>, covers: &impl Fn(&[&str]) -> bool) -> Value {
    if !covers(path) {
        return Value::Null;
    }
    let Value::Object(members) = value else { return value.clone() };
    let mut left = Map::new();
    for (key, member) in members {
        path.push(key);
        if covers(path) {
            left.insert(key.clone(), kept(member, path, covers));
        }
        path.pop();
    }
    Value::Object(left)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_template_reads_nothing_that_it_does_not_name(text in template()) {
        let full = sample();
        if let Ok(template) = Template::parse(&text, "at", &Limits::default()) {
            let left = only_what_is_read(&full, &template);
            prop_assert_eq!(template.render(&full.facts()), template.render(&left.facts()), "{}", text);
        }
    }

    #[test]
    fn no_template_spends_more_than_its_budget(text in template(), steps in 0..3_000_u64, bytes in 0..5_000_u64) {
        if let Ok(template) = Template::parse(&text, "at", &Limits::default()) {
            let mut sample = sample();
            sample.budget = Budget::new(&Limits { evaluation_steps: steps, evaluation_bytes: bytes, ..Limits::default() });
            let rendered = template.render(&sample.facts());
            prop_assert!(sample.budget.spent_steps() <= steps && sample.budget.spent_bytes() <= bytes);
            match rendered {
                // What came out was paid for.
                Ok(value) => prop_assert!(json::size_bytes(&value) as u64 <= 2 * bytes + 64, "{value}"),
                Err(error) => prop_assert!(["over_budget", "template_failed"].contains(&error.code.as_str())),
            }
        }
    }

    #[test]
    fn any_text_is_a_template_or_a_problem(text in "[{}%#|.'\"\\[\\]()a-c0-2 ,:=~*/+<>!\n-]{0,40}") {
        let text = format!("{{{{ {text}");
        if let Ok(template) = Template::parse(&text, "at", &Limits::default()) {
            let _ = template.render(&sample().facts());
        }
    }

    #[test]
    fn any_words_are_a_template_or_a_problem(words in prop::collection::vec(prop::sample::select(vec![
        "{%", "%}", "{{", "}}", "{#", "#}", "-%}", "{%-", "if", "else", "elif", "endif", "for", "in", "endfor", "set", "endset", "with",
        "endwith", "raw", "endraw", "x", "y", "event", ".data", "[", "]", "(", ")", "=", ",", ":", "1", "'a'", "|", "upper", "is", "not",
        "defined", "loop", ".index", "namespace", "range", "map", "recursive", "~", "and", "or", "\n",
    ]), 0..30)) {
        let text = words.join(" ");
        if let Ok(template) = Template::parse(&text, "at", &Limits::default()) {
            let _ = template.render(&sample().facts());
        }
    }
}
