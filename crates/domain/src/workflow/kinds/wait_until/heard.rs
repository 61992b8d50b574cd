//! What a wait makes of an event.

use super::{Wait, told};
use crate::condition::Explained;
use crate::event::RecordedEvent;
use crate::facts::Facts;
use crate::interpreter::{Awaited, Onward, StepError, StepOutcome, Visit, Walk, happened_at};
use chrono::SecondsFormat;
use serde_json::json;

impl Wait {
    pub(super) fn hear_event(
        &self,
        walk: &mut Walk<'_>,
        visit: Visit<'_>,
        awaited: &mut Awaited,
        (recorded, looked_back): (&RecordedEvent, bool),
    ) -> Option<Onward> {
        let matched =
            walk.evaluate_over(visit, Some(recorded), |facts| self.matched(awaited, recorded, facts));
        match matched {
            Err(error) => Some(walk.fail(visit, error)),
            Ok(None) => None,
            Ok(Some(Matched::Alternative(name, explained))) => {
                let event = &recorded.event;
                let time = happened_at(recorded).to_rfc3339_opts(SecondsFormat::AutoSi, true);
                let known = json!({ "id": event.id, "type": event.event_type, "time": time });
                let mut output = known.clone();
                output["subject"] = event.subject.as_deref().into();
                output["data"] = event.data.clone();
                let detail = told(name, &explained, json!({ "event": known, "looked_back": looked_back }));
                Some(walk.finish(visit, name, json!({ "event": output }), detail))
            }
            Ok(Some(Matched::Restart)) => self.restart(walk, visit, awaited, recorded),
        }
    }

    /// The time-out counts anew, from when the event happened.
    fn restart(
        &self,
        walk: &mut Walk<'_>,
        visit: Visit<'_>,
        awaited: &mut Awaited,
        recorded: &RecordedEvent,
    ) -> Option<Onward> {
        let length = match self.length(walk, visit) {
            Ok(length) => length?,
            Err(error) => return Some(walk.fail(visit, error)),
        };
        let at = happened_at(recorded);
        if at < awaited.since || awaited.until.is_some_and(|until| until >= at + length) {
            return None;
        }
        let until = at + length;
        awaited.until = Some(until);
        let event = &recorded.event;
        let detail = json!({
            "restarted_by": { "id": event.id, "type": event.event_type },
            "until": until.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        });
        walk.note(visit, StepOutcome::Waiting, detail);
        None
    }

    /// What an event is to this wait.
    fn matched(
        &self,
        awaited: &Awaited,
        recorded: &RecordedEvent,
        facts: &Facts<'_>,
    ) -> Result<Option<Matched<'_>>, StepError> {
        let names = self.alternatives.iter().filter(|(_, one)| one.event().is_some());
        let mut names = names.map(|(name, _)| name.as_str());
        for (index, filter) in self.filters().enumerate() {
            let name = names.next();
            let values = awaited.filters.get(index).map_or(&[][..], Vec::as_slice);
            if let Some(explained) = filter.explain(values, &recorded.event, facts)? {
                return Ok(Some(name.map_or(Matched::Restart, |name| Matched::Alternative(name, explained))));
            }
        }
        Ok(None)
    }
}

/// What an event is to a wait.
enum Matched<'w> {
    /// What it waits for, by the name of its way, and why.
    Alternative(&'w str, Explained),
    /// What puts its time-out off.
    Restart,
}
