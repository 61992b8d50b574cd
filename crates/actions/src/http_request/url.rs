//! The URL with its parameters. Whether it may be called is decided when it is sent.

use super::{members, scalar};
use crate::config::{self, Max, invalid};
use automation_domain::interpreter::StepError;
use serde_json::Value;
use std::fmt::Write as _;

/// Longest URL, in bytes.
const URL_BYTES: usize = 8 * 1024;

pub(super) fn read(config: &Value) -> Result<String, StepError> {
    let text = config::text(config, "url", Max::Bytes(URL_BYTES))?;
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !scheme.is_some_and(|scheme| scheme == "http" || scheme == "https") {
        return Err(invalid("url does not begin with https:// or http://".to_owned()));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid("url contains white space; give values in query, which encodes them".to_owned()));
    }
    check_authority(&text)?;
    // What stands behind # is for browsers, and is not sent.
    let mut url = text.split('#').next().unwrap_or_default().to_owned();
    let query = match config.get("query") {
        None | Some(Value::Null) => String::new(),
        Some(query) => encode_pairs(query, "query")?,
    };
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&query);
    }
    if url.len() > URL_BYTES {
        return Err(invalid(format!(
            "url has {} bytes with its query; at most {URL_BYTES} are allowed",
            url.len()
        )));
    }
    Ok(url)
}

/// Checks host and port as they are written (RFC 3986, section 3.2).
fn check_authority(url: &str) -> Result<(), StepError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(invalid("url has a user before its host; name a credential instead".to_owned()));
    }
    // The colons of an IPv6 address stand in brackets.
    let port = match authority.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => Some(port),
        Some(_) | None => None,
    };
    let host = authority.len() - port.map_or(0, |port| port.len() + 1);
    if host == 0 {
        return Err(invalid("url has no host".to_owned()));
    }
    match port {
        Some(port) if !port.parse::<u16>().is_ok_and(|port| port > 0) && !port.is_empty() => {
            Err(invalid(format!("url has the port {port}; a port is a number from 1 to 65535")))
        }
        Some(_) | None => Ok(()),
    }
}

/// `a=1&b=x%20y`: no value can end its parameter or begin another.
pub(super) fn encode_pairs(value: &Value, at: &str) -> Result<String, StepError> {
    let wrapped = serde_json::json!({ at: value });
    let mut pairs = Vec::new();
    for (name, value) in members(&wrapped, at)? {
        let place = format!("{at}.{name}");
        let values = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                vec![value]
            }
        };
        for value in values {
            if let Some(text) = scalar(value, &place)? {
                pairs.push(format!("{}={}", percent_encoded(name), percent_encoded(&text)));
            }
        }
    }
    Ok(pairs.join("&"))
}

/// Everything but the unreserved characters of RFC 3986, section 2.3.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
