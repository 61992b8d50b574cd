//! How branches part: a token becomes several, each with a number of its own, and each knows its fork.

use super::{BranchState, Command, Fork, Onward, Origin, StepError, StepOutcome, Token, Visit, Waits, Walk};
use crate::step_code::StepCode;
use crate::workflow::NodeIndex;
use serde_json::json;

/// Most branches that a run has at once.
pub const MOST_BRANCHES: usize = 1_000;

impl Walk<'_> {
    /// The token goes on as one branch for each of these ways; the fork stands in the run's state until the last is done. The
    /// step is done once they are joined, or at once where they do not meet.
    ///
    /// Each gets the smallest number that is free. A run that would have more than [`MOST_BRANCHES`] fails the step.
    pub fn fork(&mut self, visit: Visit<'_>, ways: &[NodeIndex]) -> Onward {
        if self.state.tokens.len() + ways.len() > MOST_BRANCHES {
            let message = format!("the run would have more than {MOST_BRANCHES} branches at once");
            return self.fail(visit, StepError { code: StepCode::TooManyBranches.into(), message });
        }
        if ways.is_empty() {
            return Onward::To(None);
        }
        let first = ways.iter().filter_map(|to| Some(self.workflow.nodes.get(*to)?.id.as_str()));
        let detail = json!({ "branches": first.collect::<Vec<_>>() });
        let meets = visit.node.behaviour.join().is_some();
        self.log_step(visit, if meets { StepOutcome::Waiting } else { StepOutcome::Completed }, detail);
        let number = self.free_fork();
        let fork = Fork {
            node: visit.node.id.clone(),
            visit: visit.number,
            token: visit.token,
            origin: self.origins.remove(&visit.token),
            moved_by: self.moved_by.remove(&visit.token).unwrap_or_default(),
            branches: vec![BranchState::Open; ways.len()],
            items: None,
        };
        self.state.forks.insert(number, fork);
        for (branch, to) in (0..).zip(ways) {
            let token = self.free_number(Some(visit.token));
            self.put_branch(token, Origin { fork: number, branch }, *to);
        }
        Onward::Stays
    }

    /// Moves the branches that were forked.
    pub(super) fn go_forked(&mut self) {
        while let Some((token, to)) = self.forked.pop_front() {
            // The run may have ended on the way of an earlier one, or its branches have been joined.
            if self.state.tokens.remove(&token).is_some() {
                self.go(token, None, Some(to));
            }
        }
    }

    pub(super) fn put_branch(&mut self, token: u16, origin: Origin, to: NodeIndex) {
        let node = self.workflow.nodes.get(to).map_or_else(String::new, |node| node.id.clone());
        self.origins.insert(token, origin);
        let moved_by =
            self.state.forks.get(&origin.fork).map(|fork| fork.moved_by.clone()).unwrap_or_default();
        self.moved_by.insert(token, moved_by.clone());
        let (waits, origin) = (Waits::Turn, Some(origin));
        self.state.tokens.insert(token, Token { node, visit: 0, waits, origin, moved_by });
        self.forked.push_back((token, to));
    }

    pub(super) fn free_fork(&self) -> u16 {
        free(|number| !self.state.forks.contains_key(&number))
    }

    /// The smallest number that no token has, but for this one. What was given up in this walk keeps its number until
    /// the walk is over: whoever holds it in a list of what is due or asked for takes no other token for it.
    pub(super) fn free_number(&self, taken: Option<u16>) -> u16 {
        free(|number| Some(number) != taken && self.is_free(number))
    }

    fn is_free(&self, number: u16) -> bool {
        !self.state.tokens.contains_key(&number) && !self.given_up.contains(&number)
    }

    /// The token that was forked goes on, under the number that it had if that is free. It stands nowhere yet.
    pub(super) fn restore(&mut self, fork: &Fork) -> u16 {
        let token = if self.is_free(fork.token) { fork.token } else { self.free_number(None) };
        match fork.origin {
            Some(origin) => self.origins.insert(token, origin),
            None => self.origins.remove(&token),
        };
        self.moved_by.insert(token, fork.moved_by.clone());
        token
    }

    /// Gives up every branch of a fork that is taken out of the state, and every fork within them. What they asked for in
    /// this walk is not asked for, and of what is stored nothing leaves any more; what has left stays where it is. Gives
    /// how many tokens there were.
    pub(super) fn give_up_branches(&mut self, fork: u16) -> usize {
        let tokens = self.state.tokens.iter();
        let tokens = tokens.filter(|(_, token)| self.descends(token.origin, fork)).map(|(number, _)| *number);
        let tokens: Vec<u16> = tokens.collect();
        let forks = self.state.forks.iter();
        let forks = forks.filter(|(_, within)| self.descends(within.origin, fork)).map(|(number, _)| *number);
        for within in forks.collect::<Vec<_>>() {
            self.state.forks.remove(&within);
        }
        for number in &tokens {
            self.origins.remove(number);
            self.given_up.insert(*number);
            if let Some(token) = self.state.tokens.remove(number) {
                self.withdraw(*number, &token);
            }
        }
        self.forked.retain(|(number, _)| !tokens.contains(number));
        tokens.len()
    }

    /// Whether what came from here is within a branch of this fork.
    fn descends(&self, mut origin: Option<Origin>, fork: u16) -> bool {
        while let Some(from) = origin {
            if from.fork == fork {
                return true;
            }
            origin = self.state.forks.get(&from.fork).and_then(|within| within.origin);
        }
        false
    }

    /// Takes back what a token asked for.
    fn withdraw(&mut self, number: u16, token: &Token) {
        let Some(node) = self.workflow.node_index(&token.node) else { return };
        let mut is_stored = matches!(token.waits, Waits::Retry { stored: true, .. });
        self.commands.retain(|command| match command {
            Command::Send(send) if (send.token, send.node, send.visit) == (number, node, token.visit) => {
                is_stored |= send.is_stored;
                false
            }
            // The ledger is told of an effect once.
            Command::Withhold { node: of, visit, .. } if (*of, *visit) == (node, token.visit) => {
                is_stored = true;
                false
            }
            Command::Wake { token, .. } => *token != number,
            Command::Send(_)
            | Command::Change(_)
            | Command::Withhold { .. }
            | Command::Publish(_)
            | Command::Emit(_)
            | Command::Bury { .. }
            | Command::Log(_)
            | Command::Finish => true,
        });
        if is_stored {
            self.commands.push(Command::Withhold { node, visit: token.visit, is_skipped: true });
        }
    }
}

/// The smallest number that is free; there are always fewer than a thousand in use, and a walk is bounded by its steps.
fn free(is_free: impl Fn(u16) -> bool) -> u16 {
    (0..u16::MAX).find(|number| is_free(*number)).expect("there are fewer branches than numbers")
}
