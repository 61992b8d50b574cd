//! What ends a run before its way is over: events of the contact that are watched for as long as it is open.

use super::walk::FIRST_TOKEN;
use super::{Awaited, End, EndedBy, Heard, RunState, Step, StepOutcome, Walk, happened_at};
use crate::condition::Explained;
use crate::event::RecordedEvent;
use chrono::SecondsFormat;
use serde_json::json;

/// Under which name exits are told of where nodes are: no node has it.
const EXIT: &str = "(exit)";

impl Walk<'_> {
    /// Whether the run watches for what ends it.
    pub(super) fn has_exits(&self) -> bool {
        !self.workflow.exits.is_empty() && self.has_contact()
    }

    /// Begins to watch. Nothing of the run begins before it has looked for what happened before.
    pub(super) fn watch_for_exits(&mut self) {
        let (since, began_at) = (self.now(), self.began_at());
        let exits = &self.workflow.exits;
        let from = exits.iter().map(|exit| exit.from(began_at)).min().unwrap_or(began_at);
        let rendered = self.evaluate_as(EXIT, FIRST_TOKEN, self.run.event, |facts| {
            Ok(exits.iter().map(|exit| exit.filter.render(facts)).collect::<Result<Vec<_>, _>>()?)
        });
        // What cannot be worked out is nothing, and ends nothing.
        let filters = rendered.unwrap_or_default();
        let mut types: Vec<String> = exits.iter().map(|exit| exit.filter.event.clone()).collect();
        types.sort_unstable();
        types.dedup();
        let (until, look_at) = (None, None);
        let awaited =
            Awaited { since, from, until, look_at, looked_back: false, types, filters, asked: None };
        self.state.exits = Some(Box::new(awaited));
    }

    /// Looks for what ended the run before it began to watch; whether it may go on.
    pub(super) fn look_for_exits(&mut self) -> bool {
        if self.state.end.is_some() {
            return false;
        }
        if self.state.exits.is_none() && self.state.step_count > 0 && self.has_exits() {
            // It goes on with a version that has others.
            self.watch_for_exits();
            return false;
        }
        if self.state.exits.as_ref().is_none_or(|awaited| awaited.looked_back) {
            return true;
        }
        let recorded = self.run.recorded;
        let Some(mut before) = recorded.before() else { return false };
        before.sort_by_key(|event| (happened_at(event), event.event.key));
        for event in before {
            if self.hear_exit(Heard::Before(event)) {
                return false;
            }
        }
        if let Some(awaited) = &mut self.state.exits {
            awaited.looked_back = true;
        }
        true
    }

    /// Ends the run if it is what ends it.
    pub(super) fn hear_exit(&mut self, heard: Heard<'_>) -> bool {
        let (Heard::Event(recorded) | Heard::Before(recorded)) = heard else { return false };
        let Some(awaited) = self.state.exits.clone().filter(|_| self.state.end.is_none()) else {
            return false;
        };
        let started_it = self.run.event.is_some_and(|started| started.event_id == recorded.event_id);
        if started_it || !awaited.types.contains(&recorded.event.event_type) {
            return false;
        }
        self.budget.begin_next();
        let (exits, began_at, at) = (&self.workflow.exits, self.began_at(), happened_at(recorded));
        let found = self.evaluate_as(EXIT, FIRST_TOKEN, Some(recorded), |facts| {
            for (index, exit) in exits.iter().enumerate().filter(|(_, exit)| exit.from(began_at) <= at) {
                let values = awaited.filters.get(index).map_or(&[][..], Vec::as_slice);
                if let Some(explained) = exit.filter.explain(values, &recorded.event, facts)? {
                    return Ok(Some((index, explained)));
                }
            }
            Ok(None)
        });
        match found {
            Ok(None) => false,
            Ok(Some((index, explained))) => {
                self.exit(recorded, index, &explained, matches!(heard, Heard::Before(_)));
                true
            }
            Err(error) => {
                let detail = json!({ "code": error.code, "message": error.message });
                self.log_exit(StepOutcome::Failed, detail);
                false
            }
        }
    }

    fn exit(&mut self, recorded: &RecordedEvent, index: usize, explained: &Explained, looked_back: bool) {
        let event = &recorded.event;
        let time = happened_at(recorded).to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let mut detail = json!({
            "exit": index,
            "event": { "id": event.id, "type": event.event_type, "time": time },
            "looked_back": looked_back,
        });
        if !explained.comparisons.is_empty() {
            detail["comparisons"] = json!(explained.comparisons);
        }
        self.log_exit(StepOutcome::Completed, detail);
        self.state.ended_by = Some(EndedBy {
            event_type: event.event_type.clone(),
            event_id: event.id.clone(),
            is_goal: false,
        });
        self.end(End::Completed);
    }

    fn log_exit(&mut self, outcome: StepOutcome, detail: serde_json::Value) {
        let step = Step { node: String::new(), action: "exit".to_owned(), visit: 1, outcome, detail };
        self.commands.push(super::Command::Log(step));
    }
}

impl RunState {
    /// Everything that it waits for of others; nothing once it has ended. A replay goes on to watch for its exits.
    pub(super) fn awaiting(&self) -> impl Iterator<Item = &Awaited> {
        let exits = self.exits.as_deref().filter(|_| self.end.is_none());
        let of_tokens = self.tokens.values().filter_map(|token| token.waits.awaited());
        of_tokens.chain(exits)
    }
}
