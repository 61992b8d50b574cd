//! From a request to events: structured, batch and binary mode, as CloudEvents says for HTTP.
//!
//! The bytes that came are the bytes that go on to the broker, so that what is parked later is what was sent.

use automation_domain::encoding;
use automation_domain::event::Event;
use automation_domain::event::coding;
use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_domain::event::envelope::{self, Envelope, Rejection};
use automation_domain::limits::Limits;
use automation_domain::trace::TraceParent;
use automation_http_server::body::{self, BodyLimit};
use automation_http_server::problem::Problem;
use automation_service_kit::in_hand::{self, Doing};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::Value;
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
pub(crate) enum Mode {
    Structured,
    Batch,
    Binary,
}

/// An event of a request, and how it goes on.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Incoming {
    pub(crate) event: Event,
    pub(crate) form: Form,
}

/// Why something in a request is no event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused {
    /// The id that it gives itself, where that can be read.
    pub(crate) id: Option<String>,
    pub(crate) refusal: Rejection,
}

/// The bytes of an event.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Form {
    /// A JSON object with everything in it.
    Structured(Vec<u8>),
    /// Attributes by name, and the data.
    Binary { attributes: BTreeMap<String, String>, data: Vec<u8> },
}

impl Mode {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let media_type = body::media_type(body::content_type(headers));
        let is = |name: &str| media_type == name;
        if is(BATCH) {
            Ok(Self::Batch)
        } else if is(STRUCTURED) {
            Ok(Self::Structured)
        } else if is("application/json") || (media_type.is_empty() && headers.contains_key("ce-specversion"))
        {
            Ok(if headers.contains_key("ce-specversion") { Self::Binary } else { Self::Structured })
        } else {
            let what = match media_type.as_str() {
                "" => "there is no content type".to_owned(),
                named => format!("the content type is \"{named}\""),
            };
            let detail = format!("{what}; {STRUCTURED}, {BATCH} and application/json are read");
            Err(Problem::unsupported(Rejection::new("unsupported_content_type", detail)))
        }
    }

    pub(crate) fn limit(self, limits: &Limits) -> BodyLimit {
        match self {
            Self::Batch => BodyLimit { code: "batch_too_large", field: "batch", bytes: limits.batch_bytes },
            Self::Structured | Self::Binary => {
                BodyLimit { code: "event_too_large", field: "event", bytes: limits.event_bytes }
            }
        }
    }
}

/// Bytes of the tenant's member and of commas, the tenant's key aside.
const ROOM: usize = 20;

/// What a request says of all its events that do not say it themselves.
struct Said<'a> {
    tenant: &'a str,
    trace: Option<Trace>,
}

/// Where the request stands in a trace: W3C's headers.
struct Trace {
    parent: String,
    state: Option<String>,
}

impl Trace {
    /// `None` without one usable `traceparent`, as W3C asks.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all("traceparent").iter();
        let (parent, None) = (parents.next()?.to_str().ok()?, parents.next()) else { return None };
        TraceParent::parse(parent)?;
        let states: Vec<&str> =
            headers.get_all("tracestate").iter().filter_map(|value| value.to_str().ok()).collect();
        let state = Some(states.join(",")).filter(|state| !state.is_empty());
        Some(Self { parent: parent.to_owned(), state })
    }

    /// As members of an object.
    fn members(&self) -> String {
        let state =
            self.state.as_ref().map(|state| format!(",\"tracestate\":{}", Value::from(state.as_str())));
        format!("\"traceparent\":{}{}", Value::from(self.parent.as_str()), state.unwrap_or_default())
    }
}

/// Reads the events of a body for the tenant whose key was shown: an event need not name it. One without a trace
/// belongs to the request's.
pub(crate) fn read(
    mode: Mode,
    headers: &HeaderMap,
    body: Vec<u8>,
    tenant: &str,
    limits: &Limits,
) -> Result<Vec<Result<Incoming, Refused>>, Problem> {
    let _hand = in_hand::take(Doing::Message("over HTTP"));
    let said = Said { tenant, trace: Trace::of(headers) };
    coding::check_charset(body::content_type(headers), &body).map_err(Problem::unsupported)?;
    let member = |bytes: &[u8]| {
        structured(bytes, &said, limits).map_err(|refusal| Refused { id: id_in(bytes), refusal })
    };
    match mode {
        Mode::Structured => Ok(vec![member(&body)]),
        Mode::Binary => {
            let id = headers.get("ce-id").and_then(|id| id.to_str().ok()).map(envelope::percent_decoded);
            let id = id.filter(|id| is_id(id));
            let read = binary(headers, body, &said, limits).map_err(|refusal| Refused { id, refusal });
            Ok(vec![read])
        }
        Mode::Batch => {
            let members = envelope::batch_members(&body, limits).map_err(|refusal| whole(refusal, limits))?;
            let read = |bytes: Result<&[u8], Rejection>| {
                member(bytes.map_err(|refusal| Refused { id: None, refusal })?)
            };
            Ok(members.into_iter().map(read).collect())
        }
    }
}

/// The id of an event that is refused.
fn id_in(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let named = serde_json::from_slice::<Named>(encoding::without_mark(bytes)).ok()?;
    Some(named.id).filter(|id| is_id(id))
}

/// Whether a text can be an event's id; an answer repeats no other.
fn is_id(text: &str) -> bool {
    (1..=256).contains(&text.len())
}

/// A batch that cannot even be taken apart.
fn whole(refusal: Rejection, limits: &Limits) -> Problem {
    match refusal.code.as_str() {
        "batch_too_many" => Problem::too_large(&refusal.code, "events", limits.batch_events, refusal.detail),
        "batch_too_large" => Problem::too_large(&refusal.code, "batch", limits.batch_bytes, refusal.detail),
        "unsupported_content_encoding" | "unsupported_charset" => Problem::unsupported(refusal),
        _ => Problem::bad_request(&refusal.code, refusal.detail),
    }
}

fn structured(bytes: &[u8], said: &Said<'_>, limits: &Limits) -> Result<Incoming, Rejection> {
    // What is put in front, and a batch it may be packed into, leave no place for a mark.
    let bytes = completed(encoding::without_mark(bytes), said, limits);
    let envelope = Envelope { content_type: Some(STRUCTURED), body: &bytes, ..Envelope::default() };
    let event = only(envelope::read_unrouted(&envelope, limits))?;
    Ok(Incoming { event, form: Form::Structured(bytes) })
}

fn binary(
    headers: &HeaderMap,
    data: Vec<u8>,
    said: &Said<'_>,
    limits: &Limits,
) -> Result<Incoming, Rejection> {
    let mut attributes = BTreeMap::new();
    for name in ATTRIBUTES {
        let Some(value) = headers.get(format!("ce-{name}")) else { continue };
        let text = value.to_str().map_err(|_| {
            Rejection::new(
                "attribute_invalid",
                format!("the header ce-{name} is not ASCII; escape it as %XX"),
            )
        })?;
        attributes.insert(name.to_owned(), envelope::percent_decoded(text));
    }
    attributes.entry("tenantid".to_owned()).or_insert_with(|| said.tenant.to_owned());
    let has_trace = attributes.contains_key("traceparent") || attributes.contains_key("tracestate");
    if let Some(trace) = said.trace.as_ref().filter(|_| !has_trace) {
        attributes.insert("traceparent".to_owned(), trace.parent.clone());
        attributes.extend(trace.state.as_ref().map(|state| ("tracestate".to_owned(), state.clone())));
    }
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
pub(crate) fn prefixed(attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    attributes.iter().map(|(name, value)| (format!("cloudevents:{name}"), value.clone())).collect()
}

/// The one event of what is not a batch.
fn only(members: Result<envelope::Members, Rejection>) -> Result<Event, Rejection> {
    let member = members?.pop().ok_or_else(|| Rejection::new("not_an_event", "there is no event"))?;
    member.outcome
}

/// The object with what the request says in front, unless it says it itself. What is not an object stays as it is: it is
/// refused with its own reason.
fn completed(bytes: &[u8], said: &Said<'_>, limits: &Limits) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default, deserialize_with = "any")]
        tenantid: bool,
        #[serde(default, deserialize_with = "any")]
        traceparent: bool,
        #[serde(default, deserialize_with = "any")]
        tracestate: bool,
    }
    fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| true)
    }
    let brace = bytes.iter().position(|byte| *byte == b'{');
    let named = serde_json::from_slice::<Named>(bytes).ok();
    let Some((named, (before, after))) = named.zip(brace.and_then(|brace| bytes.split_at_checked(brace + 1)))
    else {
        return bytes.to_owned();
    };
    // A tenant's key is letters, digits and hyphens: it needs no escape.
    let mut members =
        if named.tenantid { Vec::new() } else { vec![format!("\"tenantid\":\"{}\"", said.tenant)] };
    if let Some(trace) = said.trace.as_ref().filter(|_| !named.traceparent && !named.tracestate) {
        let trace = trace.members();
        // An event that just fits is worth more than its trace.
        if bytes.len() + said.tenant.len() + trace.len() + ROOM <= limits.event_bytes {
            members.push(trace);
        }
    }
    let mut members = members.join(",");
    if !members.is_empty() && !after.trim_ascii_start().starts_with(b"}") {
        members.push(',');
    }
    [before, members.as_bytes(), after].concat()
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

    const ACME: Said<'static> = Said { tenant: "acme", trace: None };

    fn one(body: &str) -> Result<Incoming, Rejection> {
        structured(body.as_bytes(), &ACME, &Limits::default())
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
        let told = |pairs| {
            serde_json::to_value(Mode::of(&headers(pairs)).unwrap_err()).unwrap()["detail"].to_string()
        };
        assert!(
            told(&[("content-type", "text/plain; charset=utf-8")]).contains("type is \\\"text/plain\\\";")
        );
        assert!(told(&[]).contains("there is no content type;"));
    }

    #[test]
    fn an_id_is_told_wherever_it_can_be_read() {
        let (limits, long) = (Limits::default(), "x".repeat(257));
        let ids = |mode, pairs: &[(&'static str, &'static str)], body: String| -> Vec<Option<String>> {
            let read = read(mode, &headers(pairs), body.into_bytes(), "acme", &limits).unwrap();
            read.into_iter().map(|one| one.unwrap_err().id).collect()
        };
        let seven = || Some("7".to_owned());
        let large = "x".repeat(limits.event_bytes);
        for (member, id) in [
            (format!("{{{},\"type\":\"A\"}}", REST.replace(",\"type\":\"a.b\"", "")), Some("1".to_owned())),
            (r#"{"id":"7"}"#.to_owned(), seven()),
            (r#"{"id":"7","data":{"a":1,"a":2}}"#.to_owned(), seven()),
            (format!(r#"{{"id":"7","data":"{large}"}}"#), seven()),
            (r#"{"id":7}"#.to_owned(), None),
            (format!(r#"{{"id":"{long}"}}"#), None),
            (r#"{"id":"7",}"#.to_owned(), None),
            (r#"{"id":"7","id":"8"}"#.to_owned(), None),
        ] {
            let shown = member.chars().take(100).collect::<String>();
            assert_eq!(ids(Mode::Batch, &[], format!("[{member}]")), std::slice::from_ref(&id), "{shown}");
            assert_eq!(ids(Mode::Structured, &[], member), [id], "{shown}");
        }
        assert_eq!(ids(Mode::Binary, &[("ce-id", "%37")], "{}".to_owned()), [seven()]);
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
    fn a_byte_order_mark_is_taken_off() {
        let incoming = one(&format!("\u{feff}{{{REST}}}")).unwrap();
        assert_eq!(incoming.event.tenant, "acme");
        let Form::Structured(bytes) = incoming.form else { panic!("not structured") };
        assert!(bytes.starts_with(b"{\"tenantid\""));
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
        let incoming = binary(&headers, b"{\"n\": 1.50}".to_vec(), &ACME, &Limits::default()).unwrap();
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
    fn an_event_without_a_trace_belongs_to_the_requests() {
        const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        const OWN: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let read = |mode, pairs: &[(&'static str, &'static str)], body: String, limits: &Limits| {
            let read = read(mode, &headers(pairs), body.into_bytes(), "acme", limits).unwrap();
            read.into_iter()
                .map(|one| one.unwrap().event)
                .map(|event| (event.traceparent.unwrap_or_default(), event.tracestate.unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        let limits = Limits::default();
        let pair = |parent: &str, state: &str| (parent.to_owned(), state.to_owned());
        let batch = || {
            format!("[{{{REST}}}, {{{REST},\"traceparent\":\"{OWN}\"}}, {{\"tenantid\":\"acme\",{REST}}}]")
        };
        let sent = [("traceparent", SENT), ("tracestate", "a=\"1"), ("tracestate", "b=2")];
        let inherited = || pair(SENT, "a=\"1,b=2");
        assert_eq!(read(Mode::Batch, &sent, batch(), &limits), [inherited(), pair(OWN, ""), inherited()]);
        for unusable in [&[("traceparent", "00-0-0-01")][..], &[("traceparent", SENT), ("traceparent", SENT)]]
        {
            assert_eq!(read(Mode::Batch, unusable, batch(), &limits)[0], pair("", ""), "{unusable:?}");
        }
        let binary = [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "shop"),
            ("ce-type", "a.b"),
            ("ce-time", "2026-01-01T00:00:00Z"),
            ("traceparent", SENT),
        ];
        assert_eq!(read(Mode::Binary, &binary, "{}".to_owned(), &limits), [pair(SENT, "")]);
        let own = [&binary[..], &[("ce-traceparent", OWN)]].concat();
        assert_eq!(read(Mode::Binary, &own, "{}".to_owned(), &limits), [pair(OWN, "")]);
        // An event is not too large for its trace's sake.
        let named = format!("{{\"tenantid\":\"acme\",{REST}}}");
        let tight = Limits { event_bytes: named.len(), ..Limits::default() };
        assert_eq!(read(Mode::Structured, &sent, named, &tight), [pair("", "")]);
    }

    #[test]
    fn a_batch_is_taken_apart_and_each_member_read_alone() {
        let limits = Limits { batch_events: 2, ..Limits::default() };
        let read =
            |body: &str| read(Mode::Batch, &HeaderMap::new(), body.as_bytes().to_vec(), "acme", &limits);
        let members = read(&format!("[{{{REST}}}, {{\"id\": 7}}]")).unwrap();
        assert!(members[0].is_ok());
        assert_eq!(members[1].as_ref().unwrap_err().refusal.code, "missing_attribute");
        assert_eq!(read("[{},{},{}]").unwrap_err().code(), "batch_too_many");
        assert_eq!(read("[{}").unwrap_err().code(), "malformed_batch");
        let codes = |body: &str| -> Vec<Option<String>> {
            let read = read(body).unwrap();
            read.into_iter().map(|one| one.err().map(|refused| refused.refusal.code)).collect()
        };
        let (good, syntax) = (format!("{{{REST}}}"), Some("malformed_json".to_owned()));
        assert_eq!(codes(&format!("[{{\"a\":1,}},{good}]")), [syntax, None]);
        assert_eq!(codes(&format!("[{good},{{\"a\":[1}}]")), [None, Some("malformed_batch".to_owned())]);
        assert_eq!(codes(&format!("\u{feff}[{good}]")), [None]);
        assert!(read("[]").unwrap().is_empty());
    }
}
