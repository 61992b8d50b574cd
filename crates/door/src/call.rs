//! From a call of a webhook to the event `webhook.received`: what was sent, without what proves who sent it.

use automation_domain::encoding;
use automation_domain::event::envelope::{self, Rejection};
use automation_domain::hook::EVENT_TYPE;
use automation_domain::json;
use automation_http_server::coding::{self, Charset};
use automation_http_server::{body, form};
use automation_store::access::hooks::Hook;
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
    pub(crate) fn into_event(self) -> Result<Vec<u8>, Rejection> {
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
                query: self.query()?,
                body: self.body()?,
            },
        };
        serde_json::to_vec(&document).map_err(|error| Rejection::new("malformed_json", error.to_string()))
    }

    fn query(&self) -> Result<Map<String, Value>, Rejection> {
        let query = self.parts.uri.query().unwrap_or_default();
        form::read(query.as_bytes(), &Charset::of(None)?, "a parameter of the address")
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
    fn body(&self) -> Result<Box<RawValue>, Rejection> {
        let content_type = body::content_type(&self.parts.headers);
        let media_type = body::media_type(content_type);
        if self.body.is_empty() {
            return raw(&Value::Null);
        }
        if media_type == "application/json" || media_type.ends_with("+json") {
            return json_body(coding::json_text(self.body, content_type)?);
        }
        if media_type == "application/x-www-form-urlencoded" {
            let form = form::read(
                encoding::without_mark(self.body),
                &Charset::of(content_type)?,
                "a field of the form",
            )?;
            return raw(&Value::Object(form));
        }
        if media_type.starts_with("multipart/") {
            let detail = format!(
                "{media_type} is not read; send a form as application/x-www-form-urlencoded, or JSON"
            );
            return Err(Rejection::new("unsupported_content_type", detail));
        }
        let charset = Charset::of(content_type)?;
        let names_charset = content_type.is_some_and(|text| encoding::charset(text).is_some());
        let is_text =
            names_charset || media_type.starts_with("text/") || std::str::from_utf8(self.body).is_ok();
        if !is_text {
            return Err(Rejection::new(
                "unsupported_content_type",
                "the body is not text; JSON, forms and other text are read",
            ));
        }
        raw(&Value::String(charset.text(self.body, "the body")?))
    }
}

fn json_body(text: String) -> Result<Box<RawValue>, Rejection> {
    match RawValue::from_string(text.clone()) {
        Ok(json) => Ok(json),
        // Once more, for the place.
        Err(error) => Err(match json::parse(text.as_bytes(), json::MAX_DEPTH) {
            Err(error) => envelope::refuse_json(error.below("data.body")),
            Ok(_) => Rejection::new("malformed_json", format!("not valid JSON: {error}")),
        }),
    }
}

fn raw(value: &Value) -> Result<Box<RawValue>, Rejection> {
    to_raw_value(value).map_err(|error| Rejection::new("malformed_json", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::catalogue::payload;
    use automation_domain::hook::{HookId, Verification};
    use axum::http::Request;
    use serde_json::json;

    fn event(content_type: &str, uri: &str, body: &[u8]) -> Result<Value, Rejection> {
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
        assert_eq!(
            body("application/x-www-form-urlencoded; charset=iso-8859-1", b"a=%FC"),
            Ok(json!({ "a": "ü" }))
        );
        assert_eq!(body("text/plain", "grüße".as_bytes()), Ok(json!("grüße")));
        assert_eq!(body("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe"), Ok(json!("grüße")));
        assert_eq!(body("application/json", b"\xef\xbb\xbf[1]"), Ok(json!([1])));
        assert_eq!(body("application/json", b""), Ok(Value::Null));
        assert_eq!(body("application/json", b"{").unwrap_err().code, "malformed_json");
        let broken = body("application/json", b"{\"a\":[tru]}").unwrap_err().detail;
        assert!(broken.starts_with("data.body.a[0]: not valid JSON"), "{broken}");
        assert_eq!(body("text/plain", b"\xfc").unwrap_err().code, "unsupported_charset");
        assert_eq!(
            body("application/x-www-form-urlencoded", b"a=%FC").unwrap_err().code,
            "unsupported_charset"
        );
        let multipart = body("multipart/form-data; boundary=x", b"--x--").unwrap_err();
        assert_eq!(multipart.code, "unsupported_content_type");
        assert!(multipart.detail.contains("multipart/form-data"), "{}", multipart.detail);
        let query = event("text/plain", "/?a=%FC", b"").unwrap_err();
        assert_eq!(query.code, "unsupported_charset");
        assert_eq!(body("image/png", b"\x89PNG").unwrap_err().code, "unsupported_content_type");
    }
}
