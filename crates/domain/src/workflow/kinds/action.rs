//! Every action: asked for once per visit, tried as often as the node's policy says, and answered once.

use super::{Behaviour, Kind, NodeText, Ways};
use crate::action::{Action, ContactUse};
use crate::catalogue::ActionEntry;
use crate::facts::FieldPath;
use crate::interpreter::{Onward, Visit, Walk};
use crate::template::ValueTemplate;
use crate::workflow::Sending;
use crate::workflow::compile::Reader;
use serde_json::Value;
use std::sync::Arc;

impl Kind for Action {
    fn entry(&self) -> &ActionEntry {
        &self.entry
    }

    fn schema(&self) -> Value {
        (self.schema)()
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        reader.check_options(self, node.with, node.at);
        let config = reader.template(node.with, node.at)?;
        Some(Arc::new(ActionNode { action: self, config, sending: node.sending }))
    }
}

/// A node that runs an action.
#[derive(Clone, Debug)]
pub struct ActionNode {
    /// Which.
    pub action: &'static Action,
    /// `with`, strings compiled as templates.
    pub config: ValueTemplate,
    /// How it is sent; what actions on records do not do keeps its defaults.
    pub sending: Sending,
}

impl Behaviour for ActionNode {
    fn key(&self) -> &'static str {
        self.action.entry.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        self.config.references().into_iter().map(|path| (path, String::new())).collect()
    }

    fn contact(&self) -> ContactUse {
        self.action.contact
    }

    fn ways(&self) -> Ways<'_> {
        match self.action.ways.names {
            [] => Ways::One,
            names => Ways::OneOr(names),
        }
    }

    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        walk.act(visit, self)
    }

    fn action(&self) -> Option<&ActionNode> {
        Some(self)
    }
}
