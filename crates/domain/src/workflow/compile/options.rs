//! Checking `with` against the schema of an action, before its templates are rendered.

use super::reader::Reader;
use crate::action::{Action, Literals};
use crate::problem::nearest_hint;
use crate::schema_words;
use crate::template::is_template;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The schemas compiled so far, by the key of the action.
pub(super) type Schemas = BTreeMap<&'static str, Option<Arc<Validator>>>;

impl Reader<'_> {
    /// Checks the options of an action against its schema, and what it can tell of them before templates are rendered.
    pub fn check_options(&mut self, action: &'static Action, with: &Value, at: &str) {
        let Some(members) = with.as_object() else {
            let message = "must be an object: a template can stand for its values, not for all of it";
            self.problem::<()>("wrong_type", at, message);
            return;
        };
        let key = action.entry.key;
        let Some(schema) = self.types.get(key).map(|known| &known.schema) else { return };
        let validator = self
            .schemas
            .entry(key)
            .or_insert_with(|| jsonschema::options().build(schema).ok().map(Arc::new))
            .clone();
        let Some(validator) = validator else {
            self.problem::<()>("bad_schema", at, format!("the schema of the action {key} is not valid"));
            return;
        };
        let told: BTreeMap<&str, String> = (action.check)(&Literals::of(members)).into_iter().collect();
        let (before, mut said) = (self.problems.len(), BTreeSet::new());
        for error in validator.iter_errors(with).filter(|error| !is_excused(error)) {
            let option = error.instance_path().as_str().split('/').nth(1).unwrap_or_default();
            match told.get_key_value(option) {
                Some((option, message)) if lacks_words(&error) => {
                    if said.insert(*option) {
                        let place = place(error.instance_path().as_str(), with, at);
                        self.problem::<()>("bad_value", place, message);
                    }
                }
                Some(_) | None => report(self, &error, (key, schema), with, at),
            }
        }
        if self.problems.len() == before {
            for (option, message) in told {
                self.problem::<()>("bad_value", format!("{at}.{option}"), message);
            }
        }
    }
}

/// Whether the schema says this in a way that only its author reads, so that the action's own words are better.
fn lacks_words(error: &ValidationError<'_>) -> bool {
    matches!(
        error.kind(),
        ValidationErrorKind::Pattern { .. }
            | ValidationErrorKind::PropertyNames { .. }
            | ValidationErrorKind::MinProperties { .. }
            | ValidationErrorKind::MaxProperties { .. }
            | ValidationErrorKind::AnyOf { .. }
            | ValidationErrorKind::OneOfNotValid { .. }
            | ValidationErrorKind::Not { .. }
    )
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
    (key, schema): (&str, &Value),
    with: &Value,
    at: &str,
) {
    let place = place(error.instance_path().as_str(), with, at);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_keys(error, schema);
            for name in unexpected {
                let hint = nearest_hint(name, known.iter().copied());
                let message = format!("{key} has no key \"{name}\"{hint}");
                reader.problem::<()>("unknown_key", format!("{place}.{name}"), message);
            }
        }
        ValidationErrorKind::Required { property } => {
            let message = format!("{key} needs {property}");
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
fn known_keys<'c>(error: &ValidationError<'_>, schema: &'c Value) -> Vec<&'c str> {
    let keyword = error.schema_path().as_str();
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(&format!("{parent}/properties")).and_then(Value::as_object);
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
