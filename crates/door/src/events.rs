//! `POST /v1/events`: one event or a batch, with an API key.
//!
//! A request is accepted as a whole or not at all: when one event of a batch is refused, none is published, and the
//! answer says of each what is wrong.

use crate::Door;
use crate::pools::{self, Name};
use crate::problems::{self, EventError};
use crate::reading::{self, Incoming, Mode, Refused};
use automation_domain::catalogue::payload;
use automation_domain::event::ENGINE_SOURCE;
use automation_domain::event::admission::{self, Reason};
use automation_domain::event::envelope::Rejection;
use automation_domain::grant::{allows, api_key_publisher};
use automation_domain::limits::Limits;
use automation_http_server::peer::Peer;
use automation_http_server::problem::Problem;
use automation_http_server::{body, coding, query};
use automation_service_kit::clock;
use automation_store::access::api_keys::KeyHolder;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::sync::Arc;

/// Longest key that a caller may give its request, in bytes.
const MOST_IDEMPOTENCY_KEY_BYTES: usize = 256;

pub(crate) async fn receive(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let unproven = door.pools.enter(peer, None).map_err(pools::refused)?;
    let holder = door.keys.holder(&door.db, (&door.questions, peer), headers).await?;
    let _place = door.pools.admit(peer, Name::Tenant(holder.tenant_id)).map_err(pools::refused)?;
    drop(unproven);
    check_idempotency_key(headers)?;
    let follows_schemas = follows_schemas(parts.uri.query())?;
    // One before anything is read: whoever sends too much is not read at all.
    let key = holder.api_key_id.to_string();
    door.rates.take(&key, 1, clock::now()).map_err(problems::rate_limited)?;
    door.check_quota(holder.tenant_id, peer).await?;
    coding::check(headers)?;
    let mode = Mode::of(headers)?;
    let bytes =
        body::read(headers, body, mode.limit(&door.config.limits), door.config.bytes_per_second).await?;
    let read = reading::read(mode, headers, bytes, &holder.tenant, &door.config.limits)?;
    let (mut events, mut errors) = (Vec::with_capacity(read.len()), Vec::new());
    for (index, outcome) in read.into_iter().enumerate() {
        match outcome {
            Err(Refused { id, refusal: Rejection { code, detail } }) => {
                errors.push(EventError { index, id, code, detail });
            }
            Ok(incoming) => match admit(&incoming, &holder, &door.config.limits, follows_schemas) {
                Ok(()) => events.push(incoming),
                Err((code, detail)) => {
                    let id = Some(incoming.event.id);
                    errors.push(EventError { index, id, code: code.to_owned(), detail });
                }
            },
        }
    }
    if !errors.is_empty() {
        return Err(refused(mode, errors, &door.config.limits));
    }
    door.rates.take(&key, events.len().saturating_sub(1), clock::now()).map_err(problems::rate_limited)?;
    door.publish(holder.tenant_id, &api_key_publisher(&holder.name), events).await
}

/// What ingest will check of events from this key, and what it cannot: that a key speaks for its tenant alone.
fn admit(
    incoming: &Incoming,
    holder: &KeyHolder,
    limits: &Limits,
    follows_schemas: bool,
) -> Result<(), Reason> {
    let event = &incoming.event;
    if event.tenant != holder.tenant {
        return Err((
            "tenant_mismatch",
            format!("tenantid is \"{}\", which is not the key's tenant", event.tenant),
        ));
    }
    if event.source == ENGINE_SOURCE {
        return Err(("reserved_source", format!("only the engine publishes as source \"{ENGINE_SOURCE}\"")));
    }
    admission::check_type(event)?;
    if !allows(&holder.event_types, &event.event_type) {
        return Err(("not_granted", format!("this key may not publish {}", event.event_type)));
    }
    admission::check_depth(event, limits)?;
    if follows_schemas && let Err(mismatches) = payload::check(&event.event_type, &event.data) {
        let places: Vec<String> =
            mismatches.iter().map(|mismatch| format!("data{}: {}", mismatch.at, mismatch.detail)).collect();
        return Err(("schema_mismatch", places.join("; ")));
    }
    Ok(())
}

/// The answer to a request with events that are refused.
fn refused(mode: Mode, errors: Vec<EventError>, limits: &Limits) -> Problem {
    let problem = match (mode, errors.as_slice()) {
        (Mode::Structured | Mode::Binary, [only]) => of_one(only, limits),
        (Mode::Structured | Mode::Binary | Mode::Batch, all) => {
            let detail = format!("{} of the events are refused, and none was published", all.len());
            match all.iter().find(|error| error.code == "event_too_large") {
                Some(error) => Problem::too_large(&error.code, "event", limits.event_bytes, detail),
                None => {
                    let status = StatusCode::UNPROCESSABLE_ENTITY;
                    Problem::new(status, "invalid_events", "Some events are refused", detail)
                }
            }
        }
    };
    problem.with_errors(errors)
}

/// The answer to one event that is refused.
pub(crate) fn of_one(EventError { code, detail, .. }: &EventError, limits: &Limits) -> Problem {
    let status = match code.as_str() {
        "event_too_large" => return Problem::too_large(code, "event", limits.event_bytes, detail),
        "malformed_json" | "duplicate_key" | "nul_character" | "json_too_deep" | "number_not_exact"
        | "not_an_event" => return Problem::bad_request(code, detail),
        "unsupported_content_type" | "unsupported_content_encoding" | "unsupported_charset" => {
            return Problem::unsupported(Rejection::new(code, detail.as_str()));
        }
        "tenant_mismatch" | "reserved_source" | "reserved_type" | "not_granted" => StatusCode::FORBIDDEN,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, code, "The event is refused", detail)
}

/// The key is accepted because clients send one; what makes a repeated request harmless are the ids of its events.
fn check_idempotency_key(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(()) };
    match key.to_str() {
        Ok(text) if (1..=MOST_IDEMPOTENCY_KEY_BYTES).contains(&text.trim().len()) => Ok(()),
        Ok(_) | Err(_) => Err(Problem::bad_request(
            "invalid_idempotency_key",
            format!("Idempotency-Key is 1 to {MOST_IDEMPOTENCY_KEY_BYTES} ASCII characters"),
        )),
    }
}

fn follows_schemas(asked: Option<&str>) -> Result<bool, Problem> {
    query::check(asked, &["validate"])?;
    let asked = asked.unwrap_or_default().split('&').find_map(|pair| match pair.split_once('=') {
        Some(("validate", word)) => Some(word),
        None if pair == "validate" => Some("true"),
        Some(_) | None => None,
    });
    match asked {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::bad_request("invalid_query", "validate is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_is_asked_for_in_the_query() {
        for (query, expected) in [
            (None, Some(false)),
            (Some("validate"), Some(true)),
            (Some("a=b&validate=true"), None),
            (Some("validte=true"), None),
            (Some("validate=false"), Some(false)),
            (Some("validate=maybe"), None),
        ] {
            assert_eq!(follows_schemas(query).ok(), expected, "{query:?}");
        }
    }

    #[test]
    fn the_status_tells_who_can_mend_it() {
        let error =
            |code: &str| EventError { index: 0, id: None, code: code.to_owned(), detail: String::new() };
        let status = |mode, code: &str| {
            let problem = refused(mode, vec![error(code)], &Limits::default());
            serde_json::to_value(problem).unwrap()["status"].as_u64().unwrap()
        };
        for (mode, code, expected) in [
            (Mode::Structured, "malformed_json", 400),
            (Mode::Structured, "tenant_mismatch", 403),
            (Mode::Binary, "missing_attribute", 422),
            (Mode::Structured, "event_too_large", 413),
            (Mode::Batch, "event_too_large", 413),
            (Mode::Batch, "tenant_mismatch", 422),
        ] {
            assert_eq!(status(mode, code), expected, "{mode:?} {code}");
        }
    }
}
