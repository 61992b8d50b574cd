//! `set_variables`: keeps values in the run, for later steps.

use super::{Behaviour, Kind, NodeText};
use crate::catalogue::{ActionEntry, Effect};
use crate::facts::FieldPath;
use crate::interpreter::{Onward, StepError, Visit, Walk};
use crate::template::{RenderError, ValueTemplate};
use crate::workflow::compile::{Keys, Reader};
use crate::workflow::schema::definitions;
use crate::workflow::variable;
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) static KIND: SetVariablesKind = SetVariablesKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "set_variables",
    group: "flow",
    description: "Sets variables of the run, which later steps read as vars.",
    effect: Effect::Flow,
    emits: &[],
};

const WITH: Keys = Keys { what: "set_variables", known: &["vars"], later: &[] };

#[derive(Debug)]
pub(super) struct SetVariablesKind;

impl Kind for SetVariablesKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "vars": {
                    "type": "object",
                    "propertyNames": { "pattern": variable::PATTERN },
                    "minProperties": 1,
                    "maxProperties": variable::MOST_AT_ONCE,
                    "description": "Values by name: any JSON, with templates in it. Null removes a variable.",
                },
            },
            "required": ["vars"],
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        // The values do, and anything may be one; names have to be known.
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        let value = reader.required(section, "vars")?;
        let at = section.at("vars");
        let Value::Object(vars) = value else {
            let message =
                "must be an object of values by name: a template can stand for a value, not for all of them";
            return reader.problem("wrong_type", at, message);
        };
        if vars.is_empty() || vars.len() > variable::MOST_AT_ONCE {
            let message =
                format!("must have from 1 to {} variables; this has {}", variable::MOST_AT_ONCE, vars.len());
            return reader.problem("bad_value", at, message);
        }
        for name in vars.keys().filter(|name| !variable::is_name(name)) {
            let message = format!(
                "\"{name}\" is not the name of a variable: letters, digits and _, not beginning with a digit, at most 64"
            );
            reader.problem::<()>("bad_name", &at, message);
        }
        Some(Arc::new(SetVariables { vars: reader.template(value, &at)? }))
    }
}

/// A node that sets variables.
#[derive(Clone, Debug)]
struct SetVariables {
    /// An object of values by name.
    vars: ValueTemplate,
}

impl Behaviour for SetVariables {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        self.vars.references().into_iter().map(|path| (path, "vars".to_owned())).collect()
    }

    /// Every value is rendered before any is set: a value that reads a variable of the same step sees it as it was.
    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let error = |error: RenderError| StepError { code: error.code, message: error.message };
        let rendered = walk.evaluate(visit, |facts| self.vars.render(facts).map_err(error));
        let vars: Result<Map<String, Value>, StepError> = rendered.map(|rendered| match rendered {
            Value::Object(vars) => vars,
            // An object renders to an object.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Map::new()
            }
        });
        match vars.and_then(|vars| walk.set_variables(visit, vars)) {
            Ok(()) => Onward::To(visit.node.next),
            Err(error) => walk.fail(visit, error),
        }
    }
}

#[cfg(test)]
#[path = "set_variables_tests.rs"]
mod tests;
