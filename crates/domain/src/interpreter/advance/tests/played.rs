//! A run as a table: what happens to it, and what each input asked for.

use super::*;

pub(super) fn play(text: &str, data: Value, inputs: impl IntoIterator<Item = Input>) -> String {
    play_to_end(text, data, inputs).0
}

pub(super) fn play_to_end(
    text: &str,
    data: Value,
    inputs: impl IntoIterator<Item = Input>,
) -> (String, RunState) {
    let workflow = graph(text);
    let event = event(data);
    let (mut state, mut now, mut lines) = (RunState::default(), start(), Vec::new());
    for input in inputs {
        let token = state.tokens.keys().next().copied().unwrap_or_default();
        let index = |name: &str| workflow.node_index(name).unwrap();
        let number = match state.tokens.get(&token).map(|token| &token.waits) {
            Some(Waits::Action { tries }) => tries.number(),
            Some(
                Waits::Timer { .. }
                | Waits::Retry { .. }
                | Waits::Event(_)
                | Waits::Turn
                | Waits::Dead { .. },
            )
            | None => 1,
        };
        let failed = |name: &str, kind: FailureKind| RunEvent::ActionFailed {
            token,
            node: index(name),
            visit: 1,
            number,
            error: failure(),
            kind,
        };
        let (label, input) = match input {
            Started => ("started".to_owned(), RunEvent::Started { trigger: "start".to_owned() }),
            Done(name, output) => (
                format!("{name} done"),
                RunEvent::ActionCompleted {
                    token,
                    node: index(name),
                    visit: 1,
                    number,
                    output,
                    vars: Map::new(),
                },
            ),
            Failed(name) => (format!("{name} failed"), failed(name, FailureKind::Fail)),
            Flaky(name, after) => {
                let after = after.map(Duration::from_secs);
                (format!("{name} flaky"), failed(name, FailureKind::Retry { after }))
            }
            Full(name, seconds) => {
                let until = start() + TimeDelta::seconds(seconds);
                (
                    format!("{name} full"),
                    RunEvent::ActionPostponed { token, node: index(name), visit: 1, number, until },
                )
            }
            Clock(seconds) => {
                now = start() + TimeDelta::seconds(seconds);
                (format!("+{seconds}s"), RunEvent::TimerFired)
            }
            Cancelled => ("cancelled".to_owned(), RunEvent::Cancelled { reason: "asked".to_owned() }),
        };
        let (next, commands) = step(&workflow, state, input, &event, now);
        state = next;
        // What is buried, and that it was cancelled, stands beside a line that says so.
        let told = commands.iter().filter(|command| {
            !matches!(command, Command::Bury { .. })
                && command.step().is_none_or(|step| step.action != "cancel")
        });
        let told: Vec<_> = told.map(|command| tell(&workflow, &state, command)).collect();
        let told = if told.is_empty() { "-".to_owned() } else { told.join(", ") };
        lines.push(format!("{label:<10} | {told}"));
    }
    (lines.join("\n"), state)
}

pub(super) fn failure() -> StepError {
    StepError { code: "refused".to_owned(), message: "no".to_owned() }
}

pub(super) fn tell(workflow: &Workflow, state: &RunState, command: &Command) -> String {
    match command {
        Command::Bury { node, visit, .. } => format!("bury {}#{visit}", workflow.nodes[*node].id),
        Command::Withhold { node, visit, is_skipped: true } => {
            format!("never send {}#{visit}", workflow.nodes[*node].id)
        }
        Command::Change(_) | Command::Withhold { .. } | Command::Publish(_) | Command::Emit(_) => {
            panic!("the action of the tables does not ask for this: {command:?}")
        }
        Command::Send(Send { node, visit, is_stored: false, .. }) => {
            format!("run {}#{visit}", workflow.nodes[*node].id)
        }
        Command::Send(Send { node, visit, tries, .. }) => {
            format!("send {}#{visit}, the {}.", workflow.nodes[*node].id, tries.number())
        }
        Command::Wake { node, until, retry: Some(delay), .. } => {
            let at = (*until - start()).num_seconds();
            format!("retry {} after {}s at +{at}s", workflow.nodes[*node].id, delay.as_secs())
        }
        Command::Wake { node, until, retry: None, .. } => {
            format!("wake {} at +{}s", workflow.nodes[*node].id, (*until - start()).num_seconds())
        }
        Command::Finish => match state.end.as_ref().unwrap() {
            End::Completed => "finish completed".to_owned(),
            End::Failed { error, .. } => format!("finish failed {}", error.code),
            End::Cancelled { reason } => format!("finish cancelled {reason}"),
        },
        Command::Log(Step { node, action, .. }) if action == "discard" => format!("discard {node}"),
        Command::Log(Step { node, outcome, detail, .. }) => {
            let outcome = match outcome {
                StepOutcome::Completed => "ok",
                StepOutcome::Failed => "failed",
                StepOutcome::Waiting => "waits",
                StepOutcome::Retrying => "retries",
                StepOutcome::Skipped => "skipped",
            };
            match detail["case"].as_str() {
                Some(case) => format!("log {node} {outcome} [{case}]"),
                None => format!("log {node} {outcome}"),
            }
        }
    }
}
