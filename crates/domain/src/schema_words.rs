//! What is wrong with a value by its JSON Schema, in words for whoever wrote the value and never saw the schema.

use crate::problem::nearest_hint;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

/// A sentence without its subject: `must be a text or a whole number`.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows with the standard")]
pub(crate) fn sentence(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Type { kind } => format!("must be {}", any_of(&types(kind))),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            alternatives(error, context)
        }
        ValidationErrorKind::Enum { options } => one_of(error.instance(), options),
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("must have at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("may have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit: 1 } | ValidationErrorKind::MinProperties { limit: 1 } => {
            "must have at least one entry".to_owned()
        }
        ValidationErrorKind::MinItems { limit } | ValidationErrorKind::MinProperties { limit } => {
            format!("must have at least {limit} entries")
        }
        ValidationErrorKind::MaxItems { limit } | ValidationErrorKind::MaxProperties { limit } => {
            format!("may have at most {limit} entries")
        }
        ValidationErrorKind::UniqueItems => "names something twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => format!("must have the form {pattern}"),
        ValidationErrorKind::Format { format } => format!("must be {}", of_format(format)),
        ValidationErrorKind::Required { property } => format!("needs {property}"),
        ValidationErrorKind::PropertyNames { error } => {
            format!("has a name that is not allowed: it {}", sentence(error))
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| format!("\"{name}\"")).collect();
            format!("has names that are not known: {}", names.join(", "))
        }
        _ => "is not allowed here".to_owned(),
    }
}

/// What the alternatives ask for: what is wrong with the value in the one that it comes nearest to, or all their types.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that grows with the standard")]
fn alternatives(error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> String {
    let mut expected: Vec<&'static str> = Vec::new();
    for branch in context {
        let of_type = branch.iter().find_map(|inner| match inner.kind() {
            ValidationErrorKind::Type { kind } if inner.instance_path() == error.instance_path() => {
                Some(types(kind))
            }
            _ => None,
        });
        match (of_type, branch.first()) {
            (Some(types), _) => expected.extend(types),
            (None, Some(inner)) if inner.instance_path() == error.instance_path() => return sentence(inner),
            (None, Some(inner)) => return format!("{}: {}", within(error, inner), sentence(inner)),
            (None, None) => {}
        }
    }
    expected.dedup();
    if expected.is_empty() {
        "is not allowed here".to_owned()
    } else {
        format!("must be {}", any_of(&expected))
    }
}

/// The place of an inner error below the outer one.
fn within(outer: &ValidationError<'_>, inner: &ValidationError<'_>) -> String {
    let (outer, inner) = (outer.instance_path().as_str(), inner.instance_path().as_str());
    inner.strip_prefix(outer).unwrap_or(inner).trim_start_matches('/').replace('/', ".")
}

fn types(kind: &TypeKind) -> Vec<&'static str> {
    let words = |name: &str| match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    };
    match kind {
        TypeKind::Single(one) => vec![words(one.as_str())],
        TypeKind::Multiple(several) => several.iter().map(|one| words(one.as_str())).collect(),
    }
}

fn any_of(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn one_of(instance: &Value, options: &Value) -> String {
    let options: Vec<&Value> = options.as_array().map(|options| options.iter().collect()).unwrap_or_default();
    let words: Vec<String> = options
        .iter()
        .map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned))
        .collect();
    let hint = instance.as_str().map(|text| nearest_hint(text, words.iter().map(String::as_str)));
    format!(
        "must be {}{}",
        any_of(&words.iter().map(String::as_str).collect::<Vec<_>>()),
        hint.unwrap_or_default()
    )
}

fn of_format(format: &str) -> String {
    match format {
        "date-time" => "a time by RFC 3339, such as 2027-01-31T08:00:00Z".to_owned(),
        "date" => "a date, such as 2027-01-31".to_owned(),
        "email" => "an e-mail address".to_owned(),
        "uri" => "a URL".to_owned(),
        other => format!("a value of the format {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(schema: &Value, value: &Value) -> String {
        let validator =
            jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap();
        validator.iter_errors(value).map(|error| sentence(&error)).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn no_sentence_has_words_of_schemas() {
        let scalar = json!({ "type": ["string", "number", "boolean"] });
        let said: Vec<String> = [
            (json!({ "type": "string" }), json!(7)),
            (json!({ "anyOf": [scalar, { "type": "array", "items": scalar }] }), json!({})),
            (json!({ "anyOf": [scalar, { "type": "array", "items": scalar }] }), json!([{}])),
            (json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string" }] }), json!(0)),
            (json!({ "enum": ["GET", "POST", 3] }), json!("GTE")),
            (json!({ "const": true }), json!(false)),
            (json!({ "minimum": 1, "maximum": 0 }), json!(0.5)),
            (json!({ "exclusiveMinimum": 1 }), json!(1)),
            (json!({ "minLength": 1 }), json!("")),
            (json!({ "maxLength": 2 }), json!("abc")),
            (json!({ "minItems": 1 }), json!([])),
            (json!({ "maxProperties": 1 }), json!({ "a": 1, "b": 2 })),
            (json!({ "uniqueItems": true }), json!([1, 1])),
            (json!({ "pattern": "^[a-z]+$" }), json!("A")),
            (json!({ "format": "date-time" }), json!("soon")),
            (json!({ "required": ["url"] }), json!({})),
            (json!({ "additionalProperties": false }), json!({ "x": 1 })),
            (json!({ "propertyNames": { "maxLength": 1 } }), json!({ "xy": 1 })),
            (json!(false), json!(1)),
            (json!({ "not": { "type": "null" } }), json!(null)),
        ]
        .iter()
        .map(|(schema, value)| said(schema, value))
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        must be a text
        must be true or false, a number, a text or a list
        0: must be true or false, a number or a text
        must be at least 1
        must be GET, POST or 3 (did you mean "GET"?)
        must be true
        must be at least 1; must be at most 0
        must be more than 1
        must not be empty
        may have at most 2 characters
        must have at least one entry
        may have at most 1 entries
        names something twice
        must have the form ^[a-z]+$
        must be a time by RFC 3339, such as 2027-01-31T08:00:00Z
        needs "url"
        is not allowed here
        has a name that is not allowed: it may have at most 1 characters
        is not allowed here
        is not allowed here
        "#);
    }
}
