//! What a run is for has happened. That it counts is decided apart from the run, which may have ended.

use super::{Command, End, EndedBy, Reached, RunState, Step, StepOutcome};
use chrono::SecondsFormat;
use serde_json::json;

/// Ends a run that reached what it is for, and says so in its history; a run that has ended stays as it is.
pub fn reach_goal(mut state: RunState, reached: Reached) -> (RunState, Vec<Command>) {
    if state.end.is_some() {
        return (state, Vec::new());
    }
    let Reached { event_type, event_id, at } = reached;
    let time = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let step = Step {
        node: String::new(),
        action: "goal".to_owned(),
        visit: 1,
        outcome: StepOutcome::Completed,
        detail: json!({ "event": { "id": event_id, "type": event_type, "time": time } }),
    };
    state.ended_by = Some(EndedBy { event_type, event_id, is_goal: true });
    state.end_as(End::Completed);
    (state, vec![Command::Log(step), Command::Finish])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::{InboxInput, RunEvent};
    use chrono::DateTime;

    fn reached() -> Reached {
        let at = DateTime::from_timestamp(1_000_000, 0).unwrap();
        Reached { event_type: "order.completed".to_owned(), event_id: "o-1".to_owned(), at }
    }

    #[test]
    fn a_goal_completes_the_run_with_a_line_in_its_history_and_once() {
        let (state, commands) = reach_goal(RunState::default(), reached());
        assert_eq!(state.end, Some(End::Completed));
        let by =
            EndedBy { event_type: "order.completed".to_owned(), event_id: "o-1".to_owned(), is_goal: true };
        assert_eq!(state.ended_by, Some(by));
        assert_eq!(
            commands.iter().filter_map(Command::step).map(|step| step.action.as_str()).collect::<Vec<_>>(),
            ["goal"]
        );
        assert_eq!(commands.last(), Some(&Command::Finish));
        assert_eq!(reach_goal(state.clone(), reached()), (state, Vec::new()));
    }

    #[test]
    fn what_a_run_is_told_of_its_goal_reads_back_as_it_was_written() {
        let input = InboxInput::Goal(reached());
        let written = serde_json::to_vec(&input).unwrap();
        assert_eq!(serde_json::from_slice::<InboxInput>(&written).unwrap(), input);
        assert_eq!(RunEvent::from(input), RunEvent::GoalReached(reached()));
    }

    #[test]
    fn an_exit_from_before_there_were_goals_reads_as_one() {
        let by: EndedBy = serde_json::from_str(r#"{"event_type":"a","event_id":"1"}"#).unwrap();
        assert!(!by.is_goal);
    }
}
