//! What a run asked of the world outside: the request as it is sent, each try, and what came back last.

use super::{short, taken};
use crate::output::time;
use automation_domain::effect::{HttpRequest, Request, Response};
use automation_operations::runs::{StoredEffect, Try};
use chrono::TimeDelta;
use serde_json::Value;

/// The request, to be read. It names credentials and never holds their values.
pub(super) fn told(effect: &StoredEffect) -> Vec<String> {
    let visit = if effect.key.visit > 1 { format!(" (visit {})", effect.key.visit) } else { String::new() };
    let Request::Http(request) = &effect.request;
    let mut lines = vec![format!(
        "{}{visit} asks {} {}, {}",
        effect.key.node,
        request.method,
        request.url,
        effect.status.as_str()
    )];
    lines.push(format!(
        "  key       {}, {}",
        effect.idempotency_key,
        effect.delivery.as_str().replace('_', " ")
    ));
    lines.extend(sent(request));
    lines.extend(effect.tries.iter().map(tried));
    lines.extend(effect.response.as_ref().map(answered));
    lines
}

fn sent(request: &HttpRequest) -> Vec<String> {
    let mut lines: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("  header    {name}: {value}")).collect();
    lines.extend(request.credential.as_ref().map(|key| format!("  credential {key}")));
    lines.extend(request.body.as_ref().map(|body| format!("  body      {}", text(body))));
    lines
}

fn tried(one: &Try) -> String {
    let took = taken(TimeDelta::milliseconds(i64::try_from(one.took_ms).unwrap_or(i64::MAX)));
    let status = one.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let came = match (&one.message, &one.code) {
        (Some(message), Some(code)) => format!("{message} [{code}]"),
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => "done".to_owned(),
    };
    format!(
        "  try {:<5} attempt {}, ended {} after {took}{status}: {came}",
        one.number,
        one.attempt,
        time(one.at)
    )
}

fn answered(response: &Response) -> String {
    let more = if response.truncated { ", and more" } else { "" };
    format!("  answer    {} {}{more}", response.status, text(&response.body))
}

/// Text on one line, in at most 100 characters.
fn text(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => short(&value),
        Err(_) => short(&Value::from(text)),
    }
}
