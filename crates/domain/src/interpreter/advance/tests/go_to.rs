//! Going back, a bounded number of times.

use super::race::Race;

const AGAIN: &str = "start -> a; a -> again=3!a; again -[exhausted]-> b";

#[test]
fn a_go_to_with_bound_three_is_taken_three_times_and_then_leaves_by_its_own_way() {
    let mut race = Race::started(AGAIN);
    assert_eq!(race.done("a"), "log a ok, log again ok, run a#2");
    assert_eq!(race.done("a"), "log a ok, log again ok, run a#3");
    assert_eq!(race.done("a"), "log a ok, log again ok, run a#4");
    assert_eq!(race.done("a"), "log a ok, log again ok [exhausted], run b#1");
    assert_eq!(race.state.steps["again"].case.as_deref(), Some("exhausted"));
}

#[test]
fn a_go_to_that_may_go_no_more_and_has_no_way_out_fails() {
    let mut race = Race::started("start -> a; a -> again=1!a");
    race.done("a");
    assert_eq!(race.done("a"), "log a ok, log again failed, bury again#2, finish failed go_to_exhausted");
    let mut race = Race::started("start -> a; a -> again=1!a; again -[error]-> note");
    race.done("a");
    assert_eq!(race.done("a"), "log a ok, log again failed, run note#1");
}

#[test]
fn a_parallel_that_is_come_to_again_forks_again_and_its_join_fires_once_for_each_visit() {
    let text = "start -> both=all@j; both -> a; both -> b; a -> j; b -> j; j -> again=1!both; again -[exhausted]-> stop";
    let mut race = Race::started(text);
    race.done("a");
    race.done("b");
    assert_eq!(race.done("j"), "log j ok, log again ok, log both waits, run a#2, run b#2");
    race.done("b");
    assert_eq!(race.done("a"), "log a ok, log both ok, run j#2");
    assert_eq!(race.done("j"), "log j ok, log again ok [exhausted], log stop ok, finish completed");
}

#[test]
fn a_go_to_within_a_branch_goes_round_there_while_the_others_wait() {
    let text = "start -> both=all@j; both -> a; both -> b; a -> again=1!a; again -[exhausted]-> j; b -> j";
    let mut race = Race::started(text);
    race.done("b");
    assert_eq!(race.done("a"), "log a ok, log again ok, run a#2");
    assert_eq!(race.done("a"), "log a ok, log again ok [exhausted], log both ok, run j#1");
}
