//! Branches side by side that nothing joins.

use super::*;

/// What a run with branches asks for, input by input.
fn branches(
    text: &str,
    inputs: impl IntoIterator<Item = RunEvent>,
    now: DateTime<Utc>,
) -> (String, RunState) {
    let (workflow, event) = (graph(text), event(json!({})));
    let (mut state, mut lines) = (RunState::default(), Vec::new());
    for input in inputs {
        let (next, commands) = step(&workflow, state, input, &event, now);
        state = next;
        let told: Vec<_> = commands.iter().map(|command| tell(&workflow, &state, command)).collect();
        lines.push(told.join(", "));
    }
    (lines.join("\n"), state)
}

#[test]
fn a_run_with_a_dead_branch_stays_open_while_others_live_and_fails_with_the_last() {
    let text = "start -> fork; fork -[1]-> a; fork -[2]-> b; fork -[3]-> nap=1h";
    let workflow = graph(text);
    let index = |name: &str| workflow.node_index(name).unwrap();
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let failed = |token: u16, name: &str| {
        let (error, kind) = (failure(), FailureKind::Fail);
        RunEvent::ActionFailed { token, node: index(name), visit: 1, number: 1, error, kind }
    };
    let done = |token: u16, name: &str| {
        let (output, vars) = (Value::Null, Map::new());
        RunEvent::ActionCompleted { token, node: index(name), visit: 1, number: 1, output, vars }
    };
    let (told, state) = branches(text, [started.clone(), failed(1, "a"), done(2, "b")], start());
    assert_snapshot!(told, @r"
    log start ok, log fork ok, run a#1, run b#1, log nap waits, wake nap at +3600s
    log a failed, bury a#1
    log b ok
    ");
    let origins: Vec<_> = state.tokens.values().map(|token| token.origin).collect();
    assert_eq!(origins, [Some(Origin { fork: 0, branch: 0 }), Some(Origin { fork: 0, branch: 2 })]);
    let dead = Waits::Dead { error: failure(), stored: true, until: None };
    assert_eq!(state.tokens[&1].waits, dead);
    assert_eq!(state.owed(start()).iter().map(|owed| owed.token).collect::<Vec<_>>(), [3]);
    let text_of_state = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<RunState>(&text_of_state).unwrap(), state);

    let later = start() + TimeDelta::hours(1);
    let (state, commands) = step(&workflow, state, RunEvent::TimerFired, &event(json!({})), later);
    let told: Vec<_> = commands.iter().map(|command| tell(&workflow, &state, command)).collect();
    assert_eq!(told, ["log nap ok", "finish failed refused"], "buried once, when it died");
    let mut revived = state.clone();
    revived.revive(ReplayKey::Same, later).unwrap();
    let retry = Waits::Retry { until: later, tries: Tries::FIRST, stored: true };
    assert_eq!(
        revived.tokens.iter().map(|(token, it)| (*token, &it.waits)).collect::<Vec<_>>(),
        [(1, &retry)]
    );

    let inputs =
        [started, failed(1, "a"), failed(2, "b"), RunEvent::Cancelled { reason: "asked".to_owned() }];
    let (told, state) = branches(text, inputs, start());
    assert!(told.ends_with("log b failed, bury b#1\nlog  ok, finish cancelled asked"), "{told}");
    assert!(state.tokens.is_empty());
}

#[test]
fn branches_that_all_end_complete_the_run_and_their_numbers_are_used_again() {
    let text = "start -> fork; fork -[1]-> check; fork -[2]-> check; check -[else]-> a; a -> fork";
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (told, state) = branches(text, [started], start());
    assert_snapshot!(told, @"log start ok, log fork ok, log check ok [else], run a#1, log check ok [else], run a#2");
    assert_eq!(state.tokens.keys().copied().collect::<Vec<_>>(), [1, 2]);
    let answer = |token: u16, visit: u32, output: Value| RunEvent::ActionCompleted {
        token,
        node: graph(text).node_index("a").unwrap(),
        visit,
        number: 1,
        output,
        vars: Map::new(),
    };
    let (state, _) = step(&graph(text), state, answer(1, 1, Value::Null), &event(json!({})), start());
    assert_eq!(state.tokens.keys().copied().collect::<Vec<_>>(), [0, 2, 3], "0 was free, 1 was forked");
    let ways: Vec<String> = (0..=MOST_BRANCHES).map(|way| format!("fork -[{way}]-> a")).collect();
    let (told, _) = branches(
        &format!("start -> fork; {}", ways.join("; ")),
        [RunEvent::Started { trigger: "start".to_owned() }],
        start(),
    );
    assert!(told.ends_with("log fork failed, bury fork#1, finish failed too_many_branches"), "{told}");
    let text = "start -> fork; fork -[1]-> stop; fork -[2]-> a";
    let (told, _) = branches(text, [RunEvent::Started { trigger: "start".to_owned() }], start());
    assert_snapshot!(told, @"log start ok, log fork ok, log stop ok, finish completed");
}
