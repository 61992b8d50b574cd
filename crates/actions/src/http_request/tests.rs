use super::*;
use automation_domain::budget::Budget;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::id::{IdempotencyKey, RecordId};
use automation_domain::limits::Limits;
use automation_domain::workflow;
use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

fn request(config: &Value) -> Result<HttpRequest, StepError> {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let facts = Facts {
        event: None,
        contact: None,
        run: None,
        past: automation_domain::past::Past::Unknown,
        tenant: TenantFacts::new("acme", "UTC"),
        now,
        budget: &Budget::default(),
    };
    let step = StepContext {
        facts,
        record_id: RecordId(Uuid::from_u128(7)),
        idempotency_key: IdempotencyKey(Uuid::from_u128(9)),
    };
    match prepare(config, &step)? {
        Prepared::Request(Request::Http(request)) => Ok(request),
        other @ (Prepared::Changes { .. } | Prepared::Directive { .. }) => panic!("{other:?}"),
    }
}

fn prepared(config: Value) -> HttpRequest {
    request(&config).unwrap_or_else(|error| panic!("{config}: {error:?}"))
}

#[test]
fn a_request_is_complete_before_it_is_sent() {
    let request = prepared(json!({
        "method": "post",
        "url": "https://api.example.com/v1/things#top",
        "query": { "mail": "a+b@c.d" },
        "headers": { "X-Tries": 3, "X-None": null },
        "body": { "json": { "b": [1, null], "a": "x" } },
        "credential": "crm",
        "redirects": 2,
        "save": { "id": "body.items.0.id" },
    }));
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({
            "method": "POST",
            "url": "https://api.example.com/v1/things?mail=a%2Bb%40c.d",
            "headers": [
                ["X-Tries", "3"],
                ["Content-Type", "application/json"],
                ["Idempotency-Key", "00000000-0000-0000-0000-000000000009"],
            ],
            "body": r#"{"a":"x","b":[1,null]}"#,
            "credential": "crm",
            "timeout_ms": 30_000,
            "redirects": 2,
            "save": { "id": "body.items.0.id" },
        })
    );
}

#[test]
fn a_url_alone_is_enough() {
    let request = prepared(json!({ "url": " https://example.com/ " }));
    assert_eq!((request.method.as_str(), request.url.as_str()), ("GET", "https://example.com/"));
    assert_eq!((request.body, request.credential, request.redirects), (None, None, 0));
    assert_eq!(request.headers.len(), 1);
}

#[test]
fn no_value_can_change_the_rest_of_the_url() {
    for (value, encoded) in [
        (json!("a&admin=1"), "a%26admin%3D1"),
        (json!("a#b"), "a%23b"),
        (json!("../../x"), "..%2F..%2Fx"),
        (json!("a b+c%"), "a%20b%2Bc%25"),
        (json!("a\r\nHost: x"), "a%0D%0AHost%3A%20x"),
        (json!("größe"), "gr%C3%B6%C3%9Fe"),
        (json!(1.5), "1.5"),
        (json!(17.0), "17"),
        (json!(false), "false"),
    ] {
        let request = prepared(json!({ "url": "https://example.com/?x=1", "query": { "q": value } }));
        assert_eq!(request.url, format!("https://example.com/?x=1&q={encoded}"));
    }
    let many =
        prepared(json!({ "url": "https://e.com", "query": { "a": [1, null, "x"], "b": null, "c d": "" } }));
    assert_eq!(many.url, "https://e.com?a=1&a=x&c%20d=");
}

#[test]
fn a_body_has_one_of_three_forms() {
    for (body, text, content_type) in [
        (json!({"json": "x"}), "\"x\"", "application/json"),
        (json!({"json": null}), "null", "application/json"),
        (json!({"text": "a\nb"}), "a\nb", "text/plain; charset=utf-8"),
        (json!({"text": 7}), "7", "text/plain; charset=utf-8"),
        (json!({"text": [17.0, true, null]}), "[17,true,null]", "text/plain; charset=utf-8"),
        (json!({"form": {"a": "x y", "b": [1, 2]}}), "a=x%20y&b=1&b=2", "application/x-www-form-urlencoded"),
    ] {
        let request = prepared(json!({ "method": "PUT", "url": "https://e.com", "body": body }));
        assert_eq!(request.body.as_deref(), Some(text));
        assert!(request.headers.contains(&("Content-Type".to_owned(), content_type.to_owned())));
    }
    let own = prepared(json!({
        "method": "POST", "url": "https://e.com", "headers": { "content-type": "application/xml" },
        "body": { "text": "<a/>" },
    }));
    assert_eq!(own.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).count(), 1);
}

#[test]
fn unacceptable_requests_are_refused_with_their_reason() {
    let url = "https://example.com/";
    for (config, reason) in [
        (json!({}), "url is empty"),
        (json!({"url": "example.com"}), "does not begin with https"),
        (json!({"url": "ftp://example.com"}), "does not begin with https"),
        (json!({"url": "https://example.com/a b"}), "white space"),
        (json!({"url": "https://example.com/\r\nX"}), "white space"),
        (json!({"url": format!("{url}{}", "a".repeat(8_192))}), "at most 8192"),
        (json!({"url": url, "query": {"a": "ä".repeat(3_000)}}), "with its query"),
        (json!({"url": url, "query": {"a": {"b": 1}}}), "query.a must be text"),
        (json!({"url": url, "query": "a=b"}), "query must be an object"),
        (json!({"url": url, "method": "TRACE"}), "none of GET, HEAD"),
        (json!({"url": url, "headers": {"A": "x\r\nB: y"}}), "line break"),
        (json!({"url": url, "headers": {"A\r\nB": "y"}}), "not the name of a header"),
        (json!({"url": url, "headers": {"Host": "y"}}), "cannot be set"),
        (json!({"url": url, "headers": {"aUthorization": "Bearer x"}}), "name a credential"),
        (json!({"url": url, "headers": {"cookie": "a=b"}}), "name a credential"),
        (json!({"url": url, "headers": {"idempotency-key": "1"}}), "set by the engine"),
        (json!({"url": url, "headers": {"X-A": "1", "x-a": "2"}}), "stands twice"),
        (json!({"url": url, "headers": {"X-A": [1]}}), "headers.X-A must be text"),
        (json!({"url": url, "headers": []}), "headers must be an object"),
        (json!({"url": url, "body": {"json": 1}}), "a GET request has no body"),
        (json!({"url": url, "method": "POST", "body": {}}), "exactly one of"),
        (json!({"url": url, "method": "POST", "body": {"json": 1, "text": "a"}}), "exactly one of"),
        (json!({"url": url, "method": "POST", "body": {"xml": 1}}), "no \"xml\""),
        (json!({"url": url, "method": "POST", "body": "x"}), "body must be an object"),
        (json!({"url": url, "method": "POST", "body": {"text": "\u{0}"}}), "U+0000"),
        (json!({"url": url, "method": "POST", "body": {"text": "a".repeat(1_048_577)}}), "at most 1048576"),
        (json!({"url": url, "credential": "The CRM"}), "not a key"),
        (json!({"url": url, "redirects": 11}), "0 to 10"),
        (json!({"url": url, "redirects": -1}), "0 to 10"),
        (json!({"url": url, "redirects": "two"}), "0 to 10"),
        (json!({"url": url, "save": {"a": "body..x"}}), "not a path"),
        (json!({"url": url, "save": {"a": "cookies.x"}}), "not a path"),
        (json!({"url": url, "save": {"a": "body.items.*"}}), "* stands for nothing"),
        (json!({"url": url, "save": {"a": "body.items[]"}}), "write [0]"),
        (json!({"url": url, "save": {"a": "body.first name"}}), "write [\"…\"]"),
        (json!({"url": url, "save": {"a": "body "}}), "blanks at its ends"),
        (json!({"url": url, "save": {"a": "status.code"}}), "it takes status"),
        (json!({"url": url, "save": {"a": "headers[\"x y\"]"}}), "it takes status"),
        (json!({"url": url, "save": {"a": 1}}), "not a text"),
        (json!({"url": url, "save": {"1a": "body"}}), "not the name of a variable"),
    ] {
        let error = request(&config).expect_err(&config.to_string());
        assert_eq!(error.code, "invalid_config");
        assert!(error.message.contains(reason), "{config}: {}", error.message);
    }
    let many: Map<String, Value> = (0..65).map(|number| (format!("x-{number}"), json!(1))).collect();
    assert!(request(&json!({ "url": url, "headers": many })).unwrap_err().message.contains("at most 64"));
}

/// What a person does to a request.
type Edit = dyn Fn(&mut HttpRequest);

#[test]
fn a_request_written_by_hand_keeps_the_rules_of_workflows() {
    fn own(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }
    let good = {
        let headers: Map<String, Value> = (0..64).map(|number| (format!("x-{number}"), json!(1))).collect();
        prepared(
            json!({ "method": "POST", "url": "https://e.com", "headers": headers, "body": { "json": 1 } }),
        )
    };
    assert_eq!((good.headers.len(), check_edited(&good)), (66, Ok(())), "what was stored may be sent again");
    let edits: [(&str, &Edit); 11] = [
        ("GET request has no body", &|request| request.method = "GET".to_owned()),
        ("HEAD request has no body", &|request| request.method = "HEAD".to_owned()),
        ("not in upper case", &|request| request.method = "post".to_owned()),
        ("at most 1048576", &|request| request.body = Some("a".repeat(1_048_577))),
        ("U+0000", &|request| request.body = Some("\0".to_owned())),
        ("timeout_ms is 0", &|request| request.timeout_ms = 0),
        ("timeout_ms is 600001", &|request| request.timeout_ms = 600_001),
        ("65 members", &|request| request.headers.push(own("x-a", "1"))),
        ("stands twice", &|request| request.headers[1] = request.headers[0].clone()),
        ("stands twice", &|request| request.headers[1] = own("content-TYPE", "text/plain")),
        ("carries a secret", &|request| request.headers[1] = own("Cookie", "a=b")),
    ];
    for (reason, edit) in edits {
        let mut edited = good.clone();
        edit(&mut edited);
        let error = check_edited(&edited).expect_err(reason);
        assert!(error.message.contains(reason), "{reason}: {}", error.message);
    }
}

/// What publishing says of a call with these options.
fn told(with: Value) -> Vec<String> {
    let definition = json!({
        "apiVersion": "automation/v1", "key": "w", "triggers": [{ "id": "go", "event": "form.submitted" }],
        "nodes": [{ "id": "call", "action": "http_request", "with": with }], "edges": [["go", "call"]],
    });
    let compiled = workflow::parse_value(&definition, crate::node_types(), &Limits::default());
    compiled.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn what_can_never_be_sent_is_refused_with_the_workflow_in_words() {
    let url = "https://a.example/";
    for (with, expected) in [
        (
            json!({ "url": "https://a.example:99999/x" }),
            "with.url: url has the port 99999; a port is a number from 1 to 65535",
        ),
        (json!({ "url": "https://[::1]:0/" }), "with.url: url has the port 0"),
        (
            json!({ "url": "https://ada:pw@a.example/" }),
            "with.url: url has a user before its host; name a credential",
        ),
        (json!({ "url": "https:///x" }), "with.url: url has no host"),
        (
            json!({ "url": url, "body": { "json": {} } }),
            "with.body: a GET request has no body; set method to POST",
        ),
        (json!({ "url": url, "method": "HEAD", "body": { "text": "x" } }), "a HEAD request has no body"),
        (
            json!({ "url": url, "method": "POST", "body": { "json": {}, "text": "x" } }),
            "exactly one of json, text and form",
        ),
        (
            json!({ "url": url, "headers": { "Authorization": "Bearer x" } }),
            "the header \"Authorization\" carries a secret; name a credential",
        ),
        (
            json!({ "url": url, "save": { "b": "bdy.x" } }),
            "with.save.b: save.b is not a path in the response",
        ),
    ] {
        let problems = told(with.clone());
        assert!(matches!(problems.as_slice(), [one] if one.contains(expected)), "{with}: {problems:?}");
    }
    for with in [
        json!({ "url": "https://[2001:db8::1]:8443/x?y=a@b:c#z" }),
        json!({ "url": "https://{{ event.data.host }}:99999/" }),
        json!({ "url": url, "method": "{{ event.data.method }}", "body": { "json": {} } }),
        json!({ "url": url, "method": "POST", "body": { "json": {} } }),
    ] {
        assert_eq!(told(with.clone()), Vec::<String>::new(), "{with}");
    }
}
