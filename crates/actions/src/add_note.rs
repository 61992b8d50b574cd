//! `add_note`: writes a note on the contact.

use crate::config::{self, Max, TEXT_BYTES};
use automation_domain::action::{
    Action, ContactUse, Literals, NamedWays, Prepared, StepContext, as_answered, passes,
};
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::interpreter::StepError;
use automation_domain::record::{Note, RecordChange};
use serde_json::{Value, json};

pub(crate) static ACTION: Action = Action {
    entry: ActionEntry {
        key: "add_note",
        group: "crm",
        description: "Writes a note on the contact.",
        effect: Effect::Record,
        emits: &[],
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
    })
}

fn check(literals: &Literals) -> Vec<(&'static str, String)> {
    config::check(literals, "text", |config| config::text(config, "text", Max::Bytes(TEXT_BYTES)).map(drop))
}

fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let contact_id = config::contact(step)?.contact_id;
    let text = config::text(config, "text", Max::Bytes(TEXT_BYTES))?.into_owned();
    let output = json!({ "note_id": step.record_id });
    let note = Note { note_id: step.record_id, contact_id, text };
    Ok(Prepared::Changes { changes: vec![RecordChange::AddNote(note)], output })
}
