//! Answers that say what is wrong: RFC 9457, with codes of docs/errors.md.

use automation_domain::event::envelope::Refusal;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;

/// A problem; rendered by the middleware, which knows the request's id.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    title: &'static str,
    status: u16,
    /// Stable, from docs/errors.md.
    pub(crate) code: String,
    detail: String,
    /// What is too large, and how large it may be.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    limit: Option<Box<Limit>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<EventError>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// A limit that was exceeded.
#[derive(Clone, Debug, Serialize)]
struct Limit {
    field: &'static str,
    limit: usize,
}

/// What is wrong with one event of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventError {
    /// Its place in the batch, from 0.
    pub(crate) index: usize,
    /// Its id, if that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Stable, from docs/errors.md.
    pub(crate) code: String,
    /// One sentence.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            title,
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            limit: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    pub(crate) fn with_errors(self, errors: Vec<EventError>) -> Self {
        Self { errors, ..self }
    }

    fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    pub(crate) fn not_found() -> Self {
        let detail = "there is POST /v1/events and POST /v1/hooks/{hook}";
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "events are sent with POST";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Wrong method", detail)
    }

    pub(crate) fn unauthorized() -> Self {
        let detail = "send a key that is good now: Authorization: Bearer auto_live_…";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "No valid API key", detail)
    }

    /// The same for a webhook that does not exist and for one whose secret the caller does not know.
    pub(crate) fn unproven() -> Self {
        let detail = "there is no such webhook, or the caller did not prove that it knows its secret";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_signature", "Not accepted", detail)
    }

    pub(crate) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request cannot be read", detail)
    }

    /// The body has a form that is not read.
    pub(crate) fn unsupported(Refusal { code, detail }: Refusal) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, &code, "The body has a form that is not read", detail)
    }

    /// What stands in `field` is larger than `limit`.
    pub(crate) fn too_large(
        code: &str,
        field: &'static str,
        limit: usize,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, "Too large", detail);
        Self { limit: Some(Box::new(Limit { field, limit })), ..problem }
    }

    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let detail = "more events a second than this key or webhook may send";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many events", detail).retry_after(wait)
    }

    /// One party has its share of what is let in at once.
    pub(crate) fn too_many_at_once(detail: String) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_at_once", "Too many requests at once", detail)
            .retry_after(Duration::from_secs(1))
    }

    /// The body comes more slowly than is waited for.
    pub(crate) fn body_too_slow(bytes_per_second: u32) -> Self {
        let detail = format!("the body came at less than {bytes_per_second} bytes a second");
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "The body does not come", detail)
    }

    /// The tenant keeps more of these tables than it may: nothing is taken in until there is room.
    pub(crate) fn over_quota(tables: &[&str]) -> Self {
        let detail = format!("the tenant keeps more than its quota of {}", tables.join(", "));
        Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", "Over quota", detail)
    }

    /// Something that this needs is away; nothing is known to have been accepted.
    pub(crate) fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            "Try again: the same events, with the same ids",
            detail,
        )
        .retry_after(Duration::from_secs(2))
    }

    pub(crate) fn internal() -> Self {
        let detail = "the request failed; its id is in the logs";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal error", detail)
    }

    /// The answer; `instance` names the request.
    pub(crate) fn render(&self, request_id: &str) -> Response {
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
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.code == "unsupported_content_encoding" {
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if status == StatusCode::UNAUTHORIZED && self.code == "unauthorized" {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// A response that carries the problem to the middleware.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
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
        let response = Problem::rate_limited(Duration::from_millis(1_001)).render("r-1");
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
