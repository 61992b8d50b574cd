//! From a call of a webhook to the event `webhook.received`: what was sent, without what proves who sent it.

use automation_domain::event::envelope::Refusal;
use automation_domain::hook::EVENT_TYPE;
use automation_store::hooks::Hook;
use axum::http::header;
use axum::http::request::Parts;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A call by somebody who proved who it is.
pub(crate) struct Call<'a> {
    pub(crate) hook: &'a Hook,
    pub(crate) tenant: &'a str,
    /// Which delivery it is.
    pub(crate) id: &'a str,
    /// When it was sent.
    pub(crate) at: DateTime<Utc>,
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a [u8],
}

#[derive(Serialize)]
struct Document<'a> {
    specversion: &'a str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    time: String,
    tenantid: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    hook_id: &'a str,
    name: &'a str,
    method: &'a str,
    headers: BTreeMap<&'a str, String>,
    query: Map<String, Value>,
    body: Box<RawValue>,
}

impl Call<'_> {
    /// The event, in structured mode.
    pub(crate) fn into_event(self) -> Result<Vec<u8>, Refusal> {
        let document = Document {
            specversion: "1.0",
            id: self.id,
            source: self.hook.hook_id.event_source(),
            event_type: EVENT_TYPE,
            time: self.at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            tenantid: self.tenant,
            data: Data {
                hook_id: self.hook.hook_id.as_str(),
                name: &self.hook.name,
                method: self.parts.method.as_str(),
                headers: self.headers(),
                query: pairs(self.parts.uri.query().unwrap_or_default().as_bytes()),
                body: self.body()?,
            },
        };
        serde_json::to_vec(&document).map_err(|error| Refusal::new("malformed_json", error.to_string()))
    }

    fn headers(&self) -> BTreeMap<&str, String> {
        let allowed = self.hook.headers.iter().map(|name| {
            let all = self.parts.headers.get_all(name.as_str()).iter();
            let values: Vec<&str> = all.filter_map(|value| value.to_str().ok()).collect();
            (name.as_str(), values)
        });
        allowed
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| (name, values.join(", ")))
            .collect()
    }

    /// JSON as it is, a form as an object, other text as a string, nothing as null.
    fn body(&self) -> Result<Box<RawValue>, Refusal> {
        let content_type = self.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        let media_type = media_type.to_ascii_lowercase();
        if self.body.is_empty() {
            return raw(&Value::Null);
        }
        if media_type == "application/x-www-form-urlencoded" {
            return raw(&Value::Object(pairs(self.body)));
        }
        let text = std::str::from_utf8(self.body).map_err(|_| {
            Refusal::new(
                "unsupported_content_type",
                "the body is not text; JSON, forms and other text are read",
            )
        })?;
        if media_type == "application/json" || media_type.ends_with("+json") {
            let json = RawValue::from_string(text.to_owned());
            return json.map_err(|error| Refusal::new("malformed_json", format!("not valid JSON: {error}")));
        }
        raw(&Value::String(text.to_owned()))
    }
}

fn raw(value: &Value) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(value).map_err(|error| Refusal::new("malformed_json", error.to_string()))
}

/// Parameters by name; one that stands several times is a list.
fn pairs(encoded: &[u8]) -> Map<String, Value> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        all.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    all.into_iter()
        .map(|(name, mut values)| match (values.pop(), values.is_empty()) {
            (Some(only), true) => (name, Value::String(only)),
            (last, _) => (name, values.into_iter().chain(last).map(Value::String).collect()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::catalogue::payload;
    use automation_domain::hook::{HookId, Verification};
    use axum::http::Request;
    use serde_json::json;

    fn event(content_type: &str, uri: &str, body: &[u8]) -> Result<Value, Refusal> {
        let hook = Hook {
            hook_id: HookId::from_random(&[1; 24]),
            name: "shop".to_owned(),
            verification: Verification::Standard,
            headers: vec!["content-type".to_owned(), "x-topic".to_owned(), "x-none".to_owned()],
            id_header: None,
        };
        let request = Request::post(uri)
            .header("content-type", content_type)
            .header("x-topic", "orders")
            .header("x-topic", "paid")
            .header("cookie", "secret")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let call = Call { hook: &hook, tenant: "acme", id: "msg_1", at, parts: &parts, body };
        Ok(serde_json::from_slice(&call.into_event()?).unwrap())
    }

    #[test]
    fn a_call_is_an_event_with_what_was_let_through() {
        let event = event("application/json", "/v1/hooks/x?a=1&b=2&a=%C3%A4+", b"{\"total\": 1.50}").unwrap();
        assert_eq!(
            (&event["id"], &event["type"], &event["tenantid"]),
            (&json!("msg_1"), &json!("webhook.received"), &json!("acme"))
        );
        assert!(event["source"].as_str().unwrap().starts_with("/v1/hooks/hk_"));
        assert_eq!(event["time"], "2026-09-21T14:13:20Z");
        let data = &event["data"];
        assert_eq!(data["headers"], json!({ "content-type": "application/json", "x-topic": "orders, paid" }));
        assert_eq!(data["query"], json!({ "a": ["1", "ä "], "b": "2" }));
        assert_eq!(data["body"], json!({ "total": 1.5 }));
        assert_eq!(payload::check("webhook.received", data), Ok(()));
    }

    #[test]
    fn a_body_is_read_by_its_content_type() {
        let body = |content_type: &str, body: &[u8]| {
            event(content_type, "/", body).map(|event| event["data"]["body"].clone())
        };
        assert_eq!(body("application/vnd.shop+json; v=1", b"[1]"), Ok(json!([1])));
        assert_eq!(
            body("application/x-www-form-urlencoded", b"a=1&b=%20"),
            Ok(json!({ "a": "1", "b": " " }))
        );
        assert_eq!(body("text/plain", "grüße".as_bytes()), Ok(json!("grüße")));
        assert_eq!(body("application/json", b""), Ok(Value::Null));
        assert_eq!(body("application/json", b"{").unwrap_err().code, "malformed_json");
        assert_eq!(body("image/png", b"\x89PNG").unwrap_err().code, "unsupported_content_type");
    }
}
