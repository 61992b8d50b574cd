//! Branches that meet: who waits for whom, and what becomes of those that nobody waits for.

use super::race::Race;
use super::*;

const ALL: &str = "start -> both=all@j; both -> a; both -> b; a -> j; b -> j; j -> after";

#[test]
fn a_join_of_all_fires_once_with_the_last_branch_and_outputs_of_all_stand() {
    let mut race = Race::started(ALL);
    assert_snapshot!(race.told[0], @"log start ok, log both waits, run a#1, run b#1");
    assert_eq!(race.done("b"), "log b ok");
    let last = race.answer("a", None);
    assert_eq!(race.joined(last.clone()), json!({ "arrived": ["a", "b"], "ended": [], "fired": true }));
    assert_eq!(race.hear(last.clone()), "log a ok, log both ok, run j#1");
    assert_eq!(race.hear(last), "", "an answer that comes twice arrives once");
    assert!(race.state.steps["a"].output.is_object() && race.state.steps["b"].output.is_object());
    assert_eq!(race.state.tokens.keys().collect::<Vec<_>>(), [&0], "the token that was forked goes on");
    assert!(race.state.forks.is_empty() && race.state.tokens[&0].origin.is_none());
    race.done("j");
    assert_eq!(race.done("after"), "log after ok, finish completed");
}

#[test]
fn a_branch_that_arrives_again_counts_once() {
    let mut race = Race::started(ALL);
    let arrives = race.answer("a", None);
    race.hear(arrives.clone());
    for repeated in [arrives, RunEvent::Claimed, RunEvent::TimerFired] {
        let told = race.hear(repeated);
        assert!(!told.contains("both ok"), "one of two branches fired the join: {told}");
    }
    assert_eq!(race.state.forks[&0].branches, [BranchState::Arrived, BranchState::Open]);
    assert_eq!(race.done("b"), "log b ok, log both ok, run j#1");
}

#[test]
fn a_branch_whose_error_is_handled_arrives_by_the_way_it_was_led() {
    let text = "start -> both=all@j; both -> a; both -> b; a -> j; a -[error]-> note; note -> j; b -> j";
    let mut race = Race::started(text);
    race.fails("a");
    assert_eq!(race.done("note"), "log note ok");
    assert_eq!(race.done("b"), "log b ok, log both ok, run j#1");
}

#[test]
fn a_branch_that_ends_elsewhere_is_not_waited_for() {
    let text = "start -> both=all@j; both -> check; both -> b; check -[100]-> j; b -> j";
    let mut race = Race::started(text);
    assert_snapshot!(race.told[0], @"log start ok, log both waits, log check ok [else], run b#1");
    let last = race.answer("b", None);
    assert_eq!(race.joined(last.clone()), json!({ "arrived": ["b"], "ended": ["check"], "fired": true }));
    assert_eq!(race.hear(last), "log b ok, log both ok, run j#1");
}

#[test]
fn branches_that_all_end_elsewhere_complete_the_run_without_the_join() {
    let mut race = Race::started("start -> both=all@j; both -> a; both -> b; a -> x; b -> y; z -> j");
    for node in ["a", "x", "b"] {
        race.done(node);
    }
    assert_eq!(race.done("y"), "log y ok, log both ok, finish completed");
    assert!(!race.state.steps.contains_key("j"));
}

#[test]
fn a_stop_in_a_branch_ends_the_run() {
    let mut race = Race::started("start -> both=all@j; both -> a; both -> b; a -> stop; b -> j");
    assert_eq!(race.done("a"), "log a ok, log stop ok, finish completed");
    assert!(race.state.tokens.is_empty() && race.state.forks.is_empty());
}

#[test]
fn the_first_to_arrive_ends_the_waits_retries_and_delays_of_the_others() {
    let text = "start -> race=any@j; race -> a; race -> month=30d; race -> week=7d; race -> d; race -> e; race -> f; \
                a -> j; month -> j; week -> j; d -> j; e -> j; f -> j; j -> stop";
    let mut race = Race::started(text);
    race.flaky("d");
    race.fails("f");
    let late = race.answer("e", None);
    assert_eq!(race.stands_on(), ["a", "month", "week", "d", "e", "f"]);
    let wins = race.answer("a", None);
    assert_eq!(race.joined(wins.clone())["given_up"], 5);
    assert_eq!(race.hear(wins), "log a ok, never send d#1, log race ok, run j#1");
    assert_eq!(race.stands_on(), ["j"]);
    assert!(race.state.forks.is_empty());
    assert_eq!(race.state.owed(race.now).len(), 1, "it waits for j alone");
    assert_eq!(race.hear(late), "", "an answer of who lost moves nothing");
    assert_eq!(race.at(TimeDelta::days(40)), "");
    assert_eq!(race.done("j"), "log j ok, log stop ok, finish completed");
}

#[test]
fn what_a_loser_asked_for_in_the_same_moment_is_not_asked_for() {
    let text =
        "start -> race=any@j; race -> a; race -> nap=1h; race -> check; a -> j; nap -> j; check -[else]-> j";
    let race = Race::started(text);
    assert_snapshot!(race.told[0], @"log start ok, log race waits, log nap waits, log check ok [else], log race ok, run j#1");
}

#[test]
fn a_retry_that_was_due_in_the_moment_of_the_join_never_leaves() {
    let text = "start -> race=any@j; race -> d; race -> nap=1m; d -> j; nap -> j";
    let mut race = Race::started(text);
    race.flaky("d");
    assert_eq!(race.at(TimeDelta::minutes(1)), "log nap ok, never send d#1, log race ok, run j#1");
}

#[test]
fn at_least_fires_with_so_many_and_never_where_too_few_may_come() {
    let text = "start -> some=2@j; some -> a; some -> b; some -> c; a -> j; b -> j; c -> j; a -[error]-> x; c -[error]-> x";
    let mut race = Race::started(text);
    assert_eq!(race.done("c"), "log c ok");
    assert_eq!(race.done("a"), "log a ok, log some ok, run j#1");
    assert_eq!(race.stands_on(), ["j"], "b was given up");

    let mut race = Race::started(text);
    race.fails("a");
    race.done("x");
    race.fails("c");
    assert_eq!(race.done("x"), "log x ok", "one branch is left, and two cannot come");
    assert_eq!(race.stands_on(), ["b"], "it walks to its end");
    let last = race.answer("b", None);
    assert_eq!(race.joined(last.clone()), json!({ "arrived": ["b"], "ended": ["a", "c"], "fired": false }));
    assert_eq!(race.hear(last), "log b ok, log some ok, finish completed");
}

#[test]
fn a_join_waits_for_a_dead_branch_and_says_until_when() {
    let mut race = Race::started(ALL);
    assert_eq!(race.fails("a"), "log a failed, bury a#1");
    assert_eq!(race.done("b"), "log b ok", "the join does not fire");
    assert_eq!(race.state.end, None);
    let until = start() + TimeDelta::days(14);
    let waits_for = OwedFor::Timer { until };
    let owed = race.state.owed(race.now);
    assert_eq!((owed.len(), owed[0].node.as_str(), owed[0].waits_for), (1, "a", waits_for));
    assert_eq!(race.at(TimeDelta::days(14) - TimeDelta::seconds(1)), "");
    assert_eq!(race.at(TimeDelta::days(14)), "discard a, log both ok, run j#1", "by what is left");
    assert_eq!(race.done("j"), "log j ok, run after#1");
}

#[test]
fn a_run_fails_at_once_where_no_join_has_anything_to_lose() {
    let mut race = Race::started(ALL);
    race.fails("a");
    assert_eq!(race.fails("b"), "log b failed, bury b#1, finish failed refused");
    race.state.revive(ReplayKey::Same, race.now).unwrap();
    assert_eq!(race.at(TimeDelta::seconds(1)), "send a#1, the 1., send b#1, the 1.");
    race.done("a");
    assert_eq!(race.done("b"), "log b ok, log both ok, run j#1", "a replay knows its fork");

    let text = "start -> some=3@j; some -> a; some -> b; some -> c; a -> j; c -> j";
    let mut race = Race::started(text);
    race.done("a");
    race.done("b");
    assert_eq!(
        race.fails("c"),
        "log c failed, bury c#1, finish failed refused",
        "three cannot come any more"
    );
}

#[test]
fn joins_nest_and_the_inner_one_is_one_branch_of_the_outer() {
    let text =
        "start -> out=all@j; out -> in=all@k; out -> c; in -> a; in -> b; a -> k; b -> k; k -> j; c -> j";
    let mut race = Race::started(text);
    assert_snapshot!(race.told[0], @"log start ok, log out waits, log in waits, run c#1, run a#1, run b#1");
    race.fails("a");
    race.done("c");
    assert_eq!(race.done("b"), "log b ok");
    assert_eq!(race.state.end, None, "the inner join waits for the dead branch, and the outer one for it");
    assert_eq!(race.at(TimeDelta::days(14)), "discard a, log in ok, run k#1");
    assert_eq!(race.done("k"), "log k ok, log out ok, run j#1");
    assert_eq!(race.done("j"), "log j ok, finish completed");
}

#[test]
fn an_inner_and_an_outer_join_may_stand_at_one_node() {
    let text = "start -> out=all@j; out -> in=any@j; out -> c; in -> a; in -> b; a -> j; b -> j; c -> j";
    let mut race = Race::started(text);
    race.done("c");
    assert_eq!(race.done("b"), "log b ok, log in ok, log out ok, run j#1");
    assert_eq!(race.stands_on(), ["j"]);
}

#[test]
fn a_race_that_is_lost_gives_up_the_forks_within_it() {
    let text = "start -> race=any@j; race -> in=all@k; race -> c; in -> a; in -> nap=9d; a -> k; nap -> k; k -> j; c -> j";
    let mut race = Race::started(text);
    assert_eq!(race.done("c"), "log c ok, log race ok, run j#1");
    assert_eq!((race.stands_on(), race.state.forks.len()), (vec!["j"], 0));
}

#[test]
fn branches_without_a_join_end_one_by_one_also_within_a_branch() {
    let text = "start -> out=all@j; out -> fork; out -> c; fork -> a; fork -> b; c -> j";
    let mut race = Race::started(text);
    race.done("c");
    assert_eq!(race.done("a"), "log a ok");
    assert_eq!(race.done("b"), "log b ok, log out ok, run j#1");
}

#[test]
fn a_branch_that_leads_straight_to_the_join_has_arrived() {
    let mut race = Race::started("start -> both=all@j; both -> j; both -> a; a -> j");
    assert_eq!(race.done("a"), "log a ok, log both ok, run j#1");
}

#[test]
fn a_paused_workflow_joins_and_begins_nothing() {
    let mut race = Race::started(ALL);
    race.done("a");
    let last = race.answer("b", None);
    let paused = RunInput { is_paused: true, ..run(&race.event, race.now) };
    race.state = advance(&race.workflow, race.state.clone(), [last], paused).state;
    assert_eq!((race.stands_on(), &race.state.tokens[&0].waits), (vec!["j"], &Waits::Turn));
    assert_eq!(race.at(TimeDelta::seconds(1)), "run j#1");
}

#[test]
fn a_cancelled_run_has_no_branches_and_no_forks() {
    let mut race = Race::started(ALL);
    race.hear(RunEvent::Cancelled { reason: "asked".to_owned() });
    assert!(race.state.tokens.is_empty() && race.state.forks.is_empty());
}

#[test]
fn a_join_of_eight_branches_fires_once_in_whatever_order_they_come() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let ways: Vec<String> = names.iter().map(|name| format!("all -> {name}; {name} -> j")).collect();
    let text = format!("start -> all=all@j; {}", ways.join("; "));
    let begun = Race::started(&text);
    let answers: Vec<RunEvent> = names.iter().map(|name| begun.answer(name, None)).collect();
    // Numbers that look like chance, and are the same each time.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    for _ in 0..10_000 {
        let mut order: Vec<usize> = (0..names.len()).collect();
        (1..order.len()).for_each(|place| order.swap(place, below(place + 1)));
        let (mut state, mut fired) = (begun.state.clone(), 0);
        for (place, branch) in order.iter().enumerate() {
            let twice = order[below(place + 1)];
            for branch in [*branch, twice] {
                let (after, commands) =
                    step(&begun.workflow, state, answers[branch].clone(), &begun.event, start());
                state = after;
                fired += commands.iter().filter(|command| command.send().is_some()).count();
                let is_last = place + 1 == names.len();
                assert_eq!(fired, usize::from(is_last), "{order:?}");
            }
        }
        assert!(state.forks.is_empty() && state.tokens.len() == 1, "{state:?}");
    }
}
