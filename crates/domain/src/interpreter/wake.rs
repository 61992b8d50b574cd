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
    /// It looks at what it waits for.
    Looks,
    /// It is dead, and its join waits no longer.
    GivenUp,
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
        // Nothing of a run begins before it has looked for what ended it.
        if self.state.exits.as_ref().is_some_and(|exits| !exits.looked_back) {
            return;
        }
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
                Waits::Event(awaited) if awaited.due_at(now).is_some_and(|due| due <= now) => {
                    Some((*number, Due::Looks))
                }
                Waits::Dead { until: Some(until), .. } if *until <= now => Some((*number, Due::GivenUp)),
                Waits::Action { tries } if sends_again && may_arrive_again(&token.node) => {
                    Some((*number, Due::TriesAgain { tries: *tries, stored: true }))
                }
                Waits::Timer { .. }
                | Waits::Retry { .. }
                | Waits::Action { .. }
                | Waits::Event(_)
                | Waits::Dead { .. } => None,
            })
            .collect();
        for (number, due) in due {
            // An earlier token may have ended the run on its way, or have joined branches of which this was one.
            let Some(token) = self.state.tokens.get(&number) else { continue };
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
                Due::Looks => {
                    self.look(number);
                    Onward::Stays
                }
                Due::Enters => {
                    self.state.tokens.remove(&number);
                    Onward::To(Some(index))
                }
                Due::GivenUp => self.give_up(visit),
                Due::TriesAgain { tries, stored: true } => self.send_again(visit, tries),
                Due::TriesAgain { stored: false, .. } => {
                    self.state.tokens.remove(&number);
                    self.begin(visit)
                }
            };
            if let Onward::To(next) = onward {
                self.go(number, Some(visit.index), next);
            }
        }
    }
}
