//! Bringing a failed run back to the step that failed.

use super::{End, RunState, Token, Tries, Waits};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Under which idempotency key a failed step is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplayKey {
    /// The one it had, with the request as it was stored: a receiver that saw it before recognizes it.
    Same,
    /// Another one, with a request that is rendered anew: to a receiver it is another wish.
    New,
}

/// Why a run cannot be brought back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRevivable {
    /// It is still open.
    #[error("the run is still open")]
    Open,
    /// It completed or was cancelled.
    #[error("the run did not fail")]
    NotFailed,
    /// Its state does not say where it stood: it failed before runs kept that, and not at a step.
    #[error("the run's state does not say where it stood")]
    NoPlace,
}

impl RunState {
    /// Brings a failed run back to where it failed: to be tried at `now`, with all its attempts before it.
    ///
    /// A run that failed before its first step begins anew.
    ///
    /// # Errors
    ///
    /// [`NotRevivable`]; the state is unchanged then.
    pub fn revive(&mut self, key: ReplayKey, now: DateTime<Utc>) -> Result<(), NotRevivable> {
        let (node, tokens) = match &self.end {
            Some(End::Failed { node, tokens, .. }) => (node.as_deref(), tokens),
            Some(End::Completed | End::Cancelled { .. }) => return Err(NotRevivable::NotFailed),
            None => return Err(NotRevivable::Open),
        };
        let mut tokens = match (tokens.is_empty(), node) {
            (false, _) => tokens.clone(),
            (true, Some(node)) => BTreeMap::from([(0, self.last_place(node).ok_or(NotRevivable::NoPlace)?)]),
            (true, None) if self.step_count == 0 => BTreeMap::new(),
            (true, None) => return Err(NotRevivable::NoPlace),
        };
        let failed = node.map(str::to_owned);
        for token in tokens.values_mut() {
            let is_stored = match &mut token.waits {
                Waits::Timer { .. } | Waits::Turn => continue,
                // Nobody told the run of what happened meanwhile.
                Waits::Event(awaited) => {
                    awaited.looked_back = false;
                    continue;
                }
                Waits::Retry { stored, .. } | Waits::Dead { stored, .. } => *stored,
                Waits::Action { .. } => true,
            };
            // Without a step at fault, whatever was under way is tried again.
            let is_under_way = matches!(token.waits, Waits::Action { .. } | Waits::Dead { .. });
            if failed.as_ref().map_or(!is_under_way, |failed| *failed != token.node) {
                continue;
            }
            let stored = match key {
                ReplayKey::Same => is_stored,
                ReplayKey::New => {
                    let result = self.steps.entry(token.node.clone()).or_default();
                    result.visits = result.visits.max(token.visit) + 1;
                    token.visit = result.visits;
                    false
                }
            };
            token.waits = Waits::Retry { until: now, tries: Tries::FIRST, stored };
        }
        self.tokens = tokens;
        self.end = None;
        // Nobody told the run of what happened meanwhile.
        if let Some(exits) = &mut self.exits {
            exits.looked_back = false;
        }
        Ok(())
    }

    /// Lets a run that goes on with another version begin its waits anew, and watch for that version's exits: what they were
    /// waiting for may read otherwise there.
    pub fn wait_anew(&mut self) {
        self.exits = None;
        for token in self.tokens.values_mut() {
            if let Waits::Event(_) = token.waits {
                token.waits = Waits::Turn;
            }
        }
    }

    /// Where a run stood that failed at `node` before ended runs kept their tokens: they had one.
    fn last_place(&self, node: &str) -> Option<Token> {
        let visit = self.steps.get(node)?.visits;
        let waits = Waits::Retry { until: DateTime::UNIX_EPOCH, tries: Tries::FIRST, stored: false };
        Some(Token { node: node.to_owned(), visit, waits, origin: None, moved_by: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::{StepError, StepResult};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn token(node: &str, waits: Waits) -> Token {
        Token { node: node.to_owned(), visit: 2, waits, origin: None, moved_by: Vec::new() }
    }

    fn retry(until: i64, attempt: u32, stored: bool) -> Waits {
        Waits::Retry { until: at(until), tries: Tries { attempt, ..Tries::FIRST }, stored }
    }

    fn failed(node: Option<&str>, tokens: impl IntoIterator<Item = Token>) -> RunState {
        let error = StepError { code: "http_status".to_owned(), message: "500".to_owned() };
        let tokens = (0..).zip(tokens).collect();
        let mut state = RunState {
            end: Some(End::Failed { node: node.map(str::to_owned), error, tokens }),
            step_count: 4,
            ..RunState::default()
        };
        state.steps.insert("call".to_owned(), StepResult { visits: 2, ..StepResult::default() });
        state
    }

    #[test]
    fn same_key_keeps_visit_and_request_and_begins_counting_anew() {
        let nap = token("nap", Waits::Timer { until: at(9_000) });
        let mut state = failed(Some("call"), [token("call", retry(5, 6, true)), nap.clone()]);
        state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        state.revive(ReplayKey::Same, at(100)).unwrap();
        assert_eq!(state.end, None);
        let expected = BTreeMap::from([(0, token("call", retry(100, 1, true))), (1, nap)]);
        assert_eq!(state.tokens, expected, "the delay beside it goes on as it was");
        assert_eq!(state.steps["call"].visits, 2);
    }

    #[test]
    fn new_key_is_another_visit_that_is_prepared_anew() {
        let mut state = failed(Some("call"), [token("call", retry(5, 6, true))]);
        state.revive(ReplayKey::New, at(100)).unwrap();
        let expected = Token { visit: 3, ..token("call", retry(100, 1, false)) };
        assert_eq!((&state.tokens[&0], state.steps["call"].visits), (&expected, 3));
    }

    #[test]
    fn a_run_whose_workers_died_goes_on_with_what_was_under_way() {
        let action = token("call", Waits::Action { tries: Tries { attempt: 3, ..Tries::FIRST } });
        let other = token("later", retry(5, 2, true));
        let mut state = failed(None, [action, other.clone()]);
        state.revive(ReplayKey::Same, at(100)).unwrap();
        assert_eq!(state.tokens, BTreeMap::from([(0, token("call", retry(100, 1, true))), (1, other)]));
    }

    #[test]
    fn a_run_that_never_began_begins_anew() {
        let mut state = failed(None, []);
        state.step_count = 0;
        state.revive(ReplayKey::Same, at(100)).unwrap();
        assert!(state.tokens.is_empty() && state.end.is_none());
    }

    #[test]
    fn what_did_not_fail_or_does_not_know_its_place_stays_as_it_is() {
        let open = RunState::default();
        let completed = RunState { end: Some(End::Completed), ..RunState::default() };
        for (state, expected) in [
            (open, NotRevivable::Open),
            (completed, NotRevivable::NotFailed),
            (failed(None, []), NotRevivable::NoPlace),
            (failed(Some("gone"), []), NotRevivable::NoPlace),
        ] {
            let mut after = state.clone();
            assert_eq!(after.revive(ReplayKey::Same, at(100)), Err(expected));
            assert_eq!(after, state);
        }
    }

    #[test]
    fn states_written_before_runs_kept_their_place_are_read_and_revived() {
        let text = r#"{"steps":{"call":{"visits":1,"error":{"code":"c","message":"m"}}},"step_count":1,
            "end":{"status":"failed","node":"call","error":{"code":"c","message":"m"}}}"#;
        let mut state: RunState = serde_json::from_str(text).unwrap();
        state.revive(ReplayKey::Same, at(100)).unwrap();
        assert_eq!(state.tokens[&0], Token { visit: 1, ..token("call", retry(100, 1, false)) });
        let text = r#"{"tokens":{"0":{"node":"call","visit":1,"waits":{"for":"action"}}},"step_count":1}"#;
        let state: RunState = serde_json::from_str(text).unwrap();
        assert_eq!(state.tokens[&0].waits, Waits::Action { tries: Tries::FIRST });
    }
}
