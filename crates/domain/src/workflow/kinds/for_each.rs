//! `for_each`: every item of a list walks the same body, so many at a time.

use super::{Behaviour, Kind, NodeText, Role, Target};
use crate::catalogue::{ActionEntry, Effect};
use crate::facts::FieldPath;
use crate::interpreter::{BODY, Each, OnItemError, Onward, StepError, Visit, Walk};
use crate::json::excerpt;
use crate::step_code::StepCode;
use crate::template::{RenderError, ValueTemplate};
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::schema::definitions;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) static KIND: ForEachKind = ForEachKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "for_each",
    group: "flow",
    description: "Goes the same way for every item of a list, so many at a time.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys =
    Keys { what: "a for_each", known: &["list", BODY, "concurrency", "most", "on_item_error"], later: &[] };

/// Most items at a time.
const MOST_AT_ONCE: u16 = 50;
/// Most items of a list, unless told, and whatever is told.
const ITEMS: u16 = 100;
const MOST_ITEMS: u16 = 10_000;

const ON_ITEM_ERROR: [(&str, OnItemError); 2] = [("stop", OnItemError::Stop), ("go_on", OnItemError::GoOn)];

#[derive(Debug)]
pub(super) struct ForEachKind;

impl Kind for ForEachKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        let number = |most: u16, default: u16, description: &str| json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default, "description": description });
        json!({
            "type": "object",
            "properties": {
                "list": { "description": "The items: a template that comes to a list, or a list.", "oneOf": [{ "type": "array" }, { "$ref": "#/$defs/template" }] },
                "body": { "$ref": "#/$defs/name", "description": "The node at which each item begins; an item is done where no edge leads on." },
                "concurrency": number(MOST_AT_ONCE, 1, "How many items are on their way at a time, at most."),
                "most": number(MOST_ITEMS, ITEMS, "How many items a list may have."),
                "on_item_error": { "enum": ON_ITEM_ERROR.map(|(word, _)| word), "default": "stop", "description": "Whether items that have not begun still begin once one failed." },
            },
            "required": ["list", "body"],
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let list = reader.required(section, "list").and_then(|list| {
            let at = section.at("list");
            let template = reader.template(list, &at)?;
            if template.is_literal() && !list.is_array() {
                return reader.problem("wrong_type", at, "must be a list, or a template that comes to one");
            }
            Some(template)
        });
        let body = reader.name(section, BODY).map(str::to_owned);
        let concurrency = number(reader, section, "concurrency", (1, MOST_AT_ONCE));
        let most = number(reader, section, "most", (ITEMS, MOST_ITEMS));
        let on_item_error = match section.get("on_item_error") {
            None => Some(OnItemError::Stop),
            Some(_) => reader.choice(section, "on_item_error", &ON_ITEM_ERROR),
        };
        let each = Each { concurrency: concurrency?, on_item_error: on_item_error? };
        Some(Arc::new(ForEach { list: list?, body: body?, most: most?, each }))
    }
}

fn number(
    reader: &mut Reader<'_>,
    section: Section<'_>,
    key: &str,
    (default, most): (u16, u16),
) -> Option<u16> {
    let Some(value) = section.get(key) else { return Some(default) };
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number.filter(|number| (1..=most).contains(number)).or_else(|| {
        reader.problem("bad_value", section.at(key), format!("{value} is not allowed: write 1 to {most}"))
    })
}

/// A node that goes the same way for every item of a list.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// Comes to the list.
    pub list: ValueTemplate,
    /// The node at which each item begins.
    pub body: String,
    /// How many items the list may have.
    pub most: u16,
    /// How the items are walked.
    pub each: Each,
}

impl Behaviour for ForEach {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        self.list.references().into_iter().map(|path| (path, "list".to_owned())).collect()
    }

    fn targets(&self) -> Vec<Target<'_>> {
        vec![Target { key: BODY, node: &self.body, role: Role::Body }]
    }

    fn each(&self) -> Option<&Each> {
        Some(&self.each)
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let error = |error: RenderError| StepError { code: error.code, message: error.message };
        let rendered = walk.evaluate(visit, |facts| self.list.render(facts).map_err(error));
        match rendered.and_then(|rendered| self.items(rendered)) {
            Ok(items) => walk.each(visit, items),
            Err(error) => walk.fail(visit, error),
        }
    }
}

impl ForEach {
    /// The list, or nothing where it is missing; what is no list is an error.
    fn items(&self, rendered: Value) -> Result<Option<Vec<Value>>, StepError> {
        match rendered {
            Value::Null => Ok(None),
            Value::Array(items) if items.len() > usize::from(self.most) => Err(StepError {
                code: StepCode::TooManyItems.into(),
                message: format!("the list has {} items; at most {} are allowed", items.len(), self.most),
            }),
            Value::Array(items) => Ok(Some(items)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Err(StepError {
                code: StepCode::NotAList.into(),
                message: format!("{} is not a list", excerpt(&rendered)),
            }),
        }
    }
}
