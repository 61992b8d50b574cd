//! The list of actions that have a handler: a new one is a file and a line here.

use crate::{add_note, add_tag, create_task, http_request, remove_tag, update_field};
use automation_domain::action::Action;
use automation_domain::workflow::NodeTypes;
use std::sync::LazyLock;

static ACTIONS: [&Action; 6] = [
    &add_tag::ACTION,
    &remove_tag::ACTION,
    &update_field::ACTION,
    &create_task::ACTION,
    &add_note::ACTION,
    &http_request::ACTION,
];

static NODE_TYPES: LazyLock<NodeTypes> = LazyLock::new(|| NodeTypes::new(ACTIONS));

/// Everything that a node can be: the kinds of the interpreter, and every action that has a handler.
pub fn node_types() -> &'static NodeTypes {
    &NODE_TYPES
}

/// The action with this key.
#[cfg(test)]
pub(crate) fn find(key: &str) -> Option<&'static Action> {
    ACTIONS.into_iter().find(|action| action.entry.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::catalogue::{Effect, action_groups, planned_actions, trigger};
    use std::collections::BTreeSet;

    #[test]
    fn every_action_of_the_catalogue_stands_once_handled_or_planned() {
        let keys: Vec<&str> = node_types().entries().map(|entry| entry.key).collect();
        assert_eq!(keys.len(), 54);
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?}");
        assert_eq!(node_types().iter().count() + planned_actions().len(), keys.len());
    }

    #[test]
    fn every_group_is_used_and_every_used_group_is_listed() {
        let used: BTreeSet<_> = node_types().entries().map(|entry| entry.group).collect();
        assert_eq!(used, action_groups().iter().map(|group| group.key).collect());
    }

    #[test]
    fn what_actions_emit_can_be_listened_for_and_what_they_are_is_a_sentence() {
        for entry in node_types().entries() {
            for event in entry.emits {
                assert!(trigger(event).is_some(), "{event}");
            }
            let about = entry.description;
            assert!(about.ends_with('.') && about.starts_with(char::is_uppercase), "{about}");
        }
    }

    #[test]
    fn every_option_of_an_action_is_described() {
        for known in node_types().iter().filter(|known| known.kind.entry().effect != Effect::Flow) {
            let (key, schema) = (known.kind.entry().key, &known.schema);
            assert_eq!(schema["additionalProperties"], false, "{key}");
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{key}.{name}");
            }
        }
    }
}
