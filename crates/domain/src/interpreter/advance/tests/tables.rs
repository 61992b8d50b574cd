//! Runs that walk one way.

use super::*;

#[test]
fn small_order_skips_the_approval() {
    let text = "start -> check; check -[100]-> approve; check -[else]-> ship; approve -> ship";
    assert_snapshot!(play(text, json!({ "total": 20 }), [Started, done("ship"), done("ship")]), @r"
    started    | log start ok, log check ok [else], run ship#1
    ship done  | log ship ok, finish completed
    ship done  | -
    ");
    assert_snapshot!(play(text, json!({ "total": 200 }), [Started, done("approve"), done("ship")]), @r"
    started    | log start ok, log check ok [100], run approve#1
    approve done | log approve ok, run ship#1
    ship done  | log ship ok, finish completed
    ");
}

#[test]
fn first_case_that_holds_is_taken_and_explained() {
    let text = "start -> check; check -[500]-> a; check -[100]-> b; check -[50]-> c";
    let (_, state) = play_to_end(text, json!({ "total": 200 }), [Started]);
    assert_eq!(state.steps["check"].case.as_deref(), Some("100"));
    let (_, commands) = step(
        &graph(text),
        RunState::default(),
        RunEvent::Started { trigger: "start".to_owned() },
        &event(json!({ "total": 200 })),
        start(),
    );
    let Command::Log(check) = &commands[1] else { panic!("{commands:?}") };
    assert_eq!(
        check.detail["cases"].as_array().unwrap().len(),
        2,
        "cases after the one taken are not looked at"
    );
    let first = &check.detail["cases"][0];
    assert_eq!((&first["case"], &first["holds"]), (&json!("500"), &json!(false)));
    assert_eq!(first["comparisons"][0]["field"], "event.data.total");
    assert_eq!(first["comparisons"][0]["actual"], 200);
    assert_eq!(first["comparisons"][0]["expected"], 500);
}

#[test]
fn case_without_an_edge_ends_the_run() {
    let text = "start -> check; check -[100]-> a";
    assert_snapshot!(play(text, json!({}), [Started]), @"started    | log start ok, log check ok [else], finish completed");
}

#[test]
fn delay_waits_until_its_time_and_no_longer() {
    let text = "start -> nap=1h; nap -> a";
    assert_snapshot!(play(text, json!({}), [Started, Started, Clock(3599), Clock(3600), Clock(3600), done("a")]), @r"
    started    | log start ok, log nap waits, wake nap at +3600s
    started    | -
    +3599s     | -
    +3600s     | log nap ok, run a#1
    +3600s     | -
    a done     | log a ok, finish completed
    ");
}

#[test]
fn delays_in_a_row_start_when_the_one_before_ended() {
    let text = "start -> nap=10s; nap -> doze=90; doze -> stop";
    assert_snapshot!(play(text, json!({}), [Started, Clock(25), Clock(100), Clock(115), Clock(200)]), @r"
    started    | log start ok, log nap waits, wake nap at +10s
    +25s       | log nap ok, log doze waits, wake doze at +115s
    +100s      | -
    +115s      | log doze ok, log stop ok, finish completed
    +200s      | -
    ");
}

#[test]
fn delay_of_nothing_goes_on_at_once() {
    for duration in ["0s", "{{ 0 }}", "{{ event.data.wait }}"] {
        let text = format!("start -> nap={duration}; nap -> a");
        let trace = play(&text, json!({ "wait": -5 }), [Started]);
        assert_eq!(trace, "started    | log start ok, log nap ok, run a#1", "{duration}");
    }
}

#[test]
fn delay_can_come_from_the_event() {
    for (wait, seconds) in [(json!("2m"), 120), (json!(90), 90), (json!("45"), 45), (json!(0.5), 0)] {
        let trace = play("start -> nap={{ event.data.wait }}", json!({ "wait": wait }), [Started]);
        assert_eq!(trace, format!("started    | log start ok, log nap waits, wake nap at +{seconds}s"));
    }
}

#[test]
fn delay_that_is_no_duration_fails_the_run() {
    for wait in [json!("soon"), Value::Null, json!([1]), json!(true), json!("4000d"), json!(1e300)] {
        let (trace, state) =
            play_to_end("start -> nap={{ event.data.wait }}", json!({ "wait": wait }), [Started, Clock(9)]);
        let expected =
            "started    | log start ok, log nap failed, finish failed invalid_duration\n+9s        | -";
        assert_eq!(trace, expected, "{wait}");
        assert_eq!(state.steps["nap"].error.as_ref().unwrap().code, "invalid_duration");
    }
}

#[test]
fn delay_sees_what_steps_returned() {
    let text = "start -> a; a -> nap={{ steps.a.output.pause }}; nap -> stop";
    let pause = Done("a", json!({ "pause": "30s" }));
    assert_snapshot!(play(text, json!({}), [Started, pause]), @r"
    started    | log start ok, run a#1
    a done     | log a ok, log nap waits, wake nap at +30s
    ");
}

#[test]
fn failed_action_ends_the_run_where_it_failed() {
    let (trace, state) = play_to_end("start -> a; a -> b", json!({}), [Started, Failed("a"), done("a")]);
    assert_snapshot!(trace, @r"
    started    | log start ok, run a#1
    a failed   | log a failed, finish failed refused
    a done     | -
    ");
    let Some(End::Failed { node, error, tokens }) = state.end else { panic!("{state:?}") };
    assert_eq!((node.as_deref(), error), (Some("a"), failure()));
    let waits = Waits::Retry { until: start(), tries: Tries::FIRST, stored: true };
    assert_eq!((tokens[&0].node.as_str(), tokens[&0].visit, &tokens[&0].waits), ("a", 1, &waits));
    assert_eq!(state.steps["a"].error, Some(failure()));
}

#[test]
fn flaky_action_climbs_the_ladder_and_then_fails() {
    let inputs =
        [Started, Flaky("a", None), Clock(59), Clock(60), Flaky("a", None), Clock(360), Flaky("a", None)];
    assert_snapshot!(play("start -> a; a -> b", json!({}), inputs), @r"
    started    | log start ok, run a#1
    a flaky    | log a retries, retry a after 60s at +60s
    +59s       | -
    +60s       | send a#1, the 2.
    a flaky    | log a retries, retry a after 300s at +360s
    +360s      | send a#1, the 3.
    a flaky    | log a failed, finish failed refused
    ");
}

#[test]
fn named_delay_and_a_full_house_use_up_no_attempt() {
    let inputs = [
        Started,
        Flaky("a", Some(7)),
        Clock(7),
        Full("a", 8),
        Clock(8),
        Flaky("a", None),
        Clock(68),
        done("a"),
        done("b"),
    ];
    assert_snapshot!(play("start -> a; a -> b", json!({}), inputs), @r"
    started    | log start ok, run a#1
    a flaky    | log a retries, retry a after 7s at +7s
    +7s        | send a#1, the 2.
    a full     | -
    +8s        | send a#1, the 2.
    a flaky    | log a retries, retry a after 60s at +68s
    +68s       | send a#1, the 3.
    a done     | log a ok, run b#1
    b done     | log b ok, finish completed
    ");
}

#[test]
fn failed_step_with_an_error_branch_goes_on_there() {
    let text = "start -> a; a -> b; a -[error]-> nap={{ steps.a.error.code }}; nap -[error]-> note";
    let (trace, state) = play_to_end(text, json!({}), [Started, Failed("a"), done("note")]);
    assert_snapshot!(trace, @r"
    started    | log start ok, run a#1
    a failed   | log a failed, log nap failed, run note#1
    note done  | log note ok, finish completed
    ");
    let nap = state.steps["nap"].error.as_ref().unwrap();
    assert!(nap.message.contains("refused"), "the code of the first error was what it rendered: {nap:?}");
}

#[test]
fn paused_workflow_takes_an_answer_and_begins_nothing() {
    let workflow = graph("start -> a; a -> b");
    let event = event(json!({}));
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (state, _) = step(&workflow, RunState::default(), started, &event, start());
    let paused = RunInput { is_paused: true, ..run(&event, start()) };
    let (output, vars) = (json!(7), Map::new());
    let answer = RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number: 1, output, vars };
    let Advanced { state, commands, .. } = advance(&workflow, state, [answer], paused.clone());
    assert!(matches!(&commands[..], [Command::Log(step)] if step.node == "a"), "{commands:?}");
    assert_eq!((state.tokens[&0].node.as_str(), &state.tokens[&0].waits), ("b", &Waits::Turn));
    let Advanced { state, .. } = advance(&workflow, state, [RunEvent::TimerFired], paused);
    assert_eq!((state.steps["a"].output.clone(), state.steps.get("b")), (json!(7), None));
    let (state, commands) = step(&workflow, state, RunEvent::TimerFired, &event, start());
    assert_eq!(tell(&workflow, &state, &commands[0]), "run b#1");
}

#[test]
fn answer_sets_variables() {
    let workflow = graph("start -> a; a -> nap={{ vars.pause }}");
    let event = event(json!({}));
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (state, _) = step(&workflow, RunState::default(), started, &event, start());
    let vars = Map::from_iter([("pause".to_owned(), json!("40s"))]);
    let answer =
        RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number: 1, output: Value::Null, vars };
    let (state, _) = step(&workflow, state, answer, &event, start());
    let until = start() + TimeDelta::seconds(40);
    assert_eq!(state.tokens[&0].waits, Waits::Timer { until });
}

#[test]
fn replayed_run_goes_on_where_it_failed() {
    let workflow = graph("start -> a; a -> b");
    let event = event(json!({}));
    let replay = |key: ReplayKey, kind: FailureKind| {
        let started = RunEvent::Started { trigger: "start".to_owned() };
        let (state, _) = step(&workflow, RunState::default(), started, &event, start());
        let error = failure();
        let answer = RunEvent::ActionFailed { token: 0, node: 0, visit: 1, number: 1, error, kind };
        let (mut state, _) = step(&workflow, state, answer, &event, start());
        state.revive(key, start()).unwrap();
        let (state, commands) = step(&workflow, state, RunEvent::TimerFired, &event, start());
        commands.iter().map(|command| tell(&workflow, &state, command)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(replay(ReplayKey::Same, FailureKind::Fail), "send a#1, the 1.");
    assert_eq!(replay(ReplayKey::New, FailureKind::Fail), "run a#2");
    assert_eq!(
        replay(ReplayKey::Same, FailureKind::Refused),
        "run a#1",
        "nothing is stored to be sent again"
    );
}

#[test]
fn repeated_answer_does_not_complete_the_next_action() {
    assert_snapshot!(play("start -> a; a -> b", json!({}), [Started, done("a"), done("a"), Failed("a"), done("b")]), @r"
    started    | log start ok, run a#1
    a done     | log a ok, run b#1
    a done     | -
    a failed   | -
    b done     | log b ok, finish completed
    ");
}

#[test]
fn late_timer_for_cancelled_run_changes_nothing() {
    assert_snapshot!(play("start -> nap=1h; nap -> a", json!({}), [Started, Cancelled, Clock(3600), Cancelled, Started]), @r"
    started    | log start ok, log nap waits, wake nap at +3600s
    cancelled  | finish cancelled asked
    +3600s     | -
    cancelled  | -
    started    | -
    ");
}

#[test]
fn circle_ends_at_the_limit_of_steps() {
    let (trace, state) =
        play_to_end("start -> check; check -[100]-> a; check -[else]-> check", json!({}), [Started]);
    assert!(trace.ends_with("log check failed, finish failed too_many_steps"), "{trace}");
    assert_eq!((state.step_count, state.steps["check"].visits), (20, 21));
}

#[test]
fn damaged_state_or_unknown_trigger_fails_the_run() {
    let workflow = graph("start -> nap=1h");
    let event = event(json!({}));
    let fails = |state: RunState, input: RunEvent, now: DateTime<Utc>| {
        let (state, commands) = step(&workflow, state, input, &event, now);
        assert_eq!(commands, [Command::Finish]);
        match state.end {
            Some(End::Failed { error, .. }) => error.code,
            Some(End::Completed | End::Cancelled { .. }) | None => panic!("{state:?}"),
        }
    };
    let unknown = RunEvent::Started { trigger: "other".to_owned() };
    assert_eq!(fails(RunState::default(), unknown, start()), "unknown_trigger");
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (mut state, _) = step(&workflow, RunState::default(), started, &event, start());
    state.tokens.get_mut(&0).unwrap().node = "gone".to_owned();
    let wake = start() + TimeDelta::hours(1);
    assert_eq!(fails(state.clone(), RunEvent::TimerFired, wake), "unknown_node");
    state.tokens.get_mut(&0).unwrap().waits = Waits::Action { tries: Tries::FIRST };
    let (output, vars) = (Value::Null, Map::new());
    let answer = RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number: 1, output, vars };
    assert_eq!(fails(state, answer, start()), "unknown_node");
}
