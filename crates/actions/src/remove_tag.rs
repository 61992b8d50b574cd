//! `remove_tag`: Removes a tag from the contact.

use crate::config::{self, Max, TAG_CHARS};
use automation_domain::action::{
    Action, ContactUse, Literals, NamedWays, Prepared, StepContext, as_answered, passes,
};
use automation_domain::catalogue::{ActionEntry, Effect};
use automation_domain::interpreter::StepError;
use automation_domain::record::{ContactChange, RecordChange};
use serde_json::{Value, json};

pub(crate) static ACTION: Action = Action {
    entry: ActionEntry {
        key: "remove_tag",
        group: "contact",
        description: "Takes a tag off the contact.",
        effect: Effect::Record,
        emits: &["contact.tag_removed"],
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
    })
}

fn check(literals: &Literals) -> Vec<(&'static str, String)> {
    config::check(literals, "tag", |config| config::text(config, "tag", Max::Chars(TAG_CHARS)).map(drop))
}

fn prepare(config: &Value, step: &StepContext<'_>) -> Result<Prepared, StepError> {
    let contact_id = config::contact(step)?.contact_id;
    let tag = config::text(config, "tag", Max::Chars(TAG_CHARS))?.into_owned();
    let output = json!({ "tag": tag });
    let change = ContactChange::RemoveTag { tag };
    Ok(Prepared::Changes { changes: vec![RecordChange::Contact { contact_id, change }], output })
}
