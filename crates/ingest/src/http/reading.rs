//! From a request to events: structured, batch and binary mode, as CloudEvents says for HTTP.
//!
//! The bytes that came are the bytes that go on to the broker, so that what is parked later is what was sent.

use super::body::BodyLimit;
use super::problem::Problem;
use automation_domain::event::Event;
use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_domain::event::envelope::{self, Envelope, Refusal};
use automation_domain::limits::Limits;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use std::collections::BTreeMap;

/// Attributes that the engine keeps; others are accepted and go no further.
const ATTRIBUTES: [&str; 12] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "tenantid",
    "subject",
    "correlationid",
    "causationid",
    "causationdepth",
    "traceparent",
    "tracestate",
];

/// How the events of a request are put into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Structured,
    Batch,
    Binary,
}

/// An event of a request, and how it goes on.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Incoming {
    pub(super) event: Event,
    pub(super) form: Form,
}

/// The bytes of an event.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Form {
    /// A JSON object with everything in it.
    Structured(Vec<u8>),
    /// Attributes by name, and the data.
    Binary { attributes: BTreeMap<String, String>, data: Vec<u8> },
}

impl Mode {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is(BATCH) {
            Ok(Self::Batch)
        } else if is(STRUCTURED) {
            Ok(Self::Structured)
        } else if is("application/json") || (media_type.is_empty() && headers.contains_key("ce-specversion"))
        {
            Ok(if headers.contains_key("ce-specversion") { Self::Binary } else { Self::Structured })
        } else {
            Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_type",
                "Unknown content type",
                format!("{STRUCTURED}, {BATCH} and application/json are read"),
            ))
        }
    }

    pub(super) fn limit(self, limits: &Limits) -> BodyLimit {
        match self {
            Self::Batch => BodyLimit { code: "batch_too_large", field: "batch", bytes: limits.batch_bytes },
            Self::Structured | Self::Binary => {
                BodyLimit { code: "event_too_large", field: "event", bytes: limits.event_bytes }
            }
        }
    }
}

/// Reads the events of a body for the tenant whose key was shown: an event need not name it.
pub(super) fn read(
    mode: Mode,
    headers: &HeaderMap,
    body: Vec<u8>,
    tenant: &str,
    limits: &Limits,
) -> Result<Vec<Result<Incoming, Refusal>>, Problem> {
    match mode {
        Mode::Structured => Ok(vec![structured(&body, tenant, limits)]),
        Mode::Binary => Ok(vec![binary(headers, body, tenant, limits)]),
        Mode::Batch => {
            let members = envelope::batch_members(&body, limits).map_err(|refusal| whole(refusal, limits))?;
            Ok(members.into_iter().map(|member| structured(member, tenant, limits)).collect())
        }
    }
}

/// A batch that cannot even be taken apart.
fn whole(refusal: Refusal, limits: &Limits) -> Problem {
    match refusal.code.as_str() {
        "batch_too_many" => Problem::too_large(&refusal.code, "events", limits.batch_events, refusal.detail),
        "batch_too_large" => Problem::too_large(&refusal.code, "batch", limits.batch_bytes, refusal.detail),
        _ => Problem::bad_request(&refusal.code, refusal.detail),
    }
}

fn structured(bytes: &[u8], tenant: &str, limits: &Limits) -> Result<Incoming, Refusal> {
    let bytes = with_tenant(bytes, tenant);
    let envelope = Envelope { content_type: Some(STRUCTURED), body: &bytes, ..Envelope::default() };
    let event = only(envelope::read_unrouted(&envelope, limits))?;
    Ok(Incoming { event, form: Form::Structured(bytes) })
}

fn binary(headers: &HeaderMap, data: Vec<u8>, tenant: &str, limits: &Limits) -> Result<Incoming, Refusal> {
    let mut attributes = BTreeMap::new();
    for name in ATTRIBUTES {
        let Some(value) = headers.get(format!("ce-{name}")) else { continue };
        let text = value.to_str().map_err(|_| {
            Refusal::new("attribute_invalid", format!("the header ce-{name} is not ASCII; escape it as %XX"))
        })?;
        attributes.insert(name.to_owned(), envelope::percent_decoded(text));
    }
    attributes.entry("tenantid".to_owned()).or_insert_with(|| tenant.to_owned());
    let prefixed = prefixed(&attributes);
    let envelope = Envelope {
        content_type: Some("application/json"),
        headers: prefixed,
        body: &data,
        ..Envelope::default()
    };
    let event = only(envelope::read_unrouted(&envelope, limits))?;
    Ok(Incoming { event, form: Form::Binary { attributes, data } })
}

/// Attributes as headers of a message, in lower case as they are read.
pub(super) fn prefixed(attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.iter().map(|(name, value)| (format!("cloudevents:{name}"), value.clone())).collect()
}

/// The one event of what is not a batch.
fn only(members: Result<envelope::Members, Refusal>) -> Result<Event, Refusal> {
    let member = members?.pop().ok_or_else(|| Refusal::new("not_an_event", "there is no event"))?;
    member.outcome
}

/// The object with the tenant's key in front, unless it names a tenant itself. What is not an object stays as it is: it
/// is refused with its own reason.
fn with_tenant(bytes: &[u8], tenant: &str) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default, deserialize_with = "any")]
        tenantid: bool,
    }
    fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| true)
    }
    let names_none = serde_json::from_slice(bytes).is_ok_and(|named: Named| !named.tenantid);
    let brace = bytes.iter().position(|byte| *byte == b'{').filter(|_| names_none);
    let Some((before, after)) = brace.and_then(|brace| bytes.split_at_checked(brace + 1)) else {
        return bytes.to_owned();
    };
    let is_empty = after.trim_ascii_start().starts_with(b"}");
    // A tenant's key is letters, digits and hyphens: it needs no escape.
    let member = format!("\"tenantid\":\"{tenant}\"{}", if is_empty { "" } else { "," });
    [before, member.as_bytes(), after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn one(body: &str) -> Result<Incoming, Refusal> {
        structured(body.as_bytes(), "acme", &Limits::default())
    }

    const REST: &str =
        r#""specversion":"1.0","id":"1","source":"shop","type":"a.b","time":"2026-01-01T00:00:00Z""#;

    #[test]
    fn the_mode_is_in_the_headers() {
        for (pairs, expected) in [
            (&[("content-type", "application/cloudevents+json; charset=utf-8")][..], Some(Mode::Structured)),
            (&[("content-type", "Application/CloudEvents-Batch+JSON")], Some(Mode::Batch)),
            (&[("content-type", "application/json")], Some(Mode::Structured)),
            (&[("content-type", "application/json"), ("ce-specversion", "1.0")], Some(Mode::Binary)),
            (&[("ce-specversion", "1.0")], Some(Mode::Binary)),
            (&[("content-type", "text/plain"), ("ce-specversion", "1.0")], None),
            (&[], None),
        ] {
            assert_eq!(Mode::of(&headers(pairs)).ok(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_tenant_of_the_key_is_added_where_none_is_named_and_nothing_else_is_touched() {
        let incoming = one(&format!("  {{ {REST}, \"data\": {{\"n\": 1.50}} }}")).unwrap();
        assert_eq!(incoming.event.tenant, "acme");
        let Form::Structured(bytes) = incoming.form else { panic!("not structured") };
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!("  {{\"tenantid\":\"acme\", {REST}, \"data\": {{\"n\": 1.50}} }}")
        );
        let named = format!("{{{REST},\"tenantid\":\"other\"}}");
        let incoming = one(&named).unwrap();
        assert_eq!(
            (incoming.event.tenant.as_str(), incoming.form),
            ("other", Form::Structured(named.into_bytes()))
        );
    }

    #[test]
    fn what_is_wrong_keeps_its_own_reason() {
        for (body, code) in [
            ("{}", "missing_attribute"),
            ("{", "malformed_json"),
            ("[]", "not_an_event"),
            (r#"{"tenantid":null}"#, "missing_attribute"),
            (r#"{"tenantid":"a","tenantid":"b"}"#, "duplicate_key"),
            (r#"{"data":{"tenantid":"nested"}}"#, "missing_attribute"),
        ] {
            assert_eq!(one(body).unwrap_err().code, code, "{body}");
        }
    }

    #[test]
    fn binary_mode_reads_escaped_headers() {
        let headers = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "shop"),
            ("ce-type", "a.b"),
            ("ce-time", "2026-01-01T00:00:00Z"),
            ("ce-subject", "Zo%C3%AB"),
            ("ce-unknown", "x"),
        ]);
        let incoming = binary(&headers, b"{\"n\": 1.50}".to_vec(), "acme", &Limits::default()).unwrap();
        assert_eq!(
            (incoming.event.subject.as_deref(), incoming.event.tenant.as_str()),
            (Some("Zoë"), "acme")
        );
        assert_eq!(incoming.event.data, json!({ "n": 1.5 }));
        let Form::Binary { attributes, data } = incoming.form else { panic!("not binary") };
        assert_eq!((attributes["subject"].as_str(), data.as_slice()), ("Zoë", &b"{\"n\": 1.50}"[..]));
        assert!(!attributes.contains_key("unknown"));
    }

    #[test]
    fn a_batch_is_taken_apart_and_each_member_read_alone() {
        let limits = Limits { batch_events: 2, ..Limits::default() };
        let read =
            |body: &str| read(Mode::Batch, &HeaderMap::new(), body.as_bytes().to_vec(), "acme", &limits);
        let members = read(&format!("[{{{REST}}}, {{\"id\": 7}}]")).unwrap();
        assert!(members[0].is_ok());
        assert_eq!(members[1].as_ref().unwrap_err().code, "missing_attribute");
        assert_eq!(read("[{},{},{}]").unwrap_err().code, "batch_too_many");
        assert_eq!(read("[{},").unwrap_err().code, "malformed_batch");
        assert!(read("[]").unwrap().is_empty());
    }
}
