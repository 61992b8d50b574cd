//! Whatever the graph and whatever happens: what holds for every run.

use super::*;

/// A random graph without circles: edges lead to later nodes only. What meets where is as it comes.
fn any_graph() -> impl Strategy<Value = Workflow> {
    prop::collection::vec((0..12_u8, 0..6_usize, 0..6_usize, 0..4_i64), 1..14).prop_map(|boxes| {
        let mut workflow = graph("start -> n0");
        workflow.nodes.clear();
        let count = boxes.len();
        for (index, (kind, a, b, number)) in boxes.into_iter().enumerate() {
            let later = |skip: usize| Some(index + 1 + skip).filter(|next| *next < count);
            let (mut branches, mut ways) = (Vec::new(), BTreeMap::new());
            let behaviour: Arc<dyn Behaviour> = match kind {
                0 | 1 => action(Sending::default()),
                5 => {
                    let delays = (0..number.unsigned_abs()).map(Duration::from_secs).collect();
                    action(Sending { retry: RetryPolicy::Delays(delays), ..Sending::default() })
                }
                2 => Arc::new(Delay { duration: template(json!(format!("{number}m"))) }),
                3 => {
                    ways.extend(later(b).map(|to| (number.to_string(), to)));
                    ways.extend(later(a).map(|to| ("else".to_owned(), to)));
                    branch([number.to_string()])
                }
                6..=8 => {
                    branches.extend(BTreeSet::from([later(0), later(a), later(b)]).into_iter().flatten());
                    ways.extend(later(a.max(b) + 1).map(|to| (JOIN_AT.to_owned(), to)));
                    match ways.is_empty() {
                        true => Arc::new(Parallel { meeting: None }),
                        false => Arc::new(parallel(["all@", "any@", "2@", "all@"][number as usize])),
                    }
                }
                9 => {
                    ways.insert("node".to_owned(), (a + b) % count);
                    ways.extend(later(a).filter(|_| number > 1).map(|to| ("exhausted".to_owned(), to)));
                    Arc::new(GoTo { node: String::new(), most: number as u32 % 3 + 1 })
                }
                10 | 11 if later(b).is_some() => {
                    ways.extend(later(b).map(|to| (BODY.to_owned(), to)));
                    let text = ["1*", "2*", "2+", "3+"][number as usize];
                    Arc::new(ForEach { list: template(json!([1, 2, 3])), ..for_each(text) })
                }
                _ => Arc::new(Stop),
            };
            let on_error = if number == 3 { later(b) } else { None };
            let next = later(a).filter(|_| matches!(behaviour.ways(), Ways::One | Ways::OneOr(_)));
            workflow.nodes.push(Node { id: format!("n{index}"), behaviour, next, branches, ways, on_error });
        }
        workflow
    })
}

/// How a run is treated on its way.
#[derive(Clone, Copy)]
struct Treatment {
    /// Saves and reloads the state before every input.
    reload: bool,
    /// Delivers every input again, at once and once more after every later one.
    repeat: bool,
}

/// What a try of an action comes to.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Done,
    Failed,
    Flaky,
    Deferred,
    Full,
}

fn any_answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        6 => Just(Answer::Done),
        1 => Just(Answer::Failed),
        4 => Just(Answer::Flaky),
        2 => Just(Answer::Deferred),
        1 => Just(Answer::Full),
    ];
    prop::collection::vec(answer, 1..40)
}

/// What decides how a run goes: what each try comes to, and what happens next of all that may.
#[derive(Clone, Debug)]
struct Fate {
    answers: Vec<Answer>,
    order: Vec<u8>,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    (any_answers(), prop::collection::vec(any::<u8>(), 1..40))
        .prop_map(|(answers, order)| Fate { answers, order })
}

/// Drives a run to its end: what is on its way is answered in any order, and the clock moves to the next thing that is due.
fn drive(workflow: &Workflow, fate: &Fate, treatment: Treatment) -> (RunState, Vec<Command>) {
    let event = event(json!({ "total": 2 }));
    let (mut state, mut now, mut history) = (RunState::default(), start(), Vec::new());
    let (mut answers, mut order) = (fate.answers.iter().cycle(), fate.order.iter().cycle());
    let (mut inputs, mut postponed): (Vec<RunEvent>, _) = (Vec::new(), 0);
    let mut input = RunEvent::Started { trigger: "start".to_owned() };
    loop {
        if treatment.reload {
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        }
        let (after, commands) = step(workflow, state, input.clone(), &event, now);
        state = after;
        // A postponement gives the try back under its number, so a repeated one is not told from another.
        if !matches!(input, RunEvent::ActionPostponed { .. }) {
            inputs.push(input.clone());
        }
        if treatment.repeat {
            for late in &inputs {
                let (after, nothing) = step(workflow, state.clone(), late.clone(), &event, now);
                assert_eq!(nothing, [], "{late:?}");
                assert_eq!(after, state, "{late:?}");
            }
        }
        history.extend(commands);
        assert!(state.end.is_some() != state.tokens.values().next().is_some(), "{state:?}");
        assert!(state.tokens.values().all(|token| workflow.node_index(&token.node).is_some()));
        if state.end.is_some() {
            return (state, history);
        }
        branches_belong(&state);
        let asked: Vec<(u16, &Token)> = state
            .tokens
            .iter()
            .filter(|(_, token)| matches!(token.waits, Waits::Action { .. }))
            .map(|(number, token)| (*number, token))
            .collect();
        let times = state.owed(now).into_iter().filter_map(|owed| match owed.waits_for {
            OwedFor::Timer { until } | OwedFor::Retry { until } => Some(until),
            OwedFor::Outcome | OwedFor::Others => None,
        });
        let next_time = times.min();
        let choices = asked.len() + usize::from(next_time.is_some());
        assert!(choices > 0, "it waits for nothing: {state:?}");
        let chosen = usize::from(*order.next().unwrap()) % choices;
        let Some((token, standing)) = asked.get(chosen) else {
            now = now.max(next_time.unwrap());
            input = RunEvent::TimerFired;
            continue;
        };
        let Waits::Action { tries } = standing.waits else { panic!("{standing:?}") };
        let (token, visit, number) = (*token, standing.visit, tries.number());
        let node = workflow.node_index(&standing.node).unwrap();
        let failed = |kind| RunEvent::ActionFailed { token, node, visit, number, error: failure(), kind };
        input = match answers.next().unwrap() {
            Answer::Done => RunEvent::ActionCompleted {
                token,
                node,
                visit,
                number,
                output: json!({ "node": node }),
                vars: Map::new(),
            },
            Answer::Failed => failed(FailureKind::Fail),
            Answer::Flaky => failed(FailureKind::Retry { after: None }),
            Answer::Deferred => failed(FailureKind::Retry { after: Some(Duration::from_secs(20)) }),
            // A house that is full for ever is another property's.
            Answer::Full if postponed < 50 => {
                postponed += 1;
                let until = now + TimeDelta::seconds(1);
                RunEvent::ActionPostponed { token, node, visit, number, until }
            }
            Answer::Full => failed(FailureKind::Fail),
        };
    }
}

/// Every branch belongs to a fork that still has it open, and every fork still has a branch that somebody walks.
fn branches_belong(state: &RunState) {
    let tokens = state.tokens.values().filter_map(|token| token.origin);
    let within: Vec<Origin> = tokens.chain(state.forks.values().filter_map(|fork| fork.origin)).collect();
    for origin in &within {
        let branch = state.forks.get(&origin.fork).map(|fork| fork.branches[usize::from(origin.branch)]);
        assert_eq!(branch, Some(BranchState::Open), "{origin:?} of {state:?}");
    }
    for (number, fork) in &state.forks {
        let open = (0..).zip(&fork.branches).filter(|(_, branch)| **branch == BranchState::Open);
        let open: Vec<Origin> = open.map(|(branch, _)| Origin { fork: *number, branch }).collect();
        assert!(
            !open.is_empty() && open.iter().all(|origin| within.contains(origin)),
            "{number} of {state:?}"
        );
    }
}

/// Most attempts of a node.
fn most_attempts(node: &Node) -> usize {
    match node.behaviour.action().map(|action| &action.sending.retry) {
        Some(RetryPolicy::Delays(delays)) => delays.len().max(1),
        Some(RetryPolicy::Ladder | RetryPolicy::None) => ladder().rungs.delays().len() + 1,
        None => 0,
    }
}

/// As many seeds as `AUTOMATION_INTERPRETER_SEEDS` says.
fn seeds() -> ProptestConfig {
    let seeds = std::env::var("AUTOMATION_INTERPRETER_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    ProptestConfig { cases: seeds.unwrap_or(500), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(seeds())]

    #[test]
    fn every_run_ends_and_no_attempt_starts_twice(workflow in any_graph(), fate in any_fate()) {
        let plain = drive(&workflow, &fate, Treatment { reload: false, repeat: false });
        let (state, history) = &plain;
        prop_assert!(state.end.is_some() && state.tokens.is_empty());
        prop_assert_eq!(history.last(), Some(&Command::Finish));
        prop_assert_eq!(history.iter().filter(|command| **command == Command::Finish).count(), 1);
        let (mut asked, mut logged) = (BTreeSet::new(), BTreeSet::new());
        let mut retries = std::collections::BTreeMap::<(&str, u32), (usize, usize)>::new();
        for command in history {
            match command {
                Command::Send(Send { node, visit, is_stored: false, .. }) => {
                    prop_assert!(asked.insert((*node, *visit)));
                }
                Command::Log(step) if step.outcome == StepOutcome::Retrying => {
                    let (attempts, deferrals) = retries.entry((&step.node, step.visit)).or_default();
                    if step.detail["deferred"] == true { *deferrals += 1 } else { *attempts += 1 }
                }
                // That a join fired stands in the history once for each visit of its fork.
                Command::Log(step) => {
                    let waits = step.outcome == StepOutcome::Waiting;
                    let line = (step.node.clone(), step.action.clone(), step.visit, waits);
                    prop_assert!(logged.insert(line), "{:?} twice", step);
                }
                Command::Change(_)
                | Command::Send(_)
                | Command::Withhold { .. }
                | Command::Publish(_)
                | Command::Emit(_)
                | Command::Bury { .. }
                | Command::Wake { .. }
                | Command::Finish => {}
            }
        }
        for ((node, _), (attempts, deferrals)) in retries {
            let node = &workflow.nodes[workflow.node_index(node).unwrap()];
            prop_assert!(attempts < most_attempts(node) && deferrals <= 2, "{node:?}: {attempts}, {deferrals}");
        }
        for (reload, repeat) in [(true, false), (false, true), (true, true)] {
            prop_assert_eq!(&drive(&workflow, &fate, Treatment { reload, repeat }), &plain);
        }
    }

    #[test]
    fn every_failed_run_can_be_replayed_to_its_end(workflow in any_graph(), fate in any_fate()) {
        let (state, _) = drive(&workflow, &fate, Treatment { reload: true, repeat: false });
        if let Some(End::Failed { node: Some(failed), tokens, .. }) = &state.end {
            let (number, stood) = tokens.iter().find(|(_, token)| token.node == *failed).unwrap();
            for key in [ReplayKey::Same, ReplayKey::New] {
                let mut revived: RunState =
                    serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
                prop_assert_eq!(&revived, &state);
                revived.revive(key, start()).unwrap();
                branches_belong(&revived);
                let visit = revived.tokens[number].visit;
                let is_expected = match key {
                    ReplayKey::Same => visit == stood.visit,
                    ReplayKey::New => visit > stood.visit,
                };
                prop_assert!(is_expected, "{key:?}: {visit} after {}", stood.visit);
                let event = event(json!({ "total": 2 }));
                let (state, commands) = step(&workflow, revived, RunEvent::TimerFired, &event, start());
                prop_assert!(state.end.is_some() || !state.tokens.is_empty());
                prop_assert!(!commands.is_empty());
            }
        }
    }
}
