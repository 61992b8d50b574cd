//! Tokens whose time has come: delays that are over, and steps that are tried again.

use super::{Onward, Visit, Waits, Walk};

/// What a token whose time has come does.
#[derive(Clone, Copy)]
enum Due {
    /// Its delay is over.
    GoesOn,
    /// Its step is tried again.
    TriesAgain { stored: bool },
    /// It enters the node that it stands before.
    Enters,
}

impl Walk<'_> {
    /// Lets every token go on whose time has come.
    pub(super) fn wake(&mut self) {
        let now = self.now;
        let due: Vec<(u16, Due)> = self
            .state
            .tokens
            .iter()
            .filter_map(|(number, token)| match &token.waits {
                Waits::Timer { until } if *until <= now => Some((*number, Due::GoesOn)),
                Waits::Retry { until, stored, .. } if *until <= now => {
                    Some((*number, Due::TriesAgain { stored: *stored }))
                }
                Waits::Turn => Some((*number, Due::Enters)),
                Waits::Timer { .. } | Waits::Retry { .. } | Waits::Action { .. } => None,
            })
            .collect();
        for (number, due) in due {
            // The run may have ended on the way of an earlier token.
            let Some(token) = self.state.tokens.get(&number) else { return };
            let (workflow, visit) = (self.workflow, token.visit);
            let Some(index) = workflow.node_index(&token.node) else {
                let node = token.node.clone();
                self.fail_unknown(node);
                return;
            };
            let visit = Visit { token: number, node: &workflow.nodes[index], index, number: visit };
            let onward = match due {
                Due::GoesOn => {
                    self.state.tokens.remove(&number);
                    visit.node.behaviour.wake(self, visit)
                }
                Due::Enters => {
                    self.state.tokens.remove(&number);
                    Onward::To(Some(index))
                }
                Due::TriesAgain { stored: true } => {
                    self.send_again(visit);
                    Onward::Stays
                }
                Due::TriesAgain { stored: false } => {
                    self.state.tokens.remove(&number);
                    self.begin(visit)
                }
            };
            if let Onward::To(next) = onward {
                self.go(number, next);
            }
        }
    }
}
