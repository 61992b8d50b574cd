//! What happens when a node's step fails, and how its request is sent: `timeout`, `delivery`, `retry`, `on_error`.

use super::reader::{Keys, Reader, Section};
use crate::catalogue::Effect;
use crate::retry::{MOST_ATTEMPTS, RetryPolicy};
use crate::workflow::kinds::Kind;
use crate::workflow::{Delivery, Sending};
use chrono::TimeDelta;
use serde_json::Value;
use std::time::Duration;

/// The keys of a node that this file reads.
pub(in crate::workflow) const KEYS: [&str; 4] = ["timeout", "delivery", "retry", ON_ERROR];

const ON_ERROR: &str = "on_error";
const RETRY: Keys = Keys { what: "retry", known: &["delays"], later: &[] };
/// Shortest and longest time for one exchange, in seconds.
const TIMEOUT_SECONDS: (i64, i64) = (1, 600);

/// Where a node goes on when its step fails, as written.
pub(super) struct OnError {
    pub(super) to: String,
    pub(super) at: String,
}

/// Whether a key makes sense on a kind: what does not leave the engine is not sent, and some nodes cannot fail.
pub(in crate::workflow) fn makes_sense(key: &str, kind: &dyn Kind) -> bool {
    if key == ON_ERROR { kind.can_fail() } else { kind.entry().effect == Effect::External }
}

pub(super) fn on_error(reader: &mut Reader<'_>, section: Section<'_>) -> Option<OnError> {
    section.get(ON_ERROR)?;
    let to = reader.name(section, ON_ERROR)?.to_owned();
    Some(OnError { to, at: section.at(ON_ERROR) })
}

/// How the action is sent. Keys that make no sense on it are problems.
pub(super) fn sending(reader: &mut Reader<'_>, section: Section<'_>, kind: &dyn Kind) -> Sending {
    let action = kind.entry().key;
    for key in KEYS {
        if section.get(key).is_some() && !makes_sense(key, kind) {
            let why = if key == ON_ERROR { "cannot fail" } else { "sends nothing outside the engine" };
            let message = format!("\"{key}\" makes no sense here: {action} {why}");
            reader.problem::<()>("misplaced_key", section.at(key), message);
        }
    }
    let deliveries = Delivery::ALL.map(|delivery| (delivery.as_str(), delivery));
    Sending {
        timeout: section.get("timeout").and_then(|value| timeout(reader, value, &section.at("timeout"))),
        delivery: reader.choice(section, "delivery", &deliveries).unwrap_or_default(),
        retry: section
            .get("retry")
            .and_then(|value| retry(reader, value, &section.at("retry")))
            .unwrap_or_default(),
    }
}

fn timeout(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<Duration> {
    let length = reader.duration(value, at)?;
    let (shortest, longest) = TIMEOUT_SECONDS;
    if length < TimeDelta::seconds(shortest) || length > TimeDelta::seconds(longest) {
        return reader.problem("bad_value", at, "a timeout is from 1s to 10m");
    }
    length.to_std().ok()
}

fn retry(reader: &mut Reader<'_>, value: &Value, at: &str) -> Option<RetryPolicy> {
    match value.as_str() {
        Some("ladder") => return Some(RetryPolicy::Ladder),
        Some("none") => return Some(RetryPolicy::None),
        Some(_) => {
            let message =
                format!("{value} is no way to try again: ladder, none, or {{ delays: [0s, 10s, 1m] }}");
            return reader.problem("bad_value", at, message);
        }
        None => {}
    }
    let section = reader.section(value, at, &RETRY)?;
    reader.required(section, "delays")?;
    let items = reader.list(section, "delays")?;
    let at = section.at("delays");
    if items.is_empty() || items.len() > MOST_ATTEMPTS {
        let message =
            format!("delays has one entry per attempt, from 1 to {MOST_ATTEMPTS}; this has {}", items.len());
        return reader.problem("bad_value", at, message);
    }
    let mut delays = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        delays.push(reader.duration(item, &format!("{at}[{index}]"))?.to_std().ok()?);
    }
    if delays[0] > Duration::ZERO {
        let message = "the first attempt is made at once: its entry is 0s; to wait before it, use a delay";
        return reader.problem("bad_value", format!("{at}[0]"), message);
    }
    Some(RetryPolicy::Delays(delays))
}
