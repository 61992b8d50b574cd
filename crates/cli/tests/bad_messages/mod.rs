//! Messages that ingest must not take, each with what it is parked for.

use crate::engine::event;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const ON_BEHALF_OF: &str = "automation-on-behalf-of";
/// Stands for the name of the stranger's user in a header.
pub const STRANGER: &str = "{stranger}";

/// Whom the broker vouches for.
#[derive(Clone, Copy, Debug)]
pub enum Speaker {
    /// Granted everything of the tenant `acme`.
    Shop,
    /// Granted `page.*` of the tenant `acme`.
    Stranger,
    /// A user of the engine.
    Engine,
    /// The message has no `user_id`.
    Nobody,
}

/// A message, and what of it is parked.
pub struct Bad {
    pub speaker: Speaker,
    pub routing_key: String,
    pub content_type: &'static str,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Reason and bytes.
    pub parked: Vec<(&'static str, Vec<u8>)>,
    /// Events of the message that are recorded all the same.
    pub good_members: i64,
}

impl Bad {
    /// A structured message of the shop that is parked whole.
    fn whole(reason: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            speaker: Speaker::Shop,
            routing_key: "order.created".to_owned(),
            content_type: STRUCTURED,
            headers: BTreeMap::new(),
            parked: vec![(reason, body.clone())],
            body,
            good_members: 0,
        }
    }

    /// A message of which nothing is parked.
    fn fine(body: &Value) -> Self {
        Self { parked: Vec::new(), good_members: 1, ..Self::whole("", body.to_string()) }
    }

    fn by(self, speaker: Speaker) -> Self {
        Self { speaker, ..self }
    }

    fn of_type(self, content_type: &'static str) -> Self {
        Self { content_type, ..self }
    }

    fn keyed(self, routing_key: &str) -> Self {
        Self { routing_key: routing_key.to_owned(), ..self }
    }

    fn with(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }
}

/// All of them. Two that are parked for one reason differ in their bytes, or in the headers that say what they are.
pub fn all() -> Vec<Bad> {
    [unreadable(), unusable(), not_let_in(), batches(), binary(), conflicts(), odd_but_fine()]
        .into_iter()
        .flatten()
        .collect()
}

fn order(id: &str) -> Value {
    event("order.created", id, "ada", json!({ "total": 20 }))
}

fn order_with(id: &str, attribute: &str, value: Value) -> Value {
    let mut order = order(id);
    order[attribute] = value;
    order
}

/// An order whose data is this text, which may be no JSON.
fn order_of(id: &str, data: &str) -> String {
    order_with(id, "data", json!("@")).to_string().replace("\"@\"", data)
}

fn unreadable() -> Vec<Bad> {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let long_key = "k".repeat(100_000);
    vec![
        Bad::whole("malformed_json", "not JSON"),
        Bad::whole("malformed_json", ""),
        Bad::whole("unsupported_charset", b"\xff\xfe{\x00\x01\x00".as_slice()),
        Bad::whole("unsupported_content_encoding", b"\x1f\x8b\x08\x00".as_slice()),
        Bad::whole("malformed_json", b"{\"id\":\"\xff\"}".as_slice()),
        Bad::whole("malformed_json", order_of("surrogate", r#"{"text":"\ud800"}"#)),
        Bad::whole("number_not_exact", order_of("huge", r#"{"total":1e400}"#)),
        Bad::whole("number_not_exact", order_of("long", r#"{"id":18446744073709551616}"#)),
        Bad::whole("number_not_exact", order_of("precise", r#"{"total":0.12345678901234567890}"#)),
        Bad::whole("malformed_json", format!("{} {{}}", order("two"))),
        Bad::whole("json_too_deep", "[".repeat(100_000)),
        Bad::whole("nul_character", order_of("nul", r#"{"text":"a\u0000b"}"#)),
        Bad::whole("nul_character", order_of("nul key", r#"{"a\u0000b":1}"#)),
        Bad::whole("json_too_deep", order_of("deep", &format!("{{\"text\":{deep}}}"))),
        Bad::whole("duplicate_key", order_of("twice", r#"{"a":1,"a":2}"#)),
        Bad::whole(
            "duplicate_key",
            order_of("twice again", &format!(r#"{{"{long_key}":1,"{long_key}":2}}"#)),
        ),
        Bad::whole("not_an_event", "[]"),
        Bad::whole("not_an_event", "null"),
        Bad::whole(
            "event_too_large",
            order_with("1 MiB", "data", json!({ "text": "x".repeat(1024 * 1024) })).to_string(),
        ),
        Bad::whole("event_too_large", vec![b'x'; 4 * 1024 * 1024]),
        Bad::whole("unsupported_content_type", order("text").to_string()).of_type("text/plain"),
    ]
}

fn unusable() -> Vec<Bad> {
    let mut bad: Vec<Bad> = ["specversion", "id", "source", "type", "time", "tenantid"]
        .into_iter()
        .map(|name| {
            let mut order = order(name);
            order.as_object_mut().expect("an order is an object").remove(name);
            Bad::whole("missing_attribute", order.to_string())
        })
        .collect();
    let with = |reason, attribute: &str, value: Value| {
        Bad::whole(reason, order_with(&format!("unusable {attribute}"), attribute, value).to_string())
    };
    bad.extend([
        with("missing_attribute", "time", Value::Null),
        with("attribute_invalid", "time", json!("yesterday")),
        with("attribute_invalid", "subject", json!("")),
        with("attribute_invalid", "source", json!(7)),
        with("attribute_invalid", "tenantid", json!("Acme; DROP TABLE tenants")),
        with("attribute_invalid", "causationdepth", json!(-1)),
        with("attribute_too_long", "subject", json!("s".repeat(257))),
        with("unsupported_specversion", "specversion", json!("0.3")),
        with("unsupported_datacontenttype", "datacontenttype", json!("text/xml")),
        with("data_base64", "data_base64", json!("AA==")),
        with("data_not_object", "data", json!([1, 2, 3])),
        with("routing_key_mismatch", "type", json!("order.paid")),
        with("causation_depth_exceeded", "causationdepth", json!(6)),
        Bad::whole("routing_key_mismatch", order("other key").to_string()).keyed("order.paid"),
        Bad::whole("routing_key_mismatch", order("unknown key").to_string()).keyed("shop.anything"),
        Bad::whole("routing_key_mismatch", order("longest key").to_string()).keyed(&"k".repeat(255)),
    ]);
    bad
}

fn not_let_in() -> Vec<Bad> {
    let long = "\u{1}".repeat(90_000);
    vec![
        Bad::whole("unknown_tenant", order_with("lost", "tenantid", json!("nobody")).to_string()),
        Bad::whole("unknown_tenant", order_with("lost", "tenantid", json!("rival")).to_string()),
        Bad::whole("not_granted", order("stranger").to_string()).by(Speaker::Stranger),
        Bad::whole("no_user_id", order("nobody").to_string()).by(Speaker::Nobody),
        Bad::whole("reserved_source", order_with("mine", "source", json!("automation")).to_string()),
        Bad::whole("reserved_header", order("header").to_string()).with(&[(ON_BEHALF_OF, "shop")]),
        Bad::whole("reserved_header", order("long header").to_string())
            .with(&[(ON_BEHALF_OF, "a\0b"), ("note", &long)]),
        Bad::whole("not_granted", order("for another").to_string())
            .by(Speaker::Engine)
            .with(&[(ON_BEHALF_OF, "somebody")]),
        Bad::whole("not_granted", order("for the stranger").to_string())
            .by(Speaker::Engine)
            .with(&[(ON_BEHALF_OF, STRANGER)]),
    ]
}

fn batches() -> Vec<Bad> {
    let bad = r#"{ "id" :  "no rest", "data":1e400 }"#;
    let lost = order_with("lost in a batch", "tenantid", json!("nobody")).to_string();
    let paid = event("order.paid", "paid in a batch", "ada", json!({})).to_string();
    let syntax = r#"{ "id" : "trailing comma", }"#;
    let mixed = format!("[ {},\n {bad} ,{syntax}, {lost},{paid} ,{}\t]", order("batch 1"), order("batch 2"));
    let open = format!("{{\"id\":[1}}, {}]", order("behind it"));
    let cut = format!("[{},{open}", order("before it"));
    let many = format!("[{}]", vec!["{}"; 501].join(","));
    vec![
        Bad {
            parked: vec![
                ("number_not_exact", bad.as_bytes().to_vec()),
                ("malformed_json", syntax.as_bytes().to_vec()),
                ("unknown_tenant", lost.into_bytes()),
                ("batch_mixed_types", paid.into_bytes()),
            ],
            good_members: 2,
            ..Bad::whole("", mixed)
        },
        Bad {
            parked: vec![("malformed_batch", open.as_bytes().to_vec())],
            good_members: 1,
            ..Bad::whole("", cut)
        },
        Bad {
            parked: Vec::new(),
            good_members: 1,
            ..Bad::whole("", format!("\u{feff}[{}]", order("marked batch")))
        },
        Bad::whole("malformed_batch", "[{}"),
        Bad::whole("malformed_batch", order("no array").to_string()),
        Bad::whole("batch_too_many", many),
        Bad::whole("batch_too_large", format!("[\"{}\"]", "x".repeat(4 * 1024 * 1024))),
        Bad { parked: Vec::new(), ..Bad::whole("", "[]") },
    ]
    .into_iter()
    .map(|bad| bad.of_type(BATCH))
    .collect()
}

fn binary() -> Vec<Bad> {
    let attributes = |id: &'static str| {
        [
            ("cloudevents:specversion", "1.0"),
            ("cloudevents:id", id),
            ("cloudevents:source", "shop"),
            ("cloudevents:type", "order.created"),
            ("cloudevents:time", "2026-11-24T08:00:00Z"),
            ("cloudevents:tenantid", "acme"),
        ]
    };
    vec![
        Bad { parked: Vec::new(), good_members: 1, ..Bad::whole("", r#"{"total":1}"#) }
            .with(&attributes("binary")),
        Bad::whole("malformed_json", r#"{"total":"#).with(&attributes("broken")),
        Bad::whole("data_not_object", "[\"binary\"]").with(&attributes("array")),
        Bad::whole("unknown_tenant", r#"{"total":2}"#)
            .with(&attributes("elsewhere"))
            .with(&[("cloudevents:tenantid", "elsewhere")]),
        Bad::whole("unknown_tenant", r#"{"total":2}"#)
            .with(&attributes("elsewhere too"))
            .with(&[("cloudevents:tenantid", "elsewhere")]),
        Bad::whole("missing_attribute", r#"{"total":3}"#).with(&attributes("x")[..3]),
        Bad::whole("missing_attribute", r#"{"total":4}"#).with(&[("ce-specversion", "1.0")]),
    ]
    .into_iter()
    .map(|bad| bad.of_type("application/json"))
    .collect()
}

/// The id `taken` was recorded before.
fn conflicts() -> Vec<Bad> {
    let again = event("order.created", "taken", "ada", json!({ "total": 1 }));
    vec![
        Bad { good_members: 0, ..Bad::fine(&again) },
        Bad::whole(
            "event_id_conflict",
            event("order.created", "taken", "ada", json!({ "total": 2 })).to_string(),
        ),
        Bad::whole(
            "event_id_conflict",
            event("order.created", "taken", "bob", json!({ "total": 1 })).to_string(),
        ),
        Bad::whole(
            "event_id_conflict",
            event("order.paid", "taken", "ada", json!({ "total": 1 })).to_string(),
        )
        .keyed("order.paid"),
        // Another source may use the same id.
        Bad::fine(&order_with("taken", "source", json!("till"))),
    ]
}

/// Hexadecimal digits that no compression makes small enough for an index.
pub fn incompressible(length: usize) -> String {
    let mut state = 42_u64;
    let digits = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_digit((state >> 60) as u32, 16).unwrap_or_default()
    });
    digits.take(length).collect()
}

/// What looks as if it might break something, and is recorded.
fn odd_but_fine() -> Vec<Bad> {
    let strange = json!({
        "email": { "a": 1 }, "first_name": ["x"], "phone": 12, "timezone": "Mars/Olympus", "tags": "vip",
        "fields": { "": null, "plan": { "deep": [[[[1]]]] }, "long": "y".repeat(100_000) },
    });
    let unlikely = format!("{}@example.com", incompressible(100_000));
    vec![
        Bad::fine(&event("shop.something_of_our_own", "custom", "ada", json!({ "any": "thing" })))
            .keyed("shop.something_of_our_own"),
        Bad::fine(&order_with("deepest that is followed", "causationdepth", json!(5))),
        Bad::fine(&order_with("year nought", "time", json!("0000-01-01T00:00:00Z"))),
        Bad::fine(&order_with("last year", "time", json!("9999-12-31T23:59:59.999999999-12:00"))),
        Bad::fine(&order_with("leap second", "time", json!("2016-12-31T23:59:60Z"))),
        Bad::fine(&order_with("no data", "data", Value::Null)),
        Bad { parked: Vec::new(), good_members: 1, ..Bad::whole("", format!("\u{feff}{}", order("marked"))) },
        Bad::fine(&order_with(
            "numbers",
            "data",
            json!({ "large": 1e308, "small": 5e-324, "long": u64::MAX }),
        )),
        Bad::fine(&order_with(
            "words",
            "data",
            json!({ "'; --": "\u{10ffff}\u{202e}", "": {}, "__proto__": [] }),
        )),
        Bad::fine(&order_with("longest subject", "subject", json!("ü".repeat(128)))),
        Bad::fine(&event("contact.created", "strange contact", "eve", strange)).keyed("contact.created"),
        Bad::fine(&event("contact.created", "unlikely contact", "mallory", json!({ "email": unlikely })))
            .keyed("contact.created"),
        Bad::fine(&event("contact.score_changed", "score", "eve", json!({ "to": 1e308 })))
            .keyed("contact.score_changed"),
        Bad::fine(&event("page.visited", "page", "ada", json!({})))
            .keyed("page.visited")
            .by(Speaker::Stranger),
        Bad::fine(&event("page.visited", "page for the stranger", "ada", json!({})))
            .keyed("page.visited")
            .by(Speaker::Engine)
            .with(&[(ON_BEHALF_OF, STRANGER)]),
        Bad::fine(&order_with("the engine's", "source", json!("automation"))).by(Speaker::Engine),
    ]
}
