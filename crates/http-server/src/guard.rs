//! Around every request: an id, who is at the other end, a deadline, and an answer even to a panic.

use crate::peer::Proxies;
use crate::problem::Problem;
use automation_service_kit::ids;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a caller may give its request, in bytes.
const MOST_ID_BYTES: usize = 128;

/// The address at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected(pub(crate) IpAddr);

/// What every request is guarded with.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) proxies: Proxies,
    pub(crate) timeout: Duration,
    pub(crate) timed_out: Problem,
    pub(crate) requests: Counter<u64>,
}

pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    Extension(Connected(address)): Extension<Connected>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let peer = guard.proxies.peer(address, request.headers());
    request.extensions_mut().insert(peer);
    let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match tokio::time::timeout(guard.timeout, answering).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_panic)) => {
            tracing::error!(request.id = id, "a request panicked");
            Err(Problem::internal())
        }
        Err(_elapsed) => Err(guard.timed_out.clone()),
    };
    let mut response = match response {
        Ok(mut response) => match response.extensions_mut().remove::<Problem>() {
            Some(problem) => problem.render(&id),
            None => response,
        },
        Err(problem) => problem.render(&id),
    };
    let status = KeyValue::new("status", i64::from(response.status().as_u16()));
    guard.requests.add(1, &[status]);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The caller's id of the request, if it is one that may stand in a log, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_plain = |text: &&str| {
        (1..=MOST_ID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    given.filter(is_plain).map_or_else(|| ids::new_id().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_forge_a_log_line_is_replaced() {
        let with = |value: &'static str| {
            request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(value))]))
        };
        assert_eq!(with("order-7.a_b"), "order-7.a_b");
        for bad in ["", "a b", "a\tb", "{\"level\":\"error\"}"] {
            assert_eq!(with(bad).len(), 36, "{bad}");
        }
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }
}
