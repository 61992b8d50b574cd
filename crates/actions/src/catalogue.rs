//! The list of actions that have a handler: a new one is a file and a line here.

use crate::{Prepared, StepContext, add_note, add_tag, create_task, http_request, remove_tag, update_field};
use automation_domain::interpreter::StepError;
use automation_domain::step_code::StepCode;
use automation_domain::workflow::{ActionContract, Contracts, flow_contracts};
use serde_json::Value;
use std::sync::LazyLock;

/// An action that has a handler.
struct Handler {
    contract: fn() -> ActionContract,
    prepare: fn(&Value, &StepContext<'_>) -> Result<Prepared, StepError>,
}

/// By key: looked up for every step.
fn handler(action: &str) -> Option<Handler> {
    let handler = match action {
        add_note::KEY => Handler { contract: add_note::contract, prepare: add_note::prepare },
        add_tag::KEY => Handler { contract: add_tag::contract, prepare: add_tag::prepare },
        create_task::KEY => Handler { contract: create_task::contract, prepare: create_task::prepare },
        http_request::KEY => Handler { contract: http_request::contract, prepare: http_request::prepare },
        remove_tag::KEY => Handler { contract: remove_tag::contract, prepare: remove_tag::prepare },
        update_field::KEY => Handler { contract: update_field::contract, prepare: update_field::prepare },
        _ => return None,
    };
    Some(handler)
}

static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| {
    let handled = automation_domain::catalogue::actions()
        .iter()
        .filter_map(|entry| handler(entry.key))
        .map(|handler| (handler.contract)());
    flow_contracts().into_iter().chain(handled).map(|contract| (contract.key, contract)).collect()
});

/// The contracts of every action that has a handler, the flow actions included.
pub fn contracts() -> &'static Contracts {
    &CONTRACTS
}

/// Prepares an action: pure, and final for this visit of the node. `config` is rendered.
///
/// # Errors
///
/// A [`StepError`] when the rendered configuration is not acceptable; trying again cannot help.
pub fn prepare(action: &str, config: &Value, step: StepContext<'_>) -> Result<Prepared, StepError> {
    match handler(action) {
        Some(handler) => (handler.prepare)(config, &step),
        None => Err(StepError {
            code: StepCode::UnknownAction.into(),
            message: format!("this version of the engine has no handler for the action \"{action}\""),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::catalogue::{Effect, actions};

    #[test]
    fn every_contract_is_in_the_catalogue() {
        for key in contracts().keys() {
            assert!(actions().iter().any(|entry| entry.key == *key), "{key}");
        }
    }

    #[test]
    fn every_handler_is_listed_and_every_contract_but_those_of_flow_has_one() {
        for entry in actions() {
            let listed = contracts().contains_key(entry.key);
            match entry.effect {
                Effect::Record | Effect::External => {
                    assert_eq!(listed, handler(entry.key).is_some(), "{}", entry.key);
                }
                Effect::Directive | Effect::Flow => assert!(handler(entry.key).is_none(), "{}", entry.key),
            }
        }
        for key in [
            "add_tag",
            "remove_tag",
            "update_field",
            "create_task",
            "add_note",
            "http_request",
            "delay",
            "branch",
        ] {
            assert!(contracts().contains_key(key), "{key}");
        }
    }

    #[test]
    fn every_option_of_an_action_is_described() {
        for contract in contracts().values().filter(|contract| handler(contract.key).is_some()) {
            let schema = &contract.config_schema;
            assert_eq!(schema["additionalProperties"], false, "{}", contract.key);
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}.{name}", contract.key);
            }
        }
    }
}
