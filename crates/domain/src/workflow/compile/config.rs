//! Checking `with` against the schema of an action, before its templates are rendered.

use super::ActionContract;
use super::reader::Reader;
use crate::problem::nearest_hint;
use crate::schema_words;
use crate::template::is_template;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use std::collections::BTreeMap;

/// The schemas compiled so far: a definition may use one action a hundred times.
#[derive(Default)]
pub(super) struct Schemas {
    by_action: BTreeMap<&'static str, Option<Validator>>,
}

impl Schemas {
    pub(super) fn check(
        &mut self,
        reader: &mut Reader<'_>,
        contract: &ActionContract,
        with: &Value,
        at: &str,
    ) {
        let Some(members) = with.as_object() else {
            let message = "must be an object: a template can stand for its values, not for all of it";
            reader.problem::<()>("wrong_type", at, message);
            return;
        };
        let validator = self
            .by_action
            .entry(contract.key)
            .or_insert_with(|| jsonschema::options().build(&contract.config_schema).ok());
        let Some(validator) = validator else {
            let message = format!("the schema of the action {} is not valid", contract.key);
            reader.problem::<()>("bad_schema", at, message);
            return;
        };
        let before = reader.problems.len();
        for error in validator.iter_errors(with) {
            if !is_excused(&error) {
                report(reader, &error, contract, with, at);
            }
        }
        if reader.problems.len() > before {
            return;
        }
        let literal = members.iter().filter(|(_, value)| !has_template(value));
        let literal = literal.map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, message) in (contract.check)(&literal) {
            reader.problem::<()>("bad_value", format!("{at}.{key}"), message);
        }
    }
}

fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(members) => members.values().any(has_template),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a template stands where the schema wants something else: only its result can be checked.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows with the standard")]
fn is_excused(error: &ValidationError<'_>) -> bool {
    if error.instance().as_str().is_some_and(is_template) {
        return true;
    }
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().any(|branch| !branch.is_empty() && branch.iter().all(is_excused))
        }
        _ => false,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows with the standard")]
fn report(
    reader: &mut Reader<'_>,
    error: &ValidationError<'_>,
    contract: &ActionContract,
    with: &Value,
    at: &str,
) {
    let place = place(error.instance_path().as_str(), with, at);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(error, contract);
            for key in unexpected {
                let hint = nearest_hint(key, known.iter().copied());
                let message = format!("{} has no key \"{key}\"{hint}", contract.key);
                reader.problem::<()>("unknown_key", format!("{place}.{key}"), message);
            }
        }
        ValidationErrorKind::Required { property } => {
            let message = format!("{} needs {property}", contract.key);
            reader.problem::<()>("missing_key", place, message);
        }
        ValidationErrorKind::Type { .. } => {
            reader.problem::<()>("wrong_type", place, schema_words::sentence(error));
        }
        _ => {
            reader.problem::<()>("bad_value", place, schema_words::sentence(error));
        }
    }
}

/// The properties beside the `additionalProperties` that refused a key.
fn known_keys<'c>(error: &ValidationError<'_>, contract: &'c ActionContract) -> Vec<&'c str> {
    let keyword = error.schema_path().as_str();
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties =
        contract.config_schema.pointer(&format!("{parent}/properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// A JSON pointer as a path of this format: `/lines/0/sku` is `with.lines[0].sku`.
fn place(pointer: &str, with: &Value, at: &str) -> String {
    let mut place = at.to_owned();
    let mut value = Some(with);
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        match value {
            Some(Value::Array(items)) => {
                place.push_str(&format!("[{segment}]"));
                value = segment.parse::<usize>().ok().and_then(|index| items.get(index));
            }
            Some(Value::Object(members)) => {
                place.push_str(&format!(".{segment}"));
                value = members.get(&segment);
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
        }
    }
    place
}
