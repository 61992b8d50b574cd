//! `http_request`: calls a service of someone else, and maps its answer into variables.

mod body;
mod contract;
mod url;

use crate::config::{self, Max, invalid};
use automation_domain::action::{
    Action, ContactUse, Literals, NamedWays, Prepared, StepContext, as_answered, passes,
};
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::credential;
use automation_domain::effect::{HttpRequest, Request};
use automation_domain::http::{check_header_name, check_header_value};
use automation_domain::interpreter::StepError;
use automation_domain::text;
use automation_domain::workflow::variable;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

pub(crate) static ACTION: Action = Action {
    entry: ActionEntry {
        key: "http_request",
        group: "integration",
        description: "Makes an HTTP request and keeps the answer for later steps.",
        effect: Effect::External,
        emits: &[],
    },
    schema: contract::schema,
    contact: ContactUse::None,
    check,
    prepare,
    gate: passes,
    ways: NamedWays::NONE,
    receive: as_answered,
};

/// How long an exchange may take, in milliseconds, unless the node says otherwise.
const TIMEOUT_MS: u32 = 30_000;
/// What a node may say, and a request that was written by hand.
const TIMEOUTS_MS: RangeInclusive<u32> = 1_000..=600_000;
/// Most redirects that can be asked for.
const MAX_REDIRECTS: u8 = 10;
/// Most headers, parameters or variables of a request.
const MAX_MEMBERS: usize = 64;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that carry secrets: those belong into credentials, which are not stored with the request.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// The header by which a receiver tells that it had a request before.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const CONTENT_TYPE: &str = "Content-Type";

fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let method = method(config)?;
    let body = body::read(config)?;
    body::check_method(&method, body.is_some())?;
    let mut headers = headers(config)?;
    let mut text = None;
    if let Some(body) = body {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE)) {
            headers.push((CONTENT_TYPE.to_owned(), body.content_type.to_owned()));
        }
        text = Some(body.text);
    }
    headers.push((IDEMPOTENCY_KEY.to_owned(), step.idempotency_key.to_string()));
    Ok(Prepared::Request(Request::Http(HttpRequest {
        method,
        url: url::read(config)?,
        headers,
        body: text,
        credential: credential(config)?,
        timeout_ms: TIMEOUT_MS,
        redirects: redirects(config)?,
        save: save(config)?,
    })))
}

/// Checks a request that a person wrote by hand, by the rules for workflows: so it carries no secret either.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn check_edited(request: &HttpRequest) -> Result<(), StepError> {
    let config = serde_json::json!({
        "method": request.method, "url": request.url, "credential": request.credential,
        "redirects": request.redirects, "save": request.save,
    });
    if method(&config)? != request.method {
        return Err(invalid(format!("method is \"{}\", which is not in upper case", request.method)));
    }
    url::read(&config)?;
    // What the engine adds by itself may be there.
    let written: Vec<_> =
        request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(IDEMPOTENCY_KEY)).collect();
    let typed = written.iter().filter(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE)).count();
    check_count("headers", written.len() - typed.min(1))?;
    let mut seen = BTreeSet::new();
    for (name, value) in written {
        check_header(name, value, &mut seen)?;
    }
    if let Some(body) = &request.body {
        body::check_text(body)?;
    }
    body::check_method(&request.method, request.body.is_some())?;
    if !TIMEOUTS_MS.contains(&request.timeout_ms) {
        let (least, most) = TIMEOUTS_MS.into_inner();
        return Err(invalid(format!("timeout_ms is {}; {least} to {most} are allowed", request.timeout_ms)));
    }
    credential(&config)?;
    redirects(&config)?;
    save(&config).map(drop)
}

/// What will fail every run whatever its templates come to.
fn check(literals: &Literals) -> Vec<(&'static str, String)> {
    [
        config::check(literals, "method", |config| method(config).map(drop)),
        config::check(literals, "url", |config| url::read(config).map(drop)),
        config::check(literals, "headers", |config| headers(config).map(drop)),
        config::check(literals, "body", |config| {
            let has_body = body::read(config)?.is_some();
            match method(config) {
                Ok(method) if !literals.is_templated("method") => body::check_method(&method, has_body),
                Ok(_) | Err(_) => Ok(()),
            }
        }),
        config::check(literals, "credential", |config| credential(config).map(drop)),
        config::check(literals, "redirects", |config| redirects(config).map(drop)),
        config::check(literals, "save", |config| save(config).map(drop)),
    ]
    .concat()
}

fn method(config: &Value) -> Result<String, StepError> {
    let method = config::optional_text(config, "method", Max::Chars(16))?.unwrap_or(Cow::Borrowed("GET"));
    let method = method.to_ascii_uppercase();
    if METHODS.contains(&method.as_str()) {
        return Ok(method);
    }
    Err(invalid(format!("method is \"{method}\", which is none of {}", METHODS.join(", "))))
}

/// In the order of their names; a header without a value is left out.
fn headers(config: &Value) -> Result<Vec<(String, String)>, StepError> {
    let (mut headers, mut seen) = (Vec::new(), BTreeSet::new());
    for (name, value) in members(config, "headers")? {
        let Some(value) = scalar(value, &format!("headers.{name}"))? else { continue };
        check_header(name, &value, &mut seen)?;
        headers.push((name.clone(), value.into_owned()));
    }
    Ok(headers)
}

/// Checks one header beside those that were seen before.
fn check_header(name: &str, value: &str, seen: &mut BTreeSet<String>) -> Result<(), StepError> {
    check_header_name(name).map_err(|rule| invalid(format!("the header \"{name}\" {rule}")))?;
    check_header_value(value)
        .map_err(|rule| invalid(format!("the value of the header \"{name}\" {rule}")))?;
    let lower = name.to_ascii_lowercase();
    if SECRET_HEADERS.contains(&lower.as_str()) {
        return Err(invalid(format!("the header \"{name}\" carries a secret; name a credential instead")));
    }
    if name.eq_ignore_ascii_case(IDEMPOTENCY_KEY) {
        return Err(invalid(format!("the header \"{name}\" is set by the engine")));
    }
    if !seen.insert(lower) {
        return Err(invalid(format!(
            "the header \"{name}\" stands twice; upper and lower case are the same"
        )));
    }
    Ok(())
}

fn check_count(key: &str, count: usize) -> Result<(), StepError> {
    if count > MAX_MEMBERS {
        return Err(invalid(format!("{key} has {count} members; at most {MAX_MEMBERS} are allowed")));
    }
    Ok(())
}

fn credential(config: &Value) -> Result<Option<String>, StepError> {
    match config::optional_text(config, "credential", Max::Chars(64))? {
        Some(key) if !credential::is_key(&key) => {
            Err(invalid(format!("credential is \"{key}\", which is not a key")))
        }
        key => Ok(key.map(Cow::into_owned)),
    }
}

fn redirects(config: &Value) -> Result<u8, StepError> {
    let Some(text) = config::optional_text(config, "redirects", Max::Chars(8))? else { return Ok(0) };
    text.parse().ok().filter(|number| *number <= MAX_REDIRECTS).ok_or_else(|| {
        invalid(format!("redirects is {text}, which is not a whole number from 0 to {MAX_REDIRECTS}"))
    })
}

fn save(config: &Value) -> Result<BTreeMap<String, String>, StepError> {
    let mut save = BTreeMap::new();
    for (name, path) in members(config, "save")? {
        let path = path.as_str().ok_or_else(|| invalid(format!("save.{name} is not a text")))?;
        if let Err(reason) = contract::check_path(path) {
            return Err(invalid(format!("save.{name} is not a path in the response: {reason}")));
        }
        if !variable::is_name(name) {
            return Err(invalid(format!("save.{name} is not the name of a variable: letters, digits and _")));
        }
        save.insert(name.clone(), path.to_owned());
    }
    Ok(save)
}

/// The members of an object that may be missing.
fn members<'a>(
    config: &'a Value,
    key: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, StepError> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    let members = match config.get(key) {
        None | Some(Value::Null) => &*NONE,
        Some(Value::Object(members)) => members,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(invalid(format!("{key} must be an object")));
        }
    };
    check_count(key, members.len())?;
    Ok(members.iter())
}

/// A text, number or boolean as text; `None` for null.
fn scalar<'a>(value: &'a Value, at: &str) -> Result<Option<Cow<'a, str>>, StepError> {
    match value {
        Value::Null => Ok(None),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(Some(text::of(value))),
        Value::Array(_) | Value::Object(_) => {
            Err(invalid(format!("{at} must be text, not a list or an object")))
        }
    }
}

#[cfg(test)]
mod tests;
