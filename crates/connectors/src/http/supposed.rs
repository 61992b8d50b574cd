//! What an answer would mean that was never received: for trying workflows out without sending anything.

use super::answer::{Answer, Ended};
use super::conclude;
use super::failure::Failure;
use super::output::Bounds;
use crate::mask::Mask;
use automation_domain::effect::{Outcome, Request};
use automation_domain::limits::Limits;
use automation_domain::outbound::Outbound;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::time::SystemTime;

/// What is supposed to come of a try of a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Supposed {
    /// The server answers.
    Answer {
        /// Of 200 to 599, and none that leads elsewhere (300 to 399): redirects are not followed here.
        status: u16,
        /// By name; one that HTTP could not carry is left out.
        headers: Vec<(String, String)>,
        /// As it would come over the wire.
        body: Vec<u8>,
    },
    /// It does not answer in time, and may have acted on the request.
    TimedOut,
    /// There is no connection to it.
    NotConnected,
    /// The connection breaks before it answers; it may have acted on the request.
    ConnectionLost,
}

/// What it would come to, read by the code that reads what is received. Pure: nothing is sent, and `now` is when a server's
/// `Retry-After` is read.
pub fn suppose(request: &Request, supposed: &Supposed, limits: &Limits, now: SystemTime) -> Outcome {
    let Request::Http(request) = request;
    let (status, headers, body) = match supposed {
        Supposed::Answer { status, headers, body } => (*status, headers, body),
        Supposed::TimedOut => return Failure::timed_out().into_outcome(),
        Supposed::NotConnected => return Failure::not_connected().into_outcome(),
        Supposed::ConnectionLost => return Failure::connection_lost().into_outcome(),
    };
    let Ok(status) = StatusCode::from_u16(status) else { return Failure::broken().into_outcome() };
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        })
        .collect();
    let bounds = Bounds::new(&Outbound::default(), limits);
    let limit = bounds.response_bytes;
    let (body, ended) = match body.get(..limit).filter(|_| body.len() > limit) {
        Some(beginning) => (beginning.to_vec(), Ended::TooLarge { limit }),
        None => (body.clone(), Ended::Complete),
    };
    let answer = Answer { status, headers, body, ended };
    conclude(&bounds, request, &answer, &Mask::new(None), now).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::effect::HttpRequest;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn comes_to(supposed: &Supposed) -> Outcome {
        let request = Request::Http(HttpRequest {
            method: "GET".to_owned(),
            url: "https://example.com/".to_owned(),
            headers: Vec::new(),
            body: None,
            credential: None,
            timeout_ms: 1_000,
            redirects: 0,
            save: BTreeMap::from([("level".to_owned(), "body.level".to_owned())]),
        });
        suppose(&request, supposed, &Limits::default(), SystemTime::UNIX_EPOCH)
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Supposed {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Supposed::Answer { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_supposed_answer_means_what_a_received_one_means() {
        let json = [("content-type", "application/json")];
        let Outcome::Done { output, vars } = comes_to(&answer(200, &json, r#"{"level":"gold"}"#)) else {
            panic!("not done")
        };
        assert_eq!((&output["body"], &vars["level"]), (&json!({ "level": "gold" }), &json!("gold")));
        let code = |outcome: Outcome| match outcome {
            Outcome::Retry { error, after, reached } => (error.code, Some((after, reached))),
            Outcome::Failed { error } => (error.code, None),
            Outcome::Done { .. } => panic!("done"),
        };
        for (supposed, expected, again) in [
            (answer(404, &[], ""), "http_404", None),
            (answer(503, &[], ""), "http_503", Some((None, true))),
            (answer(429, &[("retry-after", "7")], ""), "http_429", Some((Some(7), true))),
            (answer(200, &json, "{"), "response_unreadable", None),
            (answer(200, &[], &"x".repeat(2 * 1024 * 1024)), "response_too_large", None),
            (Supposed::TimedOut, "timeout", Some((None, true))),
            (Supposed::NotConnected, "connect_failed", Some((None, false))),
            (Supposed::ConnectionLost, "connection_lost", Some((None, true))),
        ] {
            let again = again.map(|(after, reached)| (after.map(Duration::from_secs), reached));
            assert_eq!(code(comes_to(&supposed)), (expected.to_owned(), again), "{supposed:?}");
        }
    }
}
