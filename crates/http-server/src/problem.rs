//! Answers that say what is wrong: RFC 9457, with codes of docs/errors.md.

use automation_domain::event::envelope::Rejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Wait that is proposed to whoever has too many requests under way: they end by themselves.
const SOON: Duration = Duration::from_secs(1);
/// Wait that is proposed when something is away.
const LATER: Duration = Duration::from_secs(2);

/// A problem; the server renders it, which knows the request's id.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    code: Box<str>,
    detail: String,
    /// What is too large, and how large it may be.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    limit: Option<Box<Limit>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Value>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A limit that was exceeded.
#[derive(Clone, Debug, Serialize)]
struct Limit {
    field: &'static str,
    limit: usize,
}

impl Problem {
    /// A problem of this status; `code` is stable, `title` the same for every one of its kind, `detail` one sentence.
    pub fn new(status: StatusCode, code: &str, title: &'static str, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { title, status, code, detail, limit: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// Its stable code, from docs/errors.md.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same with what is wrong in several places of a request.
    pub fn with_errors<E: Serialize>(self, errors: impl IntoIterator<Item = E>) -> Self {
        let value = |error| serde_json::to_value(error).expect("an error is texts and numbers");
        Self { errors: errors.into_iter().map(value).collect(), ..self }
    }

    /// The same with a header; one of this name is replaced.
    pub fn with_header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.retain(|(given, _)| *given != name);
        self.headers.push((name, value.into()));
        self
    }

    /// The same with when to come again, in whole seconds, rounded up and at least one.
    pub fn with_retry_after(self, delay: Duration) -> Self {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, seconds.max(1))
    }

    /// 400: the request is not what it has to be.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request cannot be read", detail)
    }

    /// 415: the body has a form that is not read.
    pub fn unsupported(Rejection { code, detail }: Rejection) -> Self {
        const TITLE: &str = "The body has a form that is not read";
        let problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &code, TITLE, detail);
        match code.as_str() {
            "unsupported_content_encoding" => {
                problem.with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            }
            _ => problem,
        }
    }

    /// 413: what stands in `field` is larger than `limit`.
    pub fn too_large(code: &str, field: &'static str, limit: usize, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, "Too large", detail);
        Self { limit: Some(Box::new(Limit { field, limit })), ..problem }
    }

    /// 429: one party has its share of what is let in at once.
    pub fn too_many_at_once(detail: impl Into<String>) -> Self {
        const TITLE: &str = "Too many requests at once";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_at_once", TITLE, detail).with_retry_after(SOON)
    }

    /// 408: the body comes more slowly than is waited for.
    pub fn body_too_slow(bytes_per_second: u32) -> Self {
        let detail = format!("the body came at less than {bytes_per_second} bytes a second");
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "The body does not come", detail)
    }

    /// 503: something that this needs is away; `title` says what the caller may do once it is back.
    pub fn unavailable(code: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail).with_retry_after(LATER)
    }

    /// 500: the request panicked.
    pub(crate) fn internal() -> Self {
        let detail = "the request failed; its id is in the logs";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal error", detail)
    }

    /// The answer; `instance` names the request.
    pub fn render(&self, request_id: &str) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(rename = "type")]
            kind: String,
            #[serde(flatten)]
            problem: &'a Problem,
            instance: String,
        }
        let document = Document {
            kind: format!("urn:automation:problem:{}", self.code),
            problem: self,
            instance: format!("urn:automation:request:{request_id}"),
        };
        let body = serde_json::to_string(&document).expect("texts and numbers serialise");
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

impl IntoResponse for Problem {
    /// A response that carries the problem to the server.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_code_limit_and_request_and_rounds_waiting_up() {
        let problem = Problem::too_large("batch_too_many", "events", 500, "501 events");
        let value = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            (&value["field"], &value["limit"], &value["status"]),
            (&"events".into(), &500.into(), &413.into())
        );
        assert!(value.get("errors").is_none());
        let response =
            Problem::too_many_at_once("wait").with_retry_after(Duration::from_millis(1_001)).render("r-1");
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
