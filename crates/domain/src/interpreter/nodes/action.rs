//! Actions: asked for once per visit, and answered once.

use super::{Onward, Walk};
use crate::interpreter::{Command, StepError, StepOutcome, Token, Waits};
use crate::workflow::{Node, NodeIndex};
use serde_json::Value;

impl Walk<'_> {
    pub(super) fn ask(&mut self, token: u16, index: NodeIndex, node: &Node, visit: u32) -> Onward {
        self.state.tokens.insert(token, Token { node: node.id.clone(), visit, waits: Waits::Action });
        self.commands.push(Command::RunAction { token, node: index, visit });
        Onward::Stays
    }

    pub(in crate::interpreter) fn complete_action(
        &mut self,
        token: u16,
        index: NodeIndex,
        visit: u32,
        output: Value,
    ) {
        let Some(node) = self.take_asker(token, index, visit) else { return };
        self.log(&node.id, super::kind_key(node), visit, StepOutcome::Completed, output.clone());
        let result = self.state.steps.entry(node.id.clone()).or_default();
        result.output = output;
        result.error = None;
        self.go(token, node.next);
    }

    pub(in crate::interpreter) fn fail_action(
        &mut self,
        token: u16,
        index: NodeIndex,
        visit: u32,
        error: StepError,
    ) {
        let Some(node) = self.take_asker(token, index, visit) else { return };
        self.fail_step_with(node, visit, error);
    }
}

impl<'a> Walk<'a> {
    /// Takes the token off the node that asked; `None` when no token waits for this answer.
    fn take_asker(&mut self, token: u16, index: NodeIndex, visit: u32) -> Option<&'a Node> {
        let workflow = self.workflow;
        let waiting = self.state.tokens.get(&token)?;
        if waiting.waits != Waits::Action {
            return None;
        }
        if workflow.node_index(&waiting.node).is_none() {
            let node = waiting.node.clone();
            self.fail_unknown(node);
            return None;
        }
        let node = workflow.nodes.get(index)?;
        if waiting.node != node.id || waiting.visit != visit {
            return None;
        }
        self.state.tokens.remove(&token);
        Some(node)
    }
}
