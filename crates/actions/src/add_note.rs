//! `add_note`: writes a note on the contact.

use crate::config::{self, Max, TEXT_BYTES};
use crate::{Prepared, StepContext};
use automation_domain::interpreter::StepError;
use automation_domain::record::{Note, RecordChange};
use automation_domain::workflow::ActionContract;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "add_note";

pub(crate) fn contract() -> ActionContract {
    ActionContract {
        key: KEY,
        config_schema: json!({
            "type": "object",
            "description": "Writes a note on the contact.",
            "properties": {
                "text": {
                    "type": "string",
                    "minLength": 1,
                    "description": "The note, at most 64 KiB once rendered.",
                },
            },
            "required": ["text"],
            "additionalProperties": false,
        }),
        needs_contact: true,
        uses_contact: true,
        check: |literal| {
            config::check(literal, "text", |config| {
                config::text(config, "text", Max::Bytes(TEXT_BYTES)).map(drop)
            })
        },
    }
}

pub(crate) fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let contact_id = config::contact(step)?.contact_id;
    let text = config::text(config, "text", Max::Bytes(TEXT_BYTES))?.into_owned();
    let output = json!({ "note_id": step.record_id });
    let note = Note { note_id: step.record_id, contact_id, text };
    Ok(Prepared::Changes { changes: vec![RecordChange::AddNote(note)], output })
}
