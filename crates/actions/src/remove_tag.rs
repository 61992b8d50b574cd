//! `remove_tag`: Removes a tag from the contact.

use crate::config::{self, Max, TAG_CHARS};
use crate::{Prepared, StepContext};
use automation_domain::interpreter::StepError;
use automation_domain::record::{ContactChange, RecordChange};
use automation_domain::workflow::ActionContract;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "remove_tag";

pub(crate) fn contract() -> ActionContract {
    ActionContract {
        key: KEY,
        config_schema: json!({
            "type": "object",
            "description": "Removes a tag from the contact. Removing a tag that the contact lacks changes nothing.",
            "properties": {
                "tag": {
                    "type": "string",
                    "minLength": 1,
                    "description": "The tag, at most 128 characters once rendered.",
                },
            },
            "required": ["tag"],
            "additionalProperties": false,
        }),
        needs_contact: true,
        uses_contact: true,
        check: |literal| {
            config::check(literal, "tag", |config| {
                config::text(config, "tag", Max::Chars(TAG_CHARS)).map(drop)
            })
        },
    }
}

pub(crate) fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let contact_id = config::contact(step)?.contact_id;
    let tag = config::text(config, "tag", Max::Chars(TAG_CHARS))?.into_owned();
    let output = json!({ "tag": tag });
    let change = ContactChange::RemoveTag { tag };
    Ok(Prepared::Changes { changes: vec![RecordChange::Contact { contact_id, change }], output })
}
