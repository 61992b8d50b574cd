use super::*;
use crate::facts::sample::Sample;
use serde_json::json;

pub(super) fn sample() -> Sample {
    let mut sample = Sample::default();
    sample.event.event.data = json!({
        "total": 80, "rate": 1.5, "whole": 3.0, "items": [{ "sku": "a", "n": 2, "label": null }, { "sku": "b", "n": 1, "label": "b" }],
        "none": null, "paid": true, "name": "Ada \"Lovelace\"",
    });
    sample.contact.score = 80.0;
    sample.contact.tags = vec!["vip".into()];
    sample.state.vars.insert("coupon".into(), json!("X1"));
    sample
}

pub(super) fn render(text: &str) -> Value {
    match Template::parse(text, "with.text", &Limits::default()) {
        Ok(template) => {
            template.render(&sample().facts()).unwrap_or_else(|error| json!({ "error": error.to_string() }))
        }
        Err(problem) => json!({ "problem": problem.to_string() }),
    }
}

#[test]
fn templates_come_to_what_people_expect() {
    for (text, expected) in [
        ("plain", json!("plain")),
        ("100 % {# no comment", json!("100 % {# no comment")),
        ("{{ event.data.total }}", json!(80)),
        ("{{event.data.total}}", json!(80)),
        ("{{ event.data.total * 2 }}", json!(160)),
        ("{{ event.data.rate }}", json!(1.5)),
        ("{{ event.data.paid }}", json!(true)),
        (
            "{{ event.data.items }}",
            json!([{ "n": 2, "sku": "a", "label": null }, { "n": 1, "sku": "b", "label": "b" }]),
        ),
        ("{{ event.data.items[1].sku }}", json!("b")),
        ("{{ event.data['items'][0].sku }}", json!("a")),
        ("{{ contact.phone }}", json!(null)),
        ("{{ contact.phone | default('none') }}", json!("none")),
        ("{{ event.data.none | default('none') }}", json!("none")),
        ("{{ steps.mail.output.id }}", json!(null)),
        ("{{ contact.tags | join(',') }}", json!("vip")),
        ("{{ event.data.items | map(attribute='n') | sum }}", json!(3)),
        ("{{ contact.score >= 80 }}", json!(true)),
        ("{{ contact.email | upper }}", json!("ADA@EXAMPLE.COM")),
        ("{{ {'a': 1} }}", json!({ "a": 1 })),
        ("{{ vars }}", json!({ "coupon": "X1" })),
        ("{{ contact.phone | default('a | b is c') }}", json!("a | b is c")),
        ("{% if contact.phone is not defined %}no{% endif %}", json!("no")),
        ("Hi {{ contact.first_name }}!", json!("Hi Ada!")),
        ("Hi {{ contact.last_name }}!", json!("Hi !")),
        ("Hi {{ event.data.none }}!", json!("Hi !")),
        ("{{ contact.first_name }} {{ contact.score }}", json!("Ada 80")),
        ("a {{ event.data.whole }}", json!("a 3")),
        ("a {{ event.data.paid }}", json!("a true")),
        ("a {{ event.data.items[0] }}", json!("a {\"label\":null,\"n\":2,\"sku\":\"a\"}")),
        ("{% for item in event.data.items %}{{ item.sku }};{% endfor %}", json!("a;b;")),
        ("{% for item in contact.fields.list %}{{ item }}{% endfor %}", json!("")),
        ("{% set n = event.data.name %}<{{ n }}>", json!("<Ada \"Lovelace\">")),
        ("{% if contact.phone %}call{% else %}mail{% endif %}", json!("mail")),
        ("{{ now.time }} {{ tenant.key }} {{ workflow.key }}\n", json!("23:30 acme welcome\n")),
        ("{{ range(3) | list }}", json!([0, 1, 2])),
        ("{% for item in event.data.items %}{{ item.label | default('?') }}{% endfor %}", json!("?b")),
        ("{{ event.data.items[0].label | default('?') }}", json!("?")),
        ("{{ event.data.items[0].label | d('?') }}", json!("?")),
        ("{{ '' | default('?') }}{{ 0 | default('?') }}", json!("0")),
        ("{{ '' | default('?', true) }}", json!("?")),
        // A root's name as a value, as a part of a name or of a text, or as a member.
        ("{% for s in steps %}{{ s }}{% endfor %}", json!("")),
        ("{% set c = contact %}{{ c.first_name }}", json!("Ada")),
        ("{% set r = event.data.run %}{{ r }}", json!("")),
        ("{% for w in event.data.workflow %}{{ w }}{% endfor %}", json!("")),
        ("{% set full = 100 if contact %}{% set x = 5 % event.data.total %}{{ full }}", json!("100")),
        ("{% set contacts = 1 %}{{ contacts }}", json!("1")),
        ("{% set text = 'contact = 1' %}{{ text }}", json!("contact = 1")),
        ("{% with a = event.id, b = contact %}{{ a }}{{ b.first_name }}{% endwith %}", json!("1Ada")),
        ("{% with a = dict(event=1) %}{{ a.event }}{% endwith %}", json!("1")),
    ] {
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_right_is_refused_when_read() {
    let texts = [
        "{{ contact.frist_name }}",
        "Hi {{ contact.frist_name | upper }}",
        "{{ contct.email | upper }}",
        "{{ deal.amount }}",
        "{{ deal }} x",
        "{{ name }}",
        "{{ debug() }}",
        "Hi {{ contact.email",
        "{% include 'other' %}",
        "{% extends 'other' %}",
        "{% if contact.email %}open",
        "{{ contact.email | shout }}",
        "{% if contact.email is fine %}x{% endif %}",
        "{% filter default(contact.email) %}x{% endfilter %}",
        "{% set contact = 1 %}{{ contact }}",
        "{% for event in vars.list %}{{ event }}{% endfor %}",
        "{% for (key, contact) in event.data.list %}x{% endfor %}",
        "{% set x = 5 % 2 %}{% set contact = 1 %}",
        "{% set a, contact = event.data.pair %}",
        "{% set now | upper %}x{% endset %}",
        "{% with a = (1, 2), run = 1 %}x{% endwith %}",
    ];
    let problems: Vec<String> = texts.iter().map(|text| format!("{text}\n    {}", render(text))).collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    {{ contact.frist_name }}
        {"problem":"with.text: \"contact.frist_name\" is not a field: contact has no frist_name (did you mean \"first_name\"?) [unknown_field]"}
    Hi {{ contact.frist_name | upper }}
        {"problem":"with.text: \"contact.frist_name\" is not a field: contact has no frist_name (did you mean \"first_name\"?) [unknown_field]"}
    {{ contct.email | upper }}
        {"problem":"with.text: nothing is called \"contct\" here (did you mean \"contact\"?) [unknown_field]"}
    {{ deal.amount }}
        {"problem":"with.text: fields of deal are not available yet [not_available]"}
    {{ deal }} x
        {"problem":"with.text: fields of deal are not available yet [not_available]"}
    {{ name }}
        {"problem":"with.text: nothing is called \"name\" here [unknown_field]"}
    {{ debug() }}
        {"problem":"with.text: not a template: there is no function debug [bad_template]"}
    Hi {{ contact.email
        {"problem":"with.text: not a template: {{ has no }} [bad_template]"}
    {% include 'other' %}
        {"problem":"with.text: not a template: there is no {% include %}: there is nothing to include [bad_template]"}
    {% extends 'other' %}
        {"problem":"with.text: not a template: there is no {% extends %}: there is nothing to extend [bad_template]"}
    {% if contact.email %}open
        {"problem":"with.text: not a template: {% endif %} is missing [bad_template]"}
    {{ contact.email | shout }}
        {"problem":"with.text: not a template: there is no filter \"shout\" [bad_template]"}
    {% if contact.email is fine %}x{% endif %}
        {"problem":"with.text: not a template: there is no test \"fine\" [bad_template]"}
    {% filter default(contact.email) %}x{% endfilter %}
        {"problem":"with.text: not a template: there is no {% filter %}: use filters in expressions, or {% set x | upper %}…{% endset %} [bad_template]"}
    {% set contact = 1 %}{{ contact }}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    {% for event in vars.list %}{{ event }}{% endfor %}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    {% for (key, contact) in event.data.list %}x{% endfor %}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    {% set x = 5 % 2 %}{% set contact = 1 %}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    {% set a, contact = event.data.pair %}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    {% set now | upper %}x{% endset %}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    {% with a = (1, 2), run = 1 %}x{% endwith %}
        {"problem":"with.text: a variable of a template cannot be called event, contact, vars, steps, run, workflow, tenant, now [bad_template]"}
    "#);
}

#[test]
fn runaway_templates_are_stopped() {
    let texts = [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 999999 }}",
        "{{ event.data.name + 1 }}",
        "a{{ contact.email / 2 }}",
    ];
    let errors: Vec<String> = texts.iter().map(|text| render(text).to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    {"error":"with.text: the template makes more than 4194304 bytes"}
    {"error":"with.text: the template comes to more than 262144 bytes"}
    {"error":"with.text: + cannot be used with a text and a number"}
    {"error":"with.text: / cannot be used with a text and a number"}
    "#);
}

#[test]
fn a_template_over_the_limit_is_refused() {
    let limits = Limits { template_bytes: 20, output_bytes: 8, ..Limits::default() };
    let problem = Template::parse("{{ contact.email }} and more", "at", &limits).unwrap_err();
    assert_eq!(problem.message, "a template may have at most 20 bytes; this has 28");
    let template = Template::parse("{{contact.email}}..", "at", &limits).unwrap();
    let error = template.render(&sample().facts()).unwrap_err();
    assert_eq!(error.message, "at: the template comes to more than 8 bytes");
}

#[test]
fn only_strings_with_templates_are_rendered() {
    let value =
        json!({ "a": [1, "{{ event.data.total }}", { "b": "x{{ vars.coupon }}" }], "c": "plain", "d": null });
    let template = ValueTemplate::parse(&value, "with", &Limits::default()).unwrap();
    assert_eq!(
        template.render(&sample().facts()).unwrap(),
        json!({ "a": [1, 80, { "b": "xX1" }], "c": "plain", "d": null })
    );
    assert!(template.reads("event") && template.reads("vars") && !template.reads("contact"));
    assert!(ValueTemplate::parse(&json!({ "a": [1, "b"] }), "", &Limits::default()).unwrap().is_literal());
}

#[test]
fn every_bad_template_of_a_value_is_named() {
    let value = json!({ "to": "{{ contct.email }}", "list": ["{{ oops", "ok"] });
    let problems = ValueTemplate::parse(&value, "nodes[2].with", &Limits::default()).unwrap_err();
    let places: Vec<_> =
        problems.iter().map(|problem| (problem.code.as_str(), problem.path.as_str())).collect();
    assert_eq!(places, [("bad_template", "nodes[2].with.list[0]"), ("unknown_field", "nodes[2].with.to")]);
}

#[test]
fn whole_roots_and_times_of_day_count_as_read() {
    let reads = |text: &str, root| Template::parse(text, "", &Limits::default()).unwrap().reads(root);
    assert!(reads("{{ contact | tojson }}", "contact"));
    assert!(reads("{{ now.time }}", "contact"));
    assert!(!reads("contact {{ event.id }}", "contact"));
}
