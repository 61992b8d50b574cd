//! `update_field`: sets or clears one field of the contact.

use crate::config::{self, Max};
use automation_domain::action::{
    Action, ContactUse, Literals, NamedWays, Prepared, StepContext, as_answered, passes,
};
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::contact::field;
use automation_domain::interpreter::StepError;
use automation_domain::record::{ContactChange, RecordChange};
use automation_domain::text;
use serde_json::{Value, json};

/// Longest field as it is written: a name of 64 characters in quotes, some of them escaped.
const MOST_FIELD_CHARS: usize = 512;

pub(crate) static ACTION: Action = Action {
    entry: ActionEntry {
        key: "update_field",
        group: "contact",
        description: "Sets or clears a field of the contact.",
        effect: Effect::Record,
        emits: &["contact.updated"],
    },
    schema,
    contact: ContactUse::Needed,
    check,
    prepare,
    gate: passes,
    ways: NamedWays::NONE,
    receive: as_answered,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Sets one field of the contact; a value the field holds already changes nothing.",
        "properties": {
            "field": {
                "type": "string",
                "minLength": 1,
                "description": "email, phone, first_name, last_name, timezone, owner, score, or fields.<name> for a field of your own; fields[\"a.b\"] where the name holds dots or quotes.",
            },
            "value": {
                "description": "The new value; null clears the field. Own fields take any JSON up to 64 KiB, score takes a number, timezone an IANA name, all others text.",
            },
        },
        "required": ["field", "value"],
        "additionalProperties": false,
    })
}

fn check(literals: &Literals) -> Vec<(&'static str, String)> {
    let problems = config::check(literals, "field", |config| {
        field::check(&field(config)?, &Value::Null).map_err(config::invalid)
    });
    if !problems.is_empty() {
        return problems;
    }
    config::check(literals, "value", |config| match config.get("field") {
        Some(_) => value(config, &field(config)?).map(drop),
        // Which field it is for is known when the template is rendered.
        None => config::check_value(&config["value"], "value"),
    })
}

fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let contact_id = config::contact(step)?.contact_id;
    let field = field(config)?;
    let value = value(config, &field)?;
    let output = json!({ "field": field, "value": value });
    let change = ContactChange::SetField { field, value };
    Ok(Prepared::Changes { changes: vec![RecordChange::Contact { contact_id, change }], output })
}

fn field(config: &Value) -> Result<String, StepError> {
    field::named(&config::text(config, "field", Max::Chars(MOST_FIELD_CHARS))?).map_err(config::invalid)
}

fn value(config: &Value, field: &str) -> Result<Value, StepError> {
    let value = match config.get("value") {
        // A phone number may well be written as a number, and comes out of a template as one.
        Some(Value::Number(number)) if is_text(field) => Value::String(text::of_number(number)),
        Some(value) => value.clone(),
        None => return Err(config::invalid("value is missing; null clears the field".to_owned())),
    };
    config::check_value(&value, "value")?;
    field::check(field, &value).map_err(config::invalid)?;
    Ok(value)
}

fn is_text(field: &str) -> bool {
    field != "score" && field::BUILT_IN.contains(&field)
}
