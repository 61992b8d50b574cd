//! Tokens whose time has come: delays that are over, and steps that are tried again.

use super::{Onward, Tries, Visit, Waits, Walk};
use crate::workflow::Delivery;

/// What a token whose time has come does.
#[derive(Clone, Copy)]
enum Due {
    /// Its delay is over.
    GoesOn,
    /// Its step is tried again.
    TriesAgain { tries: Tries, stored: bool },
    /// It enters the node that it stands before.
    Enters,
}

impl Walk<'_> {
    /// Lets every token go on whose time has come.
    pub(super) fn wake(&mut self) {
        self.go_on(false);
    }

    /// Lets every token go on whose time has come, and has requests sent again that nobody waits for any more. One that may
    /// arrive once at most is not: whoever took the run over says what became of it.
    pub(super) fn take_over(&mut self) {
        self.go_on(true);
    }

    fn go_on(&mut self, sends_again: bool) {
        let (now, workflow) = (self.run.now, self.workflow);
        let may_arrive_again = |node: &str| {
            workflow
                .node_index(node)
                .is_none_or(|index| workflow.nodes[index].delivery() == Delivery::AtLeastOnce)
        };
        let due: Vec<(u16, Due)> = self
            .state
            .tokens
            .iter()
            .filter_map(|(number, token)| match &token.waits {
                Waits::Timer { until } if *until <= now => Some((*number, Due::GoesOn)),
                Waits::Retry { until, stored, tries } if *until <= now => {
                    Some((*number, Due::TriesAgain { tries: *tries, stored: *stored }))
                }
                Waits::Turn => Some((*number, Due::Enters)),
                Waits::Action { tries } if sends_again && may_arrive_again(&token.node) => {
                    Some((*number, Due::TriesAgain { tries: *tries, stored: true }))
                }
                Waits::Timer { .. } | Waits::Retry { .. } | Waits::Action { .. } | Waits::Dead { .. } => None,
            })
            .collect();
        for (number, due) in due {
            // The run may have ended on the way of an earlier token.
            let Some(token) = self.state.tokens.get(&number) else { return };
            let visit = token.visit;
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
                Due::TriesAgain { tries, stored: true } => self.send_again(visit, tries),
                Due::TriesAgain { stored: false, .. } => {
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
