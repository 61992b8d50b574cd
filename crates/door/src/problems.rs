//! The problems that the door alone answers with.

use automation_http_server::problem::Problem;
use axum::http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::time::Duration;

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

pub(crate) fn not_found() -> Problem {
    let detail = "there is POST /v1/events and POST /v1/hooks/{hook}";
    Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address", detail)
}

pub(crate) fn method_not_allowed() -> Problem {
    let detail = "events are sent with POST";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Wrong method", detail)
}

pub(crate) fn unauthorized() -> Problem {
    let detail = "send a key that is good now: Authorization: Bearer auto_live_…";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "No valid API key", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// The same for a webhook that does not exist and for one whose secret the caller does not know.
pub(crate) fn unproven() -> Problem {
    let detail = "there is no such webhook, or the caller did not prove that it knows its secret";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_signature", "Not accepted", detail)
}

pub(crate) fn rate_limited(wait: Duration) -> Problem {
    let detail = "more events a second than this key or webhook may send";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many events", detail)
        .with_retry_after(wait)
}

/// The tenant keeps more of these tables than it may: nothing is taken in until there is room.
pub(crate) fn over_quota(tables: &[&str]) -> Problem {
    let detail = format!("the tenant keeps more than its quota of {}", tables.join(", "));
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", "Over quota", detail)
}

/// Something that this needs is away; nothing is known to have been accepted.
pub(crate) fn unavailable(code: &str, detail: impl Into<String>) -> Problem {
    Problem::unavailable(code, "Try again: the same events, with the same ids", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_too_much_is_told_when_to_come_again() {
        let response = rate_limited(Duration::from_millis(1_001)).render("r-1");
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
