//! Tables of messages and what becomes of them.

use super::*;
use crate::event::encode::to_cloudevent;
use proptest::prelude::*;
use serde_json::json;

fn order() -> Value {
    json!({
        "specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.created", "subject": "c-1",
        "time": "2026-01-31T12:00:00.5+01:00", "tenantid": "acme", "data": {"total": 20},
    })
}

fn order_with(name: &str, value: Value) -> Value {
    let mut event = order();
    event[name] = value;
    event
}

fn order_without(name: &str) -> Value {
    let mut event = order();
    event.as_object_mut().unwrap().remove(name);
    event
}

fn read_as(content_type: Option<&str>, body: &[u8]) -> Result<Members, Refusal> {
    let envelope = Envelope { content_type, routing_key: "order.created", body, ..Envelope::default() };
    read(&envelope, &Limits::default())
}

fn one(body: &Value) -> Result<Event, Refusal> {
    read_as(Some(STRUCTURED), body.to_string().as_bytes())
        .map(|members| members.into_iter().next().unwrap().outcome.unwrap())
}

fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn structured_event_is_read_whole() {
    let mut body = order();
    body["correlationid"] = json!("k");
    body["causationid"] = json!("p");
    body["causationdepth"] = json!("3");
    body["traceparent"] = json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    body["tracestate"] = json!("a=b");
    body["dataschema"] = json!("https://example.com/schema");
    body["partitionkey"] = json!({"unknown": "extensions are ignored"});
    let event = one(&body).unwrap();
    assert_eq!((event.id.as_str(), event.source.as_str(), event.tenant.as_str()), ("e-1", "/shop", "acme"));
    assert_eq!(event.time.to_rfc3339(), "2026-01-31T11:00:00.500+00:00");
    assert_eq!((event.subject.as_deref(), event.causation_depth), (Some("c-1"), 3));
    assert_eq!((event.correlation_id.as_deref(), event.causation_id.as_deref()), (Some("k"), Some("p")));
    assert!(event.traceparent.is_some() && event.tracestate.is_some());
    assert_eq!(event.data, json!({"total": 20}));
    assert_eq!(one(&to_cloudevent(&event)).unwrap(), event, "encoding and reading back changes nothing");
}

#[test]
fn each_broken_rule_has_its_code() {
    let long = |length: usize| json!("a".repeat(length));
    let cases = [
        (order_without("specversion"), "missing_attribute"),
        (order_without("id"), "missing_attribute"),
        (order_without("source"), "missing_attribute"),
        (order_without("type"), "missing_attribute"),
        (order_without("time"), "missing_attribute"),
        (order_without("tenantid"), "missing_attribute"),
        (order_with("id", Value::Null), "missing_attribute"),
        (order_with("specversion", json!("0.3")), "unsupported_specversion"),
        (order_with("id", json!(7)), "attribute_invalid"),
        (order_with("id", json!("")), "attribute_invalid"),
        (order_with("id", json!("a\nb")), "attribute_invalid"),
        (order_with("id", long(257)), "attribute_too_long"),
        (order_with("source", long(513)), "attribute_too_long"),
        (order_with("subject", long(257)), "attribute_too_long"),
        (order_with("subject", json!("")), "attribute_invalid"),
        (order_with("type", long(129)), "attribute_too_long"),
        (order_with("type", json!("Order.Created")), "attribute_invalid"),
        (order_with("type", json!("order..created")), "attribute_invalid"),
        (order_with("type", json!("order.*")), "attribute_invalid"),
        (order_with("type", json!("order.paid")), "routing_key_mismatch"),
        (order_with("time", json!("yesterday")), "attribute_invalid"),
        (order_with("time", json!("2026-13-01T00:00:00Z")), "attribute_invalid"),
        (order_with("tenantid", json!("Acme")), "attribute_invalid"),
        (order_with("tenantid", long(64)), "attribute_too_long"),
        (order_with("causationdepth", json!(-1)), "attribute_invalid"),
        (order_with("causationdepth", json!(65536)), "attribute_invalid"),
        (order_with("causationdepth", json!(1.5)), "attribute_invalid"),
        (order_with("causationdepth", json!("many")), "attribute_invalid"),
        (order_with("datacontenttype", json!("text/plain")), "unsupported_datacontenttype"),
        (order_with("data_base64", json!("AA==")), "data_base64"),
        (order_with("data", json!([1])), "data_not_object"),
        (order_with("data", json!("text")), "data_not_object"),
        (order_with("data", json!({"text": "a\u{0}b"})), "nul_character"),
        (order_with("data", json!({"text": "x".repeat(300_000)})), "event_too_large"),
        (json!([]), "not_an_event"),
        (json!("text"), "not_an_event"),
    ];
    for (body, code) in cases {
        let refusal = one(&body).expect_err(&body.to_string());
        assert_eq!(refusal.code, code, "{}", refusal.detail);
    }
}

#[test]
fn bytes_that_are_not_strict_json_are_refused() {
    for (body, code) in [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        (r#"{"data":1e400}"#, "malformed_json"),
        (r#"{"data":"\ud800"}"#, "malformed_json"),
        (r#"{"id":"1","id":"2"}"#, "duplicate_key"),
        (&format!("{}1{}", "[".repeat(65), "]".repeat(65)), "json_too_deep"),
    ] {
        assert_eq!(read_as(Some(STRUCTURED), body.as_bytes()).unwrap_err().code, code, "{body}");
    }
}

#[test]
fn missing_or_null_data_is_an_empty_object() {
    assert_eq!(one(&order_without("data")).unwrap().data, json!({}));
    assert_eq!(one(&order_with("data", Value::Null)).unwrap().data, json!({}));
}

#[test]
fn unusable_trace_context_is_dropped_not_refused() {
    let mut body = order_with("traceparent", json!("no such thing"));
    body["tracestate"] = json!("a=b");
    let event = one(&body).unwrap();
    assert_eq!((event.traceparent, event.tracestate), (None, None));
}

#[test]
fn the_time_a_publisher_stamps_is_not_part_of_the_body() {
    let later = order_with("time", json!("2027-01-01T00:00:00Z"));
    assert_eq!(one(&order()).unwrap().body_hash, one(&later).unwrap().body_hash);
    let other = order_with("data", json!({"total": 21}));
    assert_ne!(one(&order()).unwrap().body_hash, one(&other).unwrap().body_hash);
}

#[test]
fn content_types_decide_the_mode() {
    let body = order().to_string();
    for accepted in [
        None,
        Some(""),
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("Application/CloudEvents+JSON; charset=utf-8"),
    ] {
        assert!(read_as(accepted, body.as_bytes()).is_ok(), "{accepted:?}");
    }
    let refusal = read_as(Some("text/plain"), body.as_bytes()).unwrap_err();
    assert_eq!(refusal.code, "unsupported_content_type");
}

#[test]
fn binary_mode_reads_every_spelling_of_its_headers() {
    for prefix in ["cloudevents:", "cloudevents_", "ce-"] {
        let pairs = [
            ("specversion", "1.0"),
            ("id", "e-1"),
            ("source", "/shop"),
            ("type", "order.created"),
            ("subject", "c-1"),
            ("time", "2026-01-31T11:00:00.5Z"),
            ("tenantid", "acme"),
        ];
        let headers =
            pairs.iter().map(|(name, value)| (format!("{prefix}{name}"), (*value).to_owned())).collect();
        let envelope = Envelope {
            content_type: Some("application/json"),
            headers,
            routing_key: "order.created",
            body: br#"{"total": 20}"#,
        };
        let event = read(&envelope, &Limits::default()).unwrap().remove(0).outcome.unwrap();
        assert_eq!(event, one(&order()).unwrap());
        let empty = Envelope { body: b"", ..envelope };
        assert_eq!(read(&empty, &Limits::default()).unwrap().remove(0).outcome.unwrap().data, json!({}));
    }
}

#[test]
fn http_headers_are_percent_decoded() {
    for (text, decoded) in [("a%20b", "a b"), ("%C3%A9", "é"), ("50%", "50%"), ("%zz", "%zz"), ("%FF", "%FF")]
    {
        let found = headers(&[("ce-subject", text), ("cloudevents:id", text)]);
        assert_eq!(header(&found, "subject").as_deref(), Some(decoded));
        assert_eq!(header(&found, "id").as_deref(), Some(text), "AMQP headers are taken as they are");
    }
}

#[test]
fn batch_parks_a_bad_member_alone_with_its_own_bytes() {
    let bad = r#"{ "id" :  "no rest", "data":1e400 }"#;
    let mixed = order_with("type", json!("order.paid")).to_string();
    let body = format!("[ {},\n {bad} , {mixed},{}]", order(), order_with("id", json!("e-2")));
    let members = read_as(Some(BATCH), body.as_bytes()).unwrap();
    let seen: Vec<_> = members
        .iter()
        .map(|member| {
            let what = match &member.outcome {
                Ok(event) => event.id.as_str(),
                Err(refusal) => refusal.code.as_str(),
            };
            (what, &body[member.bytes.clone()])
        })
        .collect();
    let (first, last) = (order().to_string(), order_with("id", json!("e-2")).to_string());
    assert_eq!(
        seen,
        [
            ("e-1", first.as_str()),
            ("malformed_json", bad),
            ("batch_mixed_types", mixed.as_str()),
            ("e-2", last.as_str())
        ]
    );
}

#[test]
fn member_of_a_batch_is_measured_alone() {
    let large = order_with("data", json!({"text": "x".repeat(200_000)}));
    let too_large = order_with("data", json!({"text": "x".repeat(300_000)}));
    let body = json!([large, too_large, large]).to_string();
    let members = read_as(Some(BATCH), body.as_bytes()).unwrap();
    assert!(members[0].outcome.is_ok() && members[2].outcome.is_ok());
    assert_eq!(members[1].outcome.as_ref().unwrap_err().code, "event_too_large");
}

#[test]
fn broken_array_refuses_the_whole_message() {
    let many = format!("[{}1]", "1,".repeat(500));
    let large = format!("[\"{}\"]", "x".repeat(4 * 1024 * 1024));
    for (body, code) in [
        ("[{}", "malformed_batch"),
        ("{}", "malformed_batch"),
        ("[] []", "malformed_batch"),
        (many.as_str(), "batch_too_many"),
        (large.as_str(), "batch_too_large"),
    ] {
        assert_eq!(read_as(Some(BATCH), body.as_bytes()).unwrap_err().code, code);
    }
    assert_eq!(read_as(Some(BATCH), b"[]").unwrap(), vec![]);
}

#[test]
fn over_http_each_type_is_its_own_routing_key() {
    let body = json!([order(), order_with("type", json!("order.paid"))]).to_string();
    let envelope = Envelope { content_type: Some(BATCH), body: body.as_bytes(), ..Envelope::default() };
    assert!(
        read_unrouted(&envelope, &Limits::default()).unwrap().iter().all(|member| member.outcome.is_ok())
    );
}

#[test]
fn every_code_is_listed_for_people() {
    let listed = include_str!("../../../../docs/errors.md");
    let sources = [include_str!("envelope.rs"), include_str!("attributes.rs"), include_str!("batch.rs")];
    let codes = [
        "malformed_json",
        "duplicate_key",
        "nul_character",
        "json_too_deep",
        "not_an_event",
        "event_too_large",
        "batch_too_large",
        "batch_too_many",
        "malformed_batch",
        "batch_mixed_types",
        "routing_key_mismatch",
        "unsupported_content_type",
        "unsupported_specversion",
        "unsupported_datacontenttype",
        "missing_attribute",
        "attribute_invalid",
        "attribute_too_long",
        "data_base64",
        "data_not_object",
    ];
    for code in codes {
        assert!(listed.contains(&format!("`{code}`")), "{code} is not in docs/errors.md");
        assert!(sources.iter().any(|source| source.contains(&format!("\"{code}\""))), "{code} is never used");
    }
}

proptest! {
    #[test]
    fn any_message_gets_an_answer(body in prop::collection::vec(any::<u8>(), 0..300), mode in 0..4) {
        let content_type = [None, Some(STRUCTURED), Some(BATCH), Some("application/json")][mode as usize];
        let _ = read_as(content_type, &body);
    }
}
