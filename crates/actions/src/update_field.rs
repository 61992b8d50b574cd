//! `update_field`: sets or clears one field of the contact.

use crate::config::{self, Max};
use crate::{Prepared, StepContext};
use automation_domain::contact::field;
use automation_domain::interpreter::StepError;
use automation_domain::record::{ContactChange, RecordChange};
use automation_domain::workflow::ActionContract;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "update_field";

pub(crate) fn contract() -> ActionContract {
    ActionContract {
        key: KEY,
        config_schema: json!({
            "type": "object",
            "description": "Sets one field of the contact; a value the field holds already changes nothing.",
            "properties": {
                "field": {
                    "type": "string",
                    "minLength": 1,
                    "description": "email, phone, first_name, last_name, timezone, owner, score, or fields.<name> for a field of your own.",
                },
                "value": {
                    "description": "The new value; null clears the field. Own fields take any JSON up to 64 KiB, score takes a number, timezone an IANA name, all others text.",
                },
            },
            "required": ["field", "value"],
            "additionalProperties": false,
        }),
        needs_contact: true,
    }
}

pub(crate) fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let contact_id = config::contact(step)?.contact_id;
    let field = config::text(config, "field", Max::Chars(128))?.into_owned();
    let value = match config.get("value") {
        // A phone number may well be written as a number, and comes out of a template as one.
        Some(Value::Number(number)) if is_text(&field) => Value::String(number.to_string()),
        Some(value) => value.clone(),
        None => return Err(config::invalid("value is missing; null clears the field".to_owned())),
    };
    config::check_value(&value, "value")?;
    field::check(&field, &value).map_err(config::invalid)?;
    let output = json!({ "field": field, "value": value });
    let change = ContactChange::SetField { field, value };
    Ok(Prepared::Changes { changes: vec![RecordChange::Contact { contact_id, change }], output })
}

fn is_text(field: &str) -> bool {
    field != "score" && field::BUILT_IN.contains(&field)
}
