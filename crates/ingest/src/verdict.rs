//! What ingest decides about an event, for whoever asks afterwards why it started no run.

pub use crate::enrol::{KeptOut, kept_out};

use crate::matching;
use crate::trigger_index::schedule_of;
use automation_domain::budget::Exceeded;
use automation_domain::event::Event;
use automation_domain::facts::Facts;
use automation_domain::id::{ScheduleId, WorkflowId};
use automation_domain::workflow::{Enrolment, Trigger};
use automation_store::runs::enrolments;
use chrono::{DateTime, Utc};

/// Whether a trigger listens for an event, its condition aside.
pub fn listens(workflow: WorkflowId, trigger: &Trigger, event: &Event) -> bool {
    match (schedule_of(event), &trigger.schedule) {
        (Some(slot), Some(_)) => slot == ScheduleId::derive(workflow, &trigger.id).to_string(),
        (None, None) => trigger.event == event.event_type,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What a run that the trigger starts is unique by; `None` when a condition does not hold.
///
/// # Errors
///
/// [`Exceeded`] when deciding takes more than is left of the facts' budget: the event is not let in then.
pub fn entry(
    enrolment: &Enrolment,
    trigger: &Trigger,
    event: &Event,
    facts: &Facts<'_>,
) -> Result<Option<String>, Exceeded> {
    matching::entry(enrolment, trigger, event, facts, |_, _| ())
}

/// What a run of the workflow that the event starts is unique by.
///
/// # Errors
///
/// [`Exceeded`] when working it out takes more than is left of the facts' budget.
pub fn run_key(enrolment: &Enrolment, event: &Event, facts: &Facts<'_>) -> Result<String, Exceeded> {
    matching::run_key(enrolment, event, facts)
}

/// What was known of earlier runs of a key at some moment, as far as its record tells today; `None` when runs that began
/// later have replaced it.
pub fn known_at(today: &enrolments::Enrolment, at: DateTime<Utc>) -> Option<enrolments::Enrolment> {
    match today.last_started_at {
        None => Some(enrolments::Enrolment::default()),
        Some(started) if started > at => (today.runs == 1).then(enrolments::Enrolment::default),
        Some(_) => {
            let was_open = today.open || today.last_ended_at.is_some_and(|ended| ended > at);
            Some(enrolments::Enrolment { open: was_open, ..today.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn what_was_known_is_told_from_the_latest_run_alone() {
        let at = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let (before, after) = (at - TimeDelta::hours(1), at + TimeDelta::hours(1));
        let record = |runs, open, started, ended| enrolments::Enrolment {
            run_id: None,
            open,
            runs,
            last_started_at: started,
            last_ended_at: ended,
        };
        let known = |today: &enrolments::Enrolment| known_at(today, at).map(|known| (known.runs, known.open));
        for (today, expected) in [
            (record(0, false, None, None), Some((0, false))),
            (record(1, true, Some(before), None), Some((1, true))),
            (record(1, false, Some(before), Some(after)), Some((1, true))),
            (record(2, false, Some(before), Some(before)), Some((2, false))),
            (record(1, true, Some(after), None), Some((0, false))),
            (record(2, true, Some(after), Some(before)), None),
        ] {
            assert_eq!(known(&today), expected, "{today:?}");
        }
    }
}
