use super::*;
use crate::Authorization;
use automation_domain::credential::Scheme;
use reqwest::StatusCode;
use std::collections::BTreeMap;

const BOUNDS: Bounds = Bounds { response_bytes: 1024, kept_bytes: 64, output_bytes: 400, json_depth: 8 };

fn answer(headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    Answer { status: StatusCode::OK, headers: map, body: body.to_vec(), ended: Ended::Complete }
}

fn json_answer(body: &str) -> Answer {
    answer(&[("content-type", "application/json; charset=utf-8")], body.as_bytes())
}

fn no_mask() -> Mask {
    Mask::new(None)
}

fn mask() -> Mask {
    Mask::new(Some(&Authorization::new(Scheme::Bearer, vec![], b"canary/secret").unwrap()))
}

fn request(save: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: "https://example.com/".to_owned(),
        headers: vec![],
        body: None,
        credential: None,
        timeout_ms: 1_000,
        redirects: 0,
        save: save
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn done(bounds: Bounds, answer: &Answer, mask: &Mask, save: &[(&str, &str)]) -> (Value, Map<String, Value>) {
    match bounds.outcome(&bounds.see(answer, mask), &request(save)) {
        Outcome::Done { output, vars } => (output, vars),
        other @ (Outcome::Retry { .. } | Outcome::Failed { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn a_body_is_json_where_it_says_so_and_text_elsewhere() {
    for (headers, body, expected) in [
        (&[("content-type", "application/json")][..], r#"{"a":1}"#, json!({"a": 1})),
        (&[("content-type", "application/problem+json")], "[1]", json!([1])),
        (&[("content-type", "text/plain")], "1", json!("1")),
        (&[], r#" {"a":1}"#, json!({"a": 1})),
        (&[], "1", json!("1")),
        (&[("content-type", "application/json")], "{broken", json!("{broken")),
        (&[("content-type", "application/json")], r#"{"a":1,"a":2}"#, json!(r#"{"a":1,"a":2}"#)),
        (&[("content-type", "application/json")], r#""\u0000""#, json!(r#""\u0000""#)),
        (&[("content-type", "application/json")], "[[[[[[[[[1]]]]]]]]]", json!("[[[[[[[[[1]]]]]]]]]")),
        (&[("content-type", "application/json")], "", Value::Null),
        (&[], "a\0b", json!("a\u{fffd}b")),
    ] {
        assert_eq!(
            done(BOUNDS, &answer(headers, body.as_bytes()), &no_mask(), &[]).0["body"],
            expected,
            "{body}"
        );
    }
}

#[test]
fn what_is_no_text_is_left_out_and_says_so() {
    for (answer, why) in [
        (answer(&[], b"\xff\x00"), "its bytes are not UTF-8"),
        (
            answer(&[("content-encoding", "gzip")], b"\x1f\x8b"),
            "it is coded as gzip, which was not asked for",
        ),
    ] {
        let seen = BOUNDS.see(&answer, &no_mask());
        assert_eq!((seen.kept.body.as_str(), seen.kept.truncated), ("", true));
        let (output, _) = done(BOUNDS, &answer, &no_mask(), &[("s", "status")]);
        assert_eq!((&output["body"], &output["body_unreadable"]), (&Value::Null, &json!(why)));
    }
    let (output, _) = done(BOUNDS, &json_answer("{broken"), &no_mask(), &[]);
    assert_eq!(output["body"], "{broken");
    assert!(output["body_unreadable"].as_str().is_some_and(|why| why.contains("not valid JSON")), "{output}");
    assert_eq!(done(BOUNDS, &json_answer("{}"), &no_mask(), &[]).0.get("body_unreadable"), None);
}

#[test]
fn what_save_looks_for_must_be_in_an_answer_that_can_be_read() {
    let broken = json_answer(r#"{"id":1,"id":2}"#);
    let packed = answer(&[("content-encoding", "gzip")], b"\x1f\x8b");
    let page = answer(&[("content-type", "text/html")], b"<h1>Back soon</h1>");
    let nothing = json_answer("");
    for (answer, path, fails) in [
        (&broken, "body.id", true),
        (&broken, "body", true),
        (&broken, "status", false),
        (&packed, "body", true),
        (&packed, "headers.content-encoding", false),
        (&page, "body.id", true),
        (&page, "body", false),
        (&nothing, "body.id", false),
    ] {
        let outcome = BOUNDS.outcome(&BOUNDS.see(answer, &no_mask()), &request(&[("v", path)]));
        match outcome {
            Outcome::Failed { error } if fails => {
                assert_eq!(error.code, "response_unreadable");
                assert!(
                    error.message.contains(&format!("save.v cannot look for {path}")),
                    "{}",
                    error.message
                );
            }
            Outcome::Done { .. } if !fails => {}
            other @ (Outcome::Done { .. } | Outcome::Retry { .. } | Outcome::Failed { .. }) => {
                panic!("{path}: {other:?}")
            }
        }
    }
}

#[test]
fn a_reason_that_quotes_the_answer_is_short_and_without_secrets() {
    let key = format!("canary/secret{}", "x".repeat(900));
    let twice = json_answer(&format!(r#"{{"{key}":1,"{key}":2}}"#));
    let bounds = Bounds { output_bytes: 4_000, ..BOUNDS };
    let (output, _) = done(bounds, &twice, &mask(), &[]);
    let why = output["body_unreadable"].as_str().unwrap();
    assert!(why.len() <= 300 && why.contains("***xxx") && !why.contains("canary"), "{why}");
}

#[test]
fn paths_find_what_is_there_and_null_elsewhere() {
    let mut answer = json_answer(r#"{"items":[{"id":7}],"name":null,"a.b":1}"#);
    answer.headers.append("x-page", "1".parse().unwrap());
    answer.headers.append("x-page", "2".parse().unwrap());
    let paths = [
        ("status", json!(200)),
        ("headers.X-Page", json!("1, 2")),
        ("headers.none", Value::Null),
        ("body.items[0].id", json!(7)),
        ("body.items.0.id", json!(7)),
        ("body[\"a.b\"]", json!(1)),
        ("headers['X-Page']", json!("1, 2")),
        ("body.items.1.id", Value::Null),
        ("body.items.x", Value::Null),
        ("body.name", Value::Null),
        ("body.name.first", Value::Null),
        ("body.items", json!([{"id": 7}])),
    ];
    for (path, expected) in paths {
        assert_eq!(done(BOUNDS, &answer, &no_mask(), &[("v", path)]).1["v"], expected, "{path}");
    }
}

#[test]
fn secrets_are_nowhere() {
    let mut answer = json_answer(
        r#"{"echo":"Bearer canary/secret","escaped":"canary\/secret","unicode":"\u0063anary\u002fsecret"}"#,
    );
    answer.headers.insert("x-echo", "canary/secret".parse().unwrap());
    answer.headers.insert("set-cookie", "session=1".parse().unwrap());
    answer.headers.insert("www-authenticate", "Bearer".parse().unwrap());
    answer.headers.insert("x-auth-token", "abc".parse().unwrap());
    let bounds = Bounds { kept_bytes: 1024, ..BOUNDS };
    let seen = bounds.see(&answer, &mask());
    let (output, vars) = done(
        bounds,
        &answer,
        &mask(),
        &[("v", "body.unicode"), ("h", "headers.x-echo"), ("c", "headers.set-cookie")],
    );
    let all = format!("{:?} {output} {vars:?}", seen.kept);
    for canary in ["canary", "anary", "set-cookie", "session=1", "www-authenticate", "abc"] {
        assert!(!all.contains(canary), "{canary}: {all}");
    }
    assert_eq!((&vars["v"], &vars["h"], &vars["c"]), (&json!("***"), &json!("***"), &Value::Null));
}

#[test]
fn a_secret_that_was_cut_off_is_not_kept_in_part() {
    let mut answer = answer(&[], b"0123456789 canary/secr");
    answer.ended = Ended::TooLarge { limit: 22 };
    let seen = BOUNDS.see(&answer, &mask());
    assert!(!seen.kept.body.contains("can"), "{}", seen.kept.body);
    assert!(seen.kept.truncated);
}

#[test]
fn the_output_stays_within_its_limit_whatever_the_body_is() {
    let texts = ["x".repeat(1_000), "\"".repeat(1_000), "\u{1}".repeat(1_000), "é".repeat(500)];
    for text in &texts {
        let (output, _) = done(BOUNDS, &answer(&[], text.as_bytes()), &no_mask(), &[]);
        let size = json::size_bytes(&output);
        assert!(size <= BOUNDS.output_bytes && size > BOUNDS.output_bytes / 2, "{size}: {output}");
        assert_eq!(output["truncated"], true);
    }
    let large = format!("[{}]", vec!["1"; 400].join(","));
    let (output, vars) = done(BOUNDS, &json_answer(&large), &no_mask(), &[("last", "body.399")]);
    assert!(output["body"].as_str().is_some_and(|body| body.starts_with("[1,1")), "{output}");
    assert_eq!(vars["last"], 1);
    let mut headers = answer(&[], b"x");
    headers.headers.insert("x-long", "y".repeat(1_000).parse().unwrap());
    assert!(json::size_bytes(&done(BOUNDS, &headers, &no_mask(), &[]).0) <= BOUNDS.output_bytes);
}

#[test]
fn what_is_to_be_saved_is_bounded_too() {
    let large = format!("[{}]", vec!["1"; 400].join(","));
    let seen = BOUNDS.see(&json_answer(&large), &no_mask());
    let outcome = BOUNDS.outcome(&seen, &request(&[("all", "body")]));
    assert!(matches!(&outcome, Outcome::Failed { error } if error.code == "output_too_large"), "{outcome:?}");
}

#[test]
fn history_keeps_the_beginning() {
    let answer = answer(&[("x-a", "1")], "é".repeat(100).as_bytes());
    let kept = BOUNDS.see(&answer, &no_mask()).kept;
    assert_eq!(
        (kept.status, kept.headers, kept.truncated),
        (200, vec![("x-a".to_owned(), "1".to_owned())], true)
    );
    assert_eq!(kept.body, "é".repeat(32));
}
