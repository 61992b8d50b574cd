//! Every operator, statement, filter and test of the language, with what it comes to.

use super::tests::{render, sample};
use super::*;
use serde_json::json;
use std::collections::BTreeSet;

fn all_come_to(rows: &[(&str, Value)]) {
    for (text, expected) in rows {
        assert_eq!(render(text), *expected, "{text}");
    }
}

#[test]
fn operators() {
    all_come_to(&[
        ("{{ 1 + 2 * 3 }}", json!(7)),
        ("{{ (1 + 2) * 3 }}", json!(9)),
        ("{{ 10 - 2 - 3 }}", json!(5)),
        ("{{ 7 / 2 }}", json!(3.5)),
        ("{{ 8 / 2 }}", json!(4)),
        ("{{ -7 // 2 }}", json!(-4)),
        ("{{ -7 % 3 }}", json!(2)),
        ("{{ 2 ** 3 ** 2 }}", json!(64)),
        ("{{ -2 ** 2 }}", json!(4)),
        ("{{ - -2 }}", json!(2)),
        ("{{ -2 | abs }}", json!(2)),
        ("{{ 1.5 + 1.5 }}", json!(3)),
        ("{{ 'a' + 'b' }}", json!("ab")),
        ("{{ [1] + [2] }}", json!([1, 2])),
        ("{{ 'ab' * 2 }}{{ 2 * 'x' }}{{ 'y' * -1 }}", json!("ababxx")),
        ("{{ [1] * 2 }}", json!([1, 1])),
        ("{{ 1 ~ 2.0 ~ true ~ none ~ 'x' ~ [1.0] }}", json!("12truex[1]")),
        ("{{ 1 ~ 2 + 3 }}", json!({ "error": "with.text: + cannot be used with a text and a number" })),
        ("{{ 1 == 1.0 }}", json!(true)),
        ("{{ 1 == '1' }}", json!(false)),
        ("{{ [1, {'a': 2}] == [1.0, {'a': 2.0}] }}", json!(true)),
        ("{{ 1 != 2 }}", json!(true)),
        ("{{ 1 < 2 <= 2 < 3 }}", json!(true)),
        ("{{ 3 > 2 >= 3 }}", json!(false)),
        ("{{ 'a' < 'b' }}", json!(true)),
        ("{{ contact.phone < 1 }}", json!(false)),
        ("{{ contact.phone == none }}", json!(true)),
        ("{{ 2 in [1, 2.0] }}", json!(true)),
        ("{{ 'da' not in contact.first_name }}", json!(false)),
        ("{{ 'a' in {'a': 1} }}", json!(true)),
        ("{{ 'a' in contact.phone }}", json!(false)),
        ("{{ not 0 and not '' and not [] and not {} }}", json!(true)),
        ("{{ 0 or '' or 'last' }}", json!("last")),
        ("{{ 1 and 2 }}", json!(2)),
        ("{{ not not 5 }}", json!(true)),
        ("{{ 'a' if 0 else 'b' if 0 else 'c' }}", json!("c")),
        ("{{ 'a' if false }}", json!(null)),
        ("{{ (1, 2) }}", json!([1, 2])),
        ("{{ () }}", json!([])),
        ("{{ [1, 2,] }}", json!([1, 2])),
        ("{{ {'a': {'b': 1}} }}", json!({ "a": { "b": 1 } })),
        ("{{ dict(a=1, b='x') }}", json!({ "a": 1, "b": "x" })),
        ("{{ {1: 2} }}", json!({ "1": 2 })),
        ("{{ range(3) }}{{ range(1, 3) }}{{ range(5, 0, -2) }}", json!("[0,1,2][1,2][5,3,1]")),
        (r#"{{ "\u00e4\n\t\"" }}"#, json!("ä\n\t\"")),
        ("{{ 1.5e2 }}", json!(150)),
        ("{{ True and not None }}", json!(true)),
    ]);
}

#[test]
fn ways_into_a_value() {
    all_come_to(&[
        ("{{ event.data['items'][0]['sku'] }}", json!("a")),
        ("{{ event.data.items.0.sku }}", json!("a")),
        ("{{ event.data.items[-1].sku }}", json!("b")),
        ("{{ event.data.items[1 - 1].sku }}", json!("a")),
        ("{{ event.data['na' ~ 'me'][:3] }}", json!("Ada")),
        ("{% set key = 'total' %}{{ event.data[key] }}", json!("80")),
        ("{{ vars[contact.phone] }}", json!(null)),
        ("{{ contact.tags[0] }}", json!("vip")),
        ("{{ event.data.items[0:1][0].sku }}", json!("a")),
        ("{{ event.data.name[:3] }}", json!("Ada")),
        ("{{ 'abcdef'[1:4] }}", json!("bcd")),
        ("{{ 'abcdef'[-2:] }}", json!("ef")),
        ("{{ 'abcdef'[::2] }}", json!("ace")),
        ("{{ 'abc'[::-1] }}", json!("cba")),
        ("{{ [1, 2, 3][1:] }}", json!([2, 3])),
        ("{{ 'äöü'[1:2] }}", json!("ö")),
        ("{{ contact.phone[:3] | default('none') }}", json!("none")),
        ("{{ event.data.missing.deeper[0].still }}", json!(null)),
        ("{{ contact['email'] }}", json!("ada@example.com")),
        ("{{ {'a.b': 1}['a.b'] }}", json!(1)),
        ("{{ 'abc'[0] }}", json!(null)),
    ]);
}

#[test]
fn statements() {
    all_come_to(&[
        ("{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", json!("b")),
        (
            "{% for n in [1, 2, 3] if n != 2 %}{{ loop.index }}{{ n }}{% if not loop.last %},{% endif %}{% endfor %}",
            json!("11,23"),
        ),
        ("{% for n in contact.phone %}x{% else %}none{% endfor %}", json!("none")),
        ("{% for k, v in {'a': 1, 'b': 2} | items %}{{ k }}={{ v }};{% endfor %}", json!("a=1;b=2;")),
        ("{% for (k, v) in [[1, 2]] %}{{ k + v }}{% endfor %}", json!("3")),
        ("{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}", json!("ab")),
        (
            "{% for n in 'abc' | list %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
            json!("032true3b 121false3ac 210false3b "),
        ),
        ("{% for n in [1, 2, 3] %}{{ loop.cycle('odd', 'even') }} {% endfor %}", json!("odd even odd ")),
        (
            "{% for a in [1] %}{% for b in [1] %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{{ loop.depth }}{% endfor %}",
            json!("211"),
        ),
        ("{% set a = 1 %}{% set a = a + 1 %}{{ a }}", json!("2")),
        ("{% set a, b = 1, 2 %}{{ a }}{{ b }}", json!("12")),
        (
            "{% set a = 1 %}{% for n in [1, 2] %}{{ a }}{% set a = 9 %}{{ a }}{% endfor %}{{ a }}",
            json!("19191"),
        ),
        ("{% set a = 1 %}{% if true %}{% set a = 2 %}{% endif %}{{ a }}", json!("2")),
        ("{% if false %}{% set a = 1 %}{% endif %}{{ a }}-", json!("-")),
        (
            "{% set t = namespace(sum=0) %}{% for n in [1, 2] %}{% set t.sum = t.sum + n %}{% endfor %}{{ t.sum }}",
            json!("3"),
        ),
        ("{% set x %}a{{ 1 }}{% endset %}[{{ x }}]", json!("[a1]")),
        ("{% set x | upper | trim %} a{% endset %}[{{ x }}]", json!("[A]")),
        ("{% with a = 1, b = a + 1 %}{{ b }}{% endwith %}", json!("2")),
        ("a {%- if true -%} b {%- endif -%} c", json!("abc")),
        ("a {{- 1 -}} b", json!("a1b")),
        ("a {# note #} b{#- note -#} c{{ 1 }}", json!("a  bc1")),
        ("{% raw %}{{ x }}{% if %}{% endraw %}{{ 1 }}", json!("{{ x }}{% if %}1")),
        ("a {%- raw -%} b {%- endraw -%} c{{ 1 }}", json!("abc1")),
        ("{{ 1 }}\n", json!("1\n")),
        ("{{ '}}' }}{{ \"%}\" }}", json!("}}%}")),
    ]);
}

#[test]
fn filters_of_texts() {
    all_come_to(&[
        ("{{ 'aé ß' | upper }}", json!("AÉ SS")),
        ("{{ 'AÉ' | lower }}", json!("aé")),
        ("{{ 'ada LOVELACE-king' | title }}", json!("Ada Lovelace-King")),
        ("{{ 'aDA' | capitalize }}", json!("Ada")),
        ("{{ ' a ' | trim }}", json!("a")),
        ("{{ 'xxaxx' | trim('x') }}", json!("a")),
        ("{{ 'a-b-c' | replace('-', '+') }}", json!("a+b+c")),
        ("{{ 17.0 | replace(7, true) }}", json!("1true")),
        ("{{ 'a,b,c' | split(',') }}", json!(["a", "b", "c"])),
        ("{{ ' a  b ' | split }}", json!(["a", "b"])),
        ("{{ 'a,b,c' | split(',', 1) }}", json!(["a", "b,c"])),
        ("{{ 'a  b c' | split(maxsplit=1) }}", json!(["a", "b c"])),
        ("{{ 'a\nb\n' | lines }}", json!(["a", "b"])),
        ("{{ 17.0 | string }}", json!("17")),
        ("{{ '<a href=\"x\">&\\'' | escape }}", json!("&lt;a href=&quot;x&quot;&gt;&amp;&#39;")),
        ("{{ {'a': [1.0, none, 'ü']} | tojson }}", json!("{\"a\":[1,null,\"ü\"]}")),
        ("{{ contact.phone | tojson }}", json!("null")),
        ("{{ '%s costs %.2f (%d%%)' | format('A', 80.5, 7.0) }}", json!("A costs 80.50 (7%)")),
        ("{{ '%5d|%-5s|%05d' | format(42, 'ab', -7) }}", json!("   42|ab   |-0007")),
        ("{{ contact.phone | upper | default('none') }}", json!("none")),
        ("{{ contact.phone | trim | replace('a', 'b') | default('none') }}", json!("none")),
    ]);
}

#[test]
fn filters_of_numbers() {
    all_come_to(&[
        ("{{ -1.5 | abs }}", json!(1.5)),
        ("{{ 80.456 | round(2) }}", json!(80.46)),
        ("{{ 80.456 | round }}", json!(80)),
        ("{{ 80.451 | round(2, 'ceil') }}", json!(80.46)),
        ("{{ 80.459 | round(precision=2, method='floor') }}", json!(80.45)),
        ("{{ '42' | int + 1 }}", json!(43)),
        ("{{ ' 42.7 ' | int }}", json!(42)),
        ("{{ '42.50' | float }}", json!(42.5)),
        ("{{ true | int }}", json!(1)),
        ("{{ 'x' | int(0) }}", json!(0)),
        ("{{ contact.phone | int(0) }}", json!(0)),
        ("{{ contact.phone | int }}", json!(null)),
        ("{{ 'x' | float(default=1.5) }}", json!(1.5)),
        ("{{ 'x' | bool }}", json!(true)),
    ]);
}

#[test]
fn filters_of_lists() {
    all_come_to(&[
        ("{{ [1, 2.0, true, none, 'x', [3.0]] | join('-') }}", json!("1-2-true--x-[3]")),
        ("{{ event.data.items | join(',', attribute='sku') }}", json!("a,b")),
        ("{{ [3, 1] | first }}{{ [3, 1] | last }}{{ 'xy' | first }}{{ 'xy' | last }}", json!("31xy")),
        ("{{ [] | first | default('none') }}", json!("none")),
        (
            "{{ 'äö' | length }}{{ [1] | count }}{{ {'a': 1} | length }}{{ contact.phone | length }}",
            json!("2110"),
        ),
        ("{{ {'b': 1, 'a': 2} | list }}", json!(["a", "b"])),
        ("{{ 'ab' | list }}", json!(["a", "b"])),
        ("{{ [1, 2] | reverse }}", json!([2, 1])),
        ("{{ 'ab' | reverse }}", json!("ba")),
        ("{{ [3, 1, 2] | sort }}", json!([1, 2, 3])),
        ("{{ ['b', 'A', 'c'] | sort }}", json!(["A", "b", "c"])),
        ("{{ ['b', 'A', 'c'] | sort(case_sensitive=true, reverse=true) }}", json!(["c", "b", "A"])),
        ("{{ event.data.items | sort(attribute='n') | map(attribute='sku') | join }}", json!("ba")),
        ("{{ [2, none, 1] | sort }}", json!([null, 1, 2])),
        ("{{ ['a', 'A', 'b', 1, 1.0, '1'] | unique }}", json!(["a", "b", 1, "1"])),
        ("{{ ['a', 'A'] | unique(true) }}", json!(["a", "A"])),
        ("{{ [1, 2.5, none] | sum }}", json!(3.5)),
        ("{{ event.data.items | sum(attribute='n', start=10) }}", json!(13)),
        ("{{ contact.phone | sum }}", json!(0)),
        ("{{ [3, 1, none] | min }}{{ [3, 1] | max }}{{ ['b', 'a'] | min }}", json!("13a")),
        ("{{ (event.data.items | max(attribute='n')).sku }}", json!("a")),
        ("{{ {'b': 1, 'a': 2} | items }}", json!([["a", 2], ["b", 1]])),
        ("{{ event.data.items | map(attribute='label', default='?') }}", json!(["?", "b"])),
        ("{{ ['a', 'b'] | map('upper') | map('replace', 'A', 'x') | list }}", json!(["x", "B"])),
        ("{{ [0, 1, '', 'a'] | select }}", json!([1, "a"])),
        ("{{ [1, 2, 3] | select('odd') }}{{ [1, 2, 3] | reject('gt', 1) }}", json!("[1,3][1]")),
        ("{{ event.data.items | selectattr('label') | map(attribute='sku') }}", json!(["b"])),
        ("{{ event.data.items | rejectattr('n', 'eq', 2) | map(attribute='sku') }}", json!(["b"])),
    ]);
}

#[test]
fn tests_behind_is() {
    for (test, passing, failing) in [
        ("defined", "contact.email", "contact.phone"),
        ("undefined", "event.data.none", "contact.email"),
        ("none", "contact.phone", "0"),
        ("true", "true", "1"),
        ("false", "false", "0"),
        ("boolean", "false", "0"),
        ("number", "1.5", "'1.5'"),
        ("integer", "17.0", "17.5"),
        ("float", "17.5", "17.0"),
        ("string", "'a'", "1"),
        ("sequence", "[]", "'a'"),
        ("mapping", "{}", "[]"),
        ("iterable", "{}", "'a'"),
        ("odd", "3", "2"),
        ("even", "2", "3"),
        ("divisibleby 3", "9", "10"),
        ("divisibleby(3)", "9", "10"),
        ("eq 1", "1.0", "'1'"),
        ("equalto 1", "1", "2"),
        ("ne 1", "2", "1"),
        ("lt 2", "1", "2"),
        ("lessthan 2", "1", "2"),
        ("le 2", "2", "3"),
        ("gt 2", "3", "2"),
        ("greaterthan 2", "3", "2"),
        ("ge 2", "2", "1"),
        ("in [1, 2]", "1", "3"),
        ("containing 'd'", "contact.first_name", "contact.phone"),
        ("startingwith 'A'", "contact.first_name", "contact.email"),
        ("endingwith('a')", "contact.first_name", "contact.phone"),
        ("lower", "'ab1'", "'Ab'"),
        ("upper", "'AB1'", "'Ab'"),
    ] {
        assert_eq!(render(&format!("{{{{ {passing} is {test} }}}}")), json!(true), "{passing} is {test}");
        assert_eq!(render(&format!("{{{{ {failing} is {test} }}}}")), json!(false), "{failing} is {test}");
        assert_eq!(
            render(&format!("{{{{ {failing} is not {test} }}}}")),
            json!(true),
            "{failing} is not {test}"
        );
    }
}

#[test]
fn the_last_default_wins() {
    all_come_to(&[
        ("{{ contact.phone | default(contact.last_name) | default('none') }}", json!("none")),
        ("{{ contact.phone | default(contact.last_name) }}", json!(null)),
        ("{{ contact.phone | default(event.data.none) | default(contact.email) }}", json!("ada@example.com")),
        ("{{ contact.phone | default }}", json!("")),
        ("{{ '' | default(contact.phone, true) | default('none') }}", json!("none")),
        ("{{ 0 | default(1, boolean=true) }}", json!(1)),
    ]);
}

#[test]
fn one_value_has_one_text_however_it_is_written() {
    let mut sample = sample();
    for (value, text) in [
        (json!(100.0), "100"),
        (json!(100), "100"),
        (json!(-0.0), "0"),
        (json!(0.5), "0.5"),
        (json!(true), "true"),
        (json!(false), "false"),
        (json!(null), ""),
        (json!("17.0"), "17.0"),
        (json!([1.0, true, null, "a"]), "[1,true,null,\"a\"]"),
        (json!({ "a": { "b": 2.0 } }), "{\"a\":{\"b\":2}}"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(1e20), "1e+20"),
    ] {
        sample.event.event.data = json!({ "v": value });
        for template in [
            "<{{ event.data.v }}>",
            "{{ '<' ~ event.data.v ~ '>' }}",
            "{{ ['<', event.data.v, '>'] | join }}",
            "{{ '<.>' | replace('.', event.data.v) }}",
            "{{ '<%s>' | format(event.data.v) }}",
            "{% set v = event.data.v %}<{{ v }}>",
            "{% set v %}{{ event.data.v }}{% endset %}<{{ v }}>",
            "{% for v in [event.data.v] %}<{{ v }}>{% endfor %}",
            "<{{ event.data.v | string }}>",
        ] {
            let compiled = Template::parse(template, "", &Limits::default()).unwrap();
            assert_eq!(
                compiled.render(&sample.facts()),
                Ok(json!(format!("<{text}>"))),
                "{template} {value}"
            );
        }
        let alone = Template::parse("{{ event.data.v }}", "", &Limits::default()).unwrap();
        let alone = alone.render(&sample.facts()).unwrap();
        assert_eq!(crate::text::of(&alone), text, "{value}");
        assert!(!alone.to_string().contains(".0") || alone.is_string(), "{alone}");
    }
}

#[test]
fn what_has_no_answer_fails_with_its_place_and_reason() {
    let texts = [
        "{{ event.data.missing * 2 }}",
        "{{ 1 / 0 }}",
        "{{ 9223372036854775807 * 9223372036854775807 }}",
        "{{ 1.5 * 9007199254740993 }}",
        "{{ 2 ** 1000 }}",
        "{{ true + 1 }}",
        "{{ -'a' }}",
        "{{ 'a' < 1 }}",
        "{{ 'x' | int }}",
        "{{ 'inf' | float }}",
        "{{ '99999999999999999999' | int }}",
        "{{ [1] | upper | round }}",
        "{{ [1, 'a'] | sort }}",
        "{{ [1, 'a'] | max }}",
        "{{ ['a'] | sum }}",
        "{{ 5 | length }}",
        "{{ 5 | join }}",
        "{{ 'a' | items }}",
        "{{ 'a'[::0] }}",
        "{{ 'a'['b':] }}",
        "{{ [1][[]] }}",
        "{{ 1 in 2 }}",
        "{{ 1.5 is odd }}",
        "{{ 1 is divisibleby 0 }}",
        "{{ 'a' | replace('', 'b') }}",
        "{{ '%d' | format(1.5) }}",
        "{{ '%s' | format }}",
        "{{ '%x' | format(1) }}",
        "{{ 'a' | format(1) }}",
        "{{ 1.5 | round(99) }}",
        "{{ 1.5 | round(1, 'up') }}",
        "{{ range(1.5) }}",
        "{{ range(1, 5, 0) }}",
        "{% for x in 'abc' %}{% endfor %}",
        "{% for a, b in [1] %}{% endfor %}",
        "one\ntwo {{ 'a' + 1 }}",
    ];
    let errors: Vec<String> = texts.iter().map(|text| format!("{text}\n    {}", render(text))).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    {{ event.data.missing * 2 }}
        {"error":"with.text: * cannot be used with nothing and a number; fill in what is missing with default"}
    {{ 1 / 0 }}
        {"error":"with.text: nothing can be divided by zero"}
    {{ 9223372036854775807 * 9223372036854775807 }}
        {"error":"with.text: the result is larger than numbers can be"}
    {{ 1.5 * 9007199254740993 }}
        {"error":"with.text: a decimal cannot keep the digits of a whole number beyond 9007199254740992"}
    {{ 2 ** 1000 }}
        {"error":"with.text: the result is larger than numbers can be"}
    {{ true + 1 }}
        {"error":"with.text: + cannot be used with true or false and a number"}
    {{ -'a' }}
        {"error":"with.text: - cannot be used with a text"}
    {{ 'a' < 1 }}
        {"error":"with.text: a text and a number have no order; a text becomes a number with the filter float"}
    {{ 'x' | int }}
        {"error":"with.text: a number is needed, not a text that is none: use float, or int(0)"}
    {{ 'inf' | float }}
        {"error":"with.text: a number is needed, not a text that is none: use float, or int(0)"}
    {{ '99999999999999999999' | int }}
        {"error":"with.text: a number is needed, not a text that is none: use float, or int(0)"}
    {{ [1] | upper | round }}
        {"error":"with.text: a number is needed, not a text that is none: use float, or int(0)"}
    {{ [1, 'a'] | sort }}
        {"error":"with.text: what is sorted must be all numbers or all texts"}
    {{ [1, 'a'] | max }}
        {"error":"with.text: a text and a number have no order; a text becomes a number with the filter float"}
    {{ ['a'] | sum }}
        {"error":"with.text: only numbers can be summed, not a text"}
    {{ 5 | length }}
        {"error":"with.text: a number has no length"}
    {{ 5 | join }}
        {"error":"with.text: a list is needed, not a number"}
    {{ 'a' | items }}
        {"error":"with.text: items takes an object, not a text"}
    {{ 'a'[::0] }}
        {"error":"with.text: the step of a slice cannot be 0"}
    {{ 'a'['b':] }}
        {"error":"with.text: a slice takes whole numbers, not a text"}
    {{ [1][[]] }}
        {"error":"with.text: [] takes a number or a text, not a list"}
    {{ 1 in 2 }}
        {"error":"with.text: nothing can be in a number"}
    {{ 1.5 is odd }}
        {"error":"with.text: a whole number is needed, not a number"}
    {{ 1 is divisibleby 0 }}
        {"error":"with.text: nothing is divisible by 0"}
    {{ 'a' | replace('', 'b') }}
        {"error":"with.text: replace needs a text to look for"}
    {{ '%d' | format(1.5) }}
        {"error":"with.text: %d needs a whole number, not a number"}
    {{ '%s' | format }}
        {"error":"with.text: format has fewer values than places"}
    {{ '%x' | format(1) }}
        {"error":"with.text: format knows %s, %d, %f and %%, with a width and decimals up to 64"}
    {{ 'a' | format(1) }}
        {"error":"with.text: format has more values than places"}
    {{ 1.5 | round(99) }}
        {"error":"with.text: precision is a whole number from 0 to 17"}
    {{ 1.5 | round(1, 'up') }}
        {"error":"with.text: method is common, ceil or floor"}
    {{ range(1.5) }}
        {"error":"with.text: range takes whole numbers, not a number"}
    {{ range(1, 5, 0) }}
        {"error":"with.text: the step of a range cannot be 0"}
    {% for x in 'abc' %}{% endfor %}
        {"error":"with.text: a list is needed, not a text"}
    {% for a, b in [1] %}{% endfor %}
        {"error":"with.text: 2 names need a list of as many values, not a number"}
    one
    two {{ 'a' + 1 }}
        {"error":"with.text: + cannot be used with a text and a number (line 2)"}
    "#);
}

#[test]
fn what_the_language_does_not_have_is_refused_with_what_to_write() {
    let texts = [
        "{{ event.data.name.upper() }}",
        "{{ contact.fields.items() }}",
        "{{ event.data.x.get('a') }}",
        "{{ event.data.x.foo() }}",
        "{{ event('x') }}",
        "{{ evnt.data.s[:2] }}",
        "{{ event.dta.s[:2] }}",
        "{{ contact.frist_name[1:] }}",
        "{{ contact[vars.x].y.z | upper }}{{ nobody[vars.x] }}",
        "{{ steps.my-node.output }}",
        "{{ contact.email[0] }}",
        "{{ contact.tags.first }}",
        "{{ event.data.items[] }}",
        "{{ event.data.items[1:2:3:4] }}",
        "{{ event.data.* }}",
        "{{ a | b }}",
        "{{ 'a' | uper }}",
        "{{ 'a' | upper(1) }}",
        "{{ 'a' | replace('b') }}",
        "{{ 'a' | round(precsion=1) }}",
        "{{ 1 | round(1, precision=1) }}",
        "{{ [1] | map }}",
        "{{ [1] | map(vars.x) }}",
        "{{ [1] | map('select') }}",
        "{{ [1] | select(vars.x) }}",
        "{{ [1] | select('fine') }}",
        "{{ [1] | sort(attribute=vars.x) }}",
        "{{ [1] | sort(attribute='a..b') }}",
        "{{ [1] | sort(attribute='a,b') }}",
        "{{ 1 is eq }}",
        "{{ 1 is odd(1) }}",
        "{{ loop.index }}",
        "{% for x in [1] %}{{ loop }}{% endfor %}",
        "{% for x in [1] %}{{ loop.idx }}{% endfor %}",
        "{% for x in [1] recursive %}{% endfor %}",
        "{% for x in [1] %}",
        "{% set loop = 1 %}",
        "{% set if = 1 %}",
        "{% set a.b = 1 %}",
        "{% set x = namespace(1) %}",
        "{{ namespace(a=1) }}",
        "{{ x }}{% set x = 1 %}",
        "{% for x in [1] %}{% endfor %}{{ x }}",
        "{% macro m() %}{% endmacro %}",
        "{% fro x in y %}",
        "{% endif %}",
        "{% else %}",
        "{% raw %}{{ x }}",
        "{{ 1 }}{# open",
        "{{ 'open }}",
        "{{ 'a\\x' }}",
        "{{ 99999999999999999999 }}",
        "{{ 1e999 }}",
        "{{ }}",
        "{{ 1 2 }}",
        "{{ (1 }}",
        "{{ {1 2} }}",
        "{{ a ? b : c }}",
        "{{ a && b }}",
        "{{ if x }}",
        "line\n{{ 1 | upper(2) }}",
    ];
    let problems: Vec<String> = texts.iter().map(|text| format!("{text}\n    {}", render(text))).collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    {{ event.data.name.upper() }}
        {"problem":"with.text: not a template: there are no methods such as upper(): write | upper [bad_template]"}
    {{ contact.fields.items() }}
        {"problem":"with.text: not a template: there are no methods such as items(): write | items [bad_template]"}
    {{ event.data.x.get('a') }}
        {"problem":"with.text: not a template: there are no methods such as get(): write […] | default(…) [bad_template]"}
    {{ event.data.x.foo() }}
        {"problem":"with.text: not a template: there are no methods such as foo(): use a filter [bad_template]"}
    {{ event('x') }}
        {"problem":"with.text: not a template: only range and dict can be called [bad_template]"}
    {{ evnt.data.s[:2] }}
        {"problem":"with.text: nothing is called \"evnt\" here (did you mean \"event\"?) [unknown_field]"}
    {{ event.dta.s[:2] }}
        {"problem":"with.text: \"event.dta.s\" is not a field: event has no dta (did you mean \"data\"?) [unknown_field]"}
    {{ contact.frist_name[1:] }}
        {"problem":"with.text: \"contact.frist_name\" is not a field: contact has no frist_name (did you mean \"first_name\"?) [unknown_field]"}
    {{ contact[vars.x].y.z | upper }}{{ nobody[vars.x] }}
        {"problem":"with.text: nothing is called \"nobody\" here [unknown_field]"}
    {{ steps.my-node.output }}
        {"problem":"with.text: nothing is called \"node\" here (a name that holds a \"-\" stands in quotes, as in steps[\"my-node\"]) [unknown_field]"}
    {{ contact.email[0] }}
        {"problem":"with.text: \"contact.email[0]\" is not a field: email has no members [unknown_field]"}
    {{ contact.tags.first }}
        {"problem":"with.text: \"contact.tags.first\" is not a field: tags is a list: [0] is its first member [unknown_field]"}
    {{ event.data.items[] }}
        {"problem":"with.text: not a template: [] holds nothing: write [0] or [\"name\"] [bad_template]"}
    {{ event.data.items[1:2:3:4] }}
        {"problem":"with.text: not a template: a slice has at most three parts: [from:to:step] [bad_template]"}
    {{ event.data.* }}
        {"problem":"with.text: not a template: a name after the dot is expected, and * comes [bad_template]"}
    {{ a | b }}
        {"problem":"with.text: nothing is called \"a\" here [unknown_field]"}
    {{ 'a' | uper }}
        {"problem":"with.text: not a template: there is no filter \"uper\" (did you mean \"upper\"?) [bad_template]"}
    {{ 'a' | upper(1) }}
        {"problem":"with.text: not a template: the filter upper takes nothing [bad_template]"}
    {{ 'a' | replace('b') }}
        {"problem":"with.text: not a template: the filter replace needs new [bad_template]"}
    {{ 'a' | round(precsion=1) }}
        {"problem":"with.text: not a template: the filter round takes no precsion (did you mean \"precision\"?) [bad_template]"}
    {{ 1 | round(1, precision=1) }}
        {"problem":"with.text: not a template: the filter round is given precision twice [bad_template]"}
    {{ [1] | map }}
        {"problem":"with.text: not a template: map takes attribute=\"…\" and default, or the name of a filter [bad_template]"}
    {{ [1] | map(vars.x) }}
        {"problem":"with.text: not a template: the name of the filter is a text in quotes, and cannot be computed [bad_template]"}
    {{ [1] | map('select') }}
        {"problem":"with.text: not a template: map cannot take select: use {% for %} [bad_template]"}
    {{ [1] | select(vars.x) }}
        {"problem":"with.text: not a template: the name of the test is a text in quotes, and cannot be computed [bad_template]"}
    {{ [1] | select('fine') }}
        {"problem":"with.text: not a template: there is no test \"fine\" [bad_template]"}
    {{ [1] | sort(attribute=vars.x) }}
        {"problem":"with.text: not a template: the path of a member is a text in quotes, and cannot be computed [bad_template]"}
    {{ [1] | sort(attribute='a..b') }}
        {"problem":"with.text: not a template: \"a..b\" is no path of a member: a name is missing before or after a dot [bad_template]"}
    {{ [1] | sort(attribute='a,b') }}
        {"problem":"with.text: not a template: the path of a member names one member [bad_template]"}
    {{ 1 is eq }}
        {"problem":"with.text: not a template: a value is expected, and }} comes [bad_template]"}
    {{ 1 is odd(1) }}
        {"problem":"with.text: not a template: the test odd takes nothing [bad_template]"}
    {{ loop.index }}
        {"problem":"with.text: not a template: there is no loop here [bad_template]"}
    {% for x in [1] %}{{ loop }}{% endfor %}
        {"problem":"with.text: not a template: loop needs a member after it: index, index0, first, last, length, … [bad_template]"}
    {% for x in [1] %}{{ loop.idx }}{% endfor %}
        {"problem":"with.text: not a template: loop has no idx [bad_template]"}
    {% for x in [1] recursive %}{% endfor %}
        {"problem":"with.text: not a template: a loop cannot be recursive [bad_template]"}
    {% for x in [1] %}
        {"problem":"with.text: not a template: {% endfor %} is missing [bad_template]"}
    {% set loop = 1 %}
        {"problem":"with.text: not a template: a variable cannot be called loop [bad_template]"}
    {% set if = 1 %}
        {"problem":"with.text: not a template: a variable cannot be called if [bad_template]"}
    {% set a.b = 1 %}
        {"problem":"with.text: not a template: members can be set of a namespace only: begin with {% set a = namespace(b=…) %} [bad_template]"}
    {% set x = namespace(1) %}
        {"problem":"with.text: not a template: its members need names: dict(a=1) [bad_template]"}
    {{ namespace(a=1) }}
        {"problem":"with.text: not a template: a namespace stands alone in set: {% set name = namespace(…) %} [bad_template]"}
    {{ x }}{% set x = 1 %}
        {"problem":"with.text: nothing is called \"x\" here [unknown_field]"}
    {% for x in [1] %}{% endfor %}{{ x }}
        {"problem":"with.text: nothing is called \"x\" here [unknown_field]"}
    {% macro m() %}{% endmacro %}
        {"problem":"with.text: not a template: there is no {% macro %}: there are no macros; use for, or set with endset [bad_template]"}
    {% fro x in y %}
        {"problem":"with.text: not a template: there is no statement fro here (did you mean \"for\"?) [bad_template]"}
    {% endif %}
        {"problem":"with.text: not a template: there is no statement endif here [bad_template]"}
    {% else %}
        {"problem":"with.text: not a template: there is no statement else here [bad_template]"}
    {% raw %}{{ x }}
        {"problem":"with.text: not a template: {% raw %} has no {% endraw %} [bad_template]"}
    {{ 1 }}{# open
        {"problem":"with.text: not a template: the comment has no #} [bad_template]"}
    {{ 'open }}
        {"problem":"with.text: not a template: the closing quote is missing [bad_template]"}
    {{ 'a\x' }}
        {"problem":"with.text: not a template: a \\ in quotes is followed by one of \\ / \" ' n r t u [bad_template]"}
    {{ 99999999999999999999 }}
        {"problem":"with.text: not a template: the number 99999999999999999999 is too large [bad_template]"}
    {{ 1e999 }}
        {"problem":"with.text: not a template: the number 1e999 is too large [bad_template]"}
    {{ }}
        {"problem":"with.text: not a template: a value is expected, and }} comes [bad_template]"}
    {{ 1 2 }}
        {"problem":"with.text: not a template: }} is expected, and 2 comes [bad_template]"}
    {{ (1 }}
        {"problem":"with.text: not a template: {{ has no }} [bad_template]"}
    {{ {1 2} }}
        {"problem":"with.text: not a template: : is expected, and 2 comes [bad_template]"}
    {{ a ? b : c }}
        {"problem":"with.text: not a template: ? means nothing here [bad_template]"}
    {{ a && b }}
        {"problem":"with.text: not a template: & means nothing here [bad_template]"}
    {{ if x }}
        {"problem":"with.text: not a template: a value is expected, and if comes [bad_template]"}
    line
    {{ 1 | upper(2) }}
        {"problem":"with.text: not a template: the filter upper takes nothing (line 2) [bad_template]"}
    "#);
}

/// What is not on the page is refused; what is refused is not on the page.
#[test]
fn every_filter_test_and_function_stands_in_the_documentation_and_no_other() {
    let page = include_str!("../../../../docs/templates.md");
    let section = |heading: &str| {
        let section = page.split_once(&format!("## {heading}\n")).unwrap().1;
        section.split("\n## ").next().unwrap()
    };
    let words = |text: &str| -> BTreeSet<String> {
        let spans = text.split('`').skip(1).step_by(2);
        let first = |span: &str| span.split(['(', ' ']).next().unwrap_or_default().to_owned();
        spans
            .map(first)
            .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()) && !word.is_empty())
            .collect()
    };
    let first_cells: String = section("Filters")
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|row| row.split('|').next())
        .collect();
    let known: BTreeSet<String> = filters::names()
        .chain(["map", "reject", "rejectattr", "select", "selectattr"])
        .map(str::to_owned)
        .collect();
    let named: BTreeSet<String> =
        section("Filters").split('`').skip(1).step_by(2).map(str::to_owned).collect();
    for name in &known {
        assert!(
            named.iter().any(|span| span.split(['(', ' ']).next() == Some(name)),
            "{name} is not described"
        );
    }
    for name in words(&first_cells) {
        let is_argument = ["reverse", "start", "attribute"].contains(&name.as_str()) || name.contains('_');
        assert!(known.contains(&name) || is_argument, "there is no filter {name}");
    }
    let predicates: BTreeSet<String> = predicates::names().map(str::to_owned).collect();
    let described = words(section("Tests"));
    assert_eq!(predicates.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new());
    for name in described.difference(&predicates) {
        assert!(["value"].contains(&name.as_str()), "there is no test {name}");
    }
}
