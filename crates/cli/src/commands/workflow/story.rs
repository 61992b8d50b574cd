//! How a simulation went, to be read: each step with its time, each decision with both values, what would have been done.

use crate::commands::entry::{self, short};
use crate::commands::run::explain;
use crate::output::{time, to_json};
use automation_domain::id::RunId;
use automation_domain::interpreter::Waits;
use automation_simulation::{Run, Simulation, Verdict, What};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// Everything that happened, and what is waited for.
pub(super) fn told(simulation: &Simulation) -> Vec<String> {
    let runs: BTreeMap<RunId, String> =
        simulation.runs().iter().map(|run| (run.id, format!("{} ({})", run.workflow, run.key))).collect();
    let name = |run: &RunId| runs.get(run).cloned().unwrap_or_default();
    let (mut lines, mut last, mut of) = (Vec::new(), None, None);
    for one in simulation.story() {
        let second = one.at.timestamp();
        if last.replace(second) != Some(second) {
            lines.push(clock(one.at, simulation.setting().start));
            of = None;
        }
        // A line for the run whenever another one is told of.
        if let What::Step { run, .. } = &one.what
            && of.replace(*run) != Some(*run)
        {
            lines.push(format!("  {}", name(run)));
        }
        tell(&one.what, &name, &mut lines);
    }
    lines.extend(simulation.runs().iter().flat_map(waits));
    lines
}

fn clock(at: DateTime<Utc>, start: DateTime<Utc>) -> String {
    format!("{}  +{}", time(at), after(at - start))
}

fn tell(what: &What, name: &impl Fn(&RunId) -> String, lines: &mut Vec<String>) {
    match what {
        What::Event { event_type, subject, data, caused_by, .. } => {
            let about = subject.as_ref().map(|who| format!(" of {who}")).unwrap_or_default();
            let by = caused_by.as_ref().map(|run| format!(", caused by {}", name(run))).unwrap_or_default();
            lines.push(format!("  event {event_type}{about}{by}  {}", short(data)));
        }
        What::Refused { event_type, code, detail, .. } => {
            lines.push(format!("  event {event_type} is refused: {detail} [{code}]"));
        }
        What::Decided { workflow, trigger, verdict, key, until, conditions, .. } => {
            let key = key.as_deref().unwrap_or_default();
            let came = match verdict {
                Verdict::Started => format!("starts a run, unique by {key}"),
                Verdict::ConditionFalse => "no run: a condition does not hold".to_owned(),
                Verdict::Suppressed => "no run: whom it is about is never let in".to_owned(),
                Verdict::OverBudget => "no run: deciding takes more than its budget".to_owned(),
                Verdict::Once => format!("no run: {key} was in before"),
                Verdict::StillIn => format!("no run: a run of {key} is open"),
                Verdict::Gap | Verdict::Max => {
                    let until = until.map(time).unwrap_or_default();
                    format!("no run: {key} may enter again at {until}")
                }
            };
            lines.push(format!("  {workflow}, trigger {trigger}: {came}"));
            lines.extend(conditions.iter().flat_map(|condition| entry::told(condition, 4, "")));
        }
        What::Step { step, .. } => {
            let mut told = Vec::new();
            explain::tell(step, &mut told);
            lines.extend(told.into_iter().map(|line| format!("  {line}")));
        }
        What::Effect { node, effect, .. } => {
            lines.push(format!("    {node} would do: {}", short(&to_json(effect))));
        }
        What::Answered { node, attempt, answer, error, .. } => {
            let means = match error {
                Some(error) => format!(": {} [{}]", error.message, error.code),
                None => String::new(),
            };
            lines.push(format!("    {node}, attempt {attempt}: supposed answer {answer}{means}"));
        }
        What::Buried { node, error, .. } => {
            lines.push(format!("    {node} failed for good: {} [{}]", error.message, error.code));
        }
        What::Goal { run, event_type, id, .. } => {
            lines.push(format!("  {} has reached its goal: {event_type} {id}", name(run)));
        }
        What::Ended { run, end, reason, .. } => {
            let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            lines.push(format!("  {} has ended, {end}{why}", name(run)));
        }
    }
}

/// What an open run waits for.
fn waits(run: &Run) -> Vec<String> {
    let open = run.state.tokens.values().filter(|_| run.state.end.is_none());
    open.map(|token| {
        let what = match &token.waits {
            Waits::Timer { until } | Waits::Retry { until, .. } => format!("until {}", time(*until)),
            Waits::Event(awaited) => {
                let until = awaited.until.map(|until| format!(", until {}", time(until)));
                format!("for {}{}", awaited.types.join(", "), until.unwrap_or_default())
            }
            Waits::Dead { error, .. } => format!("for nothing: it failed for good [{}]", error.code),
            Waits::Turn => "for its turn".to_owned(),
            Waits::Action { .. } => "for an answer".to_owned(),
        };
        format!("  {} ({}): {} waits {what}", run.workflow, run.key, token.node)
    })
    .collect()
}

/// How long after the beginning, in whole seconds.
fn after(length: TimeDelta) -> String {
    let seconds = length.num_seconds();
    let parts = [(seconds / 86_400, 'd'), (seconds / 3_600 % 24, 'h'), (seconds / 60 % 60, 'm')];
    let parts: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    match seconds % 60 {
        0 if !parts.is_empty() => parts,
        seconds => format!("{parts}{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_from_the_longest_unit_on() {
        for (seconds, told) in [(0, "0s"), (59, "59s"), (60, "1m"), (3_661, "1h1m1s"), (172_800, "2d")] {
            assert_eq!(after(TimeDelta::seconds(seconds)), told);
        }
    }
}
