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

fn read_as(content_type: Option<&str>, body: &[u8]) -> Result<Members, Rejection> {
    let envelope = Envelope { content_type, routing_key: "order.created", body, ..Envelope::default() };
    read(&envelope, &Limits::default())
}

fn one(body: &Value) -> Result<Event, Rejection> {
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
fn all_that_an_event_lacks_is_named_at_once() {
    let mut lacking = order();
    for name in ["source", "type", "time"] {
        lacking.as_object_mut().unwrap().remove(name);
    }
    let told = |event: &Value| one(event).unwrap_err().detail;
    assert_eq!(told(&lacking), "the attributes source, type and time are required and are missing");
    assert_eq!(told(&order_without("time")), "the attribute time is required and is missing");
    // Of another version, what it lacks says nothing.
    lacking["specversion"] = json!("0.3");
    assert_eq!(one(&lacking).unwrap_err().code, "unsupported_specversion");
}

#[test]
fn a_body_without_anything_is_called_empty() {
    for (mode, code) in
        [(None, "malformed_json"), (Some(STRUCTURED), "malformed_json"), (Some(BATCH), "malformed_batch")]
    {
        for body in ["", " \n"] {
            let refusal = read_as(mode, body.as_bytes()).unwrap_err();
            assert_eq!(
                (refusal.code.as_str(), refusal.detail.as_str()),
                (code, "the body is empty"),
                "{mode:?}"
            );
        }
    }
}

#[test]
fn bytes_that_are_not_strict_json_are_refused() {
    for (body, code) in [
        ("", "malformed_json"),
        ("{", "malformed_json"),
        (r#"{"data":{"total":1e400}}"#, "number_not_exact"),
        (r#"{"data":{"id":18446744073709551616}}"#, "number_not_exact"),
        (r#"{"data":"\ud800"}"#, "malformed_json"),
        (r#"{"id":"1","id":"2"}"#, "duplicate_key"),
        (&format!("{}1{}", "[".repeat(65), "]".repeat(65)), "json_too_deep"),
    ] {
        assert_eq!(read_as(Some(STRUCTURED), body.as_bytes()).unwrap_err().code, code, "{body}");
    }
}

#[test]
fn a_refusal_names_the_path() {
    let data = |text: &str| order_with("data", json!("@")).to_string().replace("\"@\"", text);
    for (text, path) in [
        (r#"{"a":[{"b c":"x\u0000"}]}"#, r#"data.a[0]["b c"]: a string contains the character U+0000"#),
        (r#"{"a":{"b":1,"b":2}}"#, "data.a: the key \"b\" stands twice"),
        (r#"{"a":[0,1e400]}"#, "data.a[1]: the number 1e400 cannot be kept exactly"),
        (r#"{"a":[0,12345678901234567890.123]}"#, "data.a[1]: the number 12345678901234567890.123 cannot"),
        (r#"{"a":tru}"#, "data.a: not valid JSON"),
        (r#"{"a":[1,2,]}"#, "data.a[2]: not valid JSON"),
        (&format!(r#"{{"a":{}1{}}}"#, "[".repeat(66), "]".repeat(66)), "data.a[0][0]"),
    ] {
        let refusal = read_as(Some(STRUCTURED), data(text).as_bytes()).unwrap_err();
        assert!(refusal.detail.starts_with(path), "{}", refusal.detail);
        let binary = Envelope {
            content_type: Some("application/json"),
            headers: headers(&[("cloudevents:specversion", "1.0")]),
            body: text.as_bytes(),
            ..Envelope::default()
        };
        let detail = read(&binary, &Limits::default()).unwrap_err().detail;
        assert!(detail.starts_with(path), "{detail}");
    }
}

#[test]
fn bodies_in_other_codings_are_refused_by_their_names_and_a_mark_is_taken_off() {
    let text = order().to_string();
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1 = order_with("subject", json!("@")).to_string().replace('@', "\u{1}").into_bytes();
    let latin1: Vec<u8> = latin1.into_iter().map(|byte| if byte == 1 { 0xfc } else { byte }).collect();
    let with = |content_type, content_encoding, body: &[u8]| {
        let envelope = Envelope {
            content_type,
            content_encoding,
            routing_key: "order.created",
            body,
            ..Envelope::default()
        };
        read(&envelope, &Limits::default())
    };
    for (content_type, content_encoding, body, code, name) in [
        (STRUCTURED, Some("gzip"), text.as_bytes(), "unsupported_content_encoding", "gzip"),
        (BATCH, Some("br"), text.as_bytes(), "unsupported_content_encoding", "br"),
        (STRUCTURED, None, &b"\x1f\x8b\x08\x00"[..], "unsupported_content_encoding", "gzip"),
        (BATCH, None, &b"\x28\xb5\x2f\xfd\x04"[..], "unsupported_content_encoding", "zstd"),
        (STRUCTURED, None, &utf16, "unsupported_charset", "UTF-16LE"),
        (BATCH, None, &utf16, "unsupported_charset", "UTF-16LE"),
        ("application/json; charset=iso-8859-1", None, &latin1, "unsupported_charset", "iso-8859-1"),
        ("application/json", None, &latin1, "malformed_json", "unicode"),
    ] {
        let refusal = with(Some(content_type), content_encoding, body).unwrap_err();
        assert_eq!(refusal.code, code, "{}", refusal.detail);
        assert!(refusal.detail.contains(name), "{}", refusal.detail);
    }
    let marked = format!("\u{feff}{text}");
    for coding in [None, Some("identity"), Some("utf-8")] {
        let member = with(Some(STRUCTURED), coding, marked.as_bytes()).unwrap().remove(0);
        assert_eq!((member.bytes, member.outcome), (0..marked.len(), Ok(one(&order()).unwrap())));
    }
    let batch = format!("\u{feff}[{text}]");
    let member = with(Some(BATCH), None, batch.as_bytes()).unwrap().remove(0);
    assert_eq!(&batch[member.bytes], text);
}

#[test]
fn an_attribute_that_came_as_a_list_is_refused_by_name() {
    let envelope = Envelope {
        content_type: Some("application/json"),
        headers: headers(&[("cloudevents:specversion", "1.0")]),
        opaque_headers: BTreeMap::from([
            ("cloudevents:subject".to_owned(), "a list"),
            ("x".to_owned(), "a table"),
        ]),
        ..Envelope::default()
    };
    let refusal = read(&envelope, &Limits::default()).unwrap_err();
    assert_eq!(refusal.code, "attribute_invalid");
    assert!(refusal.detail.contains("subject") && refusal.detail.contains("a list"), "{}", refusal.detail);
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
            ..Envelope::default()
        };
        let event = read(&envelope, &Limits::default()).unwrap().remove(0).outcome.unwrap();
        assert_eq!(event, one(&order()).unwrap());
        let empty = Envelope { body: b"", ..envelope };
        assert_eq!(read(&empty, &Limits::default()).unwrap().remove(0).outcome.unwrap().data, json!({}));
    }
}

#[test]
fn percent_signs_are_decoded_for_http_and_taken_as_they_are_from_messages() {
    for (text, decoded) in [("a%20b", "a b"), ("%C3%A9", "é"), ("50%", "50%"), ("%zz", "%zz"), ("%FF", "%FF")]
    {
        assert_eq!(percent_decoded(text), decoded);
        let found = headers(&[("ce-subject", text), ("cloudevents:id", text)]);
        assert_eq!(header(&found, "subject").as_deref(), Some(text));
        assert_eq!(header(&found, "id").as_deref(), Some(text));
    }
}

#[test]
fn a_time_in_a_header_may_count_milliseconds() {
    let read_at = |time: &str| {
        let attributes = [
            ("cloudevents_specversion", "1.0"),
            ("cloudevents_id", "17"),
            ("cloudevents_source", "/shop"),
            ("cloudevents_type", "order.created"),
            ("cloudevents_tenantid", "acme"),
            ("cloudevents_time", time),
        ];
        let envelope = Envelope {
            content_type: Some("application/json"),
            headers: headers(&attributes),
            routing_key: "order.created",
            ..Envelope::default()
        };
        read(&envelope, &Limits::default())
            .map(|mut members| members.remove(0).outcome.unwrap().time.to_rfc3339())
    };
    assert_eq!(read_at("1790000000123").as_deref(), Ok("2026-09-21T14:13:20.123+00:00"));
    assert_eq!(read_at("2026-09-21T14:13:20Z").as_deref(), Ok("2026-09-21T14:13:20+00:00"));
    // Seconds would be a day in 1970; nobody can know what was meant.
    for unclear in ["1790000000", "-1790000000123", "1790000000123456789", "0", "99999999999999999999999"] {
        let refusal = read_at(unclear).unwrap_err();
        assert_eq!(refusal.code, "attribute_invalid", "{unclear}");
        assert!(refusal.detail.contains("milliseconds"), "{}", refusal.detail);
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
            (member.index, what, &body[member.bytes.clone()])
        })
        .collect();
    let (first, last) = (order().to_string(), order_with("id", json!("e-2")).to_string());
    assert_eq!(
        seen,
        [
            (Some(0), "e-1", first.as_str()),
            (Some(1), "number_not_exact", bad),
            (Some(2), "batch_mixed_types", mixed.as_str()),
            (Some(3), "e-2", last.as_str())
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
fn a_syntax_error_in_one_member_is_its_own_and_without_an_end_takes_the_rest_along() {
    let (first, last) = (order().to_string(), order_with("id", json!("e-2")).to_string());
    let outcomes = |body: &str| -> Vec<(String, String)> {
        let members = read_as(Some(BATCH), body.as_bytes()).unwrap();
        let what = |outcome: &Result<Event, Rejection>| match outcome {
            Ok(event) => event.id.clone(),
            Err(refusal) => refusal.code.clone(),
        };
        members.iter().map(|member| (what(&member.outcome), body[member.bytes.clone()].to_owned())).collect()
    };
    let told = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(what, bytes)| ((*what).to_owned(), (*bytes).to_owned())).collect()
    };
    let comma = r#"{"id":"x",}"#;
    assert_eq!(
        outcomes(&format!("[{first},{comma}, {last}]")),
        told(&[("e-1", &first), ("malformed_json", comma), ("e-2", &last)])
    );
    let open = format!("{{\"id\":\"x}}, {last}]");
    assert_eq!(outcomes(&format!("[{first},{open}")), told(&[("e-1", &first), ("malformed_batch", &open)]));
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
    let sources = [
        include_str!("envelope.rs"),
        include_str!("attributes.rs"),
        include_str!("batch.rs"),
        include_str!("coding.rs"),
    ];
    let codes = [
        "malformed_json",
        "duplicate_key",
        "nul_character",
        "json_too_deep",
        "number_not_exact",
        "unsupported_charset",
        "unsupported_content_encoding",
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
