//! Loops over lists: who begins when, what they see, and what they come to.

use super::race::Race;
use super::*;

fn items(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "items": items.into_iter().collect::<Vec<_>>() })
}

fn numbers(count: i64) -> Value {
    items((1..=count).map(Value::from))
}

impl Race {
    /// The node that an item stands on, by its place in the list.
    fn item(&self, index: u16) -> &str {
        let is_it = |token: &&Token| token.origin.is_some_and(|origin| origin.branch == index);
        &self.state.tokens.values().find(is_it).expect("the item has begun").node
    }

    fn results(&self) -> &Value {
        &self.state.steps["each"].output
    }

    /// What each item came to: its error's code, or its output.
    fn came_to(&self) -> Vec<String> {
        let results = self.results().as_array().unwrap().iter().zip(0..);
        let told = results.map(|(result, index)| {
            assert_eq!(result["index"], index);
            result["error"]["code"].as_str().map_or(result["output"].to_string(), str::to_owned)
        });
        told.collect()
    }
}

#[test]
fn every_item_walks_the_body_one_after_the_other_and_the_results_stand_in_the_lists_order() {
    let mut race = Race::with("start -> each=1*a; each -> after", numbers(3));
    assert_snapshot!(race.told[0], @"log start ok, log each waits, run a#1");
    assert_eq!(race.done("a"), "log a ok, run a#2");
    assert_eq!(race.done("a"), "log a ok, run a#3");
    assert_eq!(race.done("a"), "log a ok, log each ok, run after#1");
    let output = json!({ "node": 2 });
    let expected: Vec<Value> = (0..3).map(|index| json!({ "index": index, "output": output })).collect();
    assert_eq!(race.results(), &Value::from(expected));
    assert!(race.state.forks.is_empty() && race.state.tokens[&0].origin.is_none());
    assert_eq!(race.done("after"), "log after ok, finish completed");
}

#[test]
fn a_new_item_begins_as_soon_as_one_ends_and_never_more_than_so_many() {
    let naps = items(["10s", "1s", "1s", "1s", "1s", "1s"].map(Value::from));
    let mut race = Race::with("start -> each=2*nap={{ item.value }}; each -> after", naps);
    for second in 1..=5 {
        assert_eq!(race.state.tokens.len(), 2);
        let told = race.at(TimeDelta::seconds(second));
        assert!(told.starts_with("log nap ok") && !told.contains("each"), "{second}: {told}");
    }
    assert_eq!(race.state.tokens.len(), 1, "the long one is left");
    assert_eq!(race.at(TimeDelta::seconds(10)), "log nap ok, log each ok, run after#1");
    assert_eq!(race.came_to(), ["null"; 6], "a delay returns nothing");
}

#[test]
fn an_empty_list_or_a_missing_one_goes_on_at_once() {
    for data in [json!({ "items": [] }), json!({ "items": null }), json!({})] {
        let race = Race::with("start -> each=2*a; each -> after", data);
        assert_eq!(race.told[0], "log start ok, log each ok, run after#1");
        assert_eq!(race.results(), &json!([]));
    }
    let workflow = graph("start -> each=2*a");
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (_, commands) = step(&workflow, RunState::default(), started, &event(json!({})), start());
    let detail = &commands[1].step().unwrap().detail;
    assert_eq!(detail, &json!({ "items": 0, "note": "there is no list" }), "the history says so");
}

#[test]
fn what_is_no_list_or_too_long_fails_before_the_first_body() {
    for data in [json!("a, b"), json!(3), json!({ "a": 1 }), json!(true)] {
        let race = Race::with("start -> each=2*a; each -> after", json!({ "items": data }));
        assert!(
            race.told[0].ends_with("log each failed, bury each#1, finish failed not_a_list"),
            "{}",
            race.told[0]
        );
    }
    assert!(!Race::with("start -> each=2*a", numbers(50)).told[0].contains("failed"));
    let race = Race::with("start -> each=2*a; each -[error]-> note", numbers(51));
    assert_eq!(race.told[0], "log start ok, log each failed, run note#1");
    assert_eq!(race.state.steps["each"].error.as_ref().unwrap().code, "too_many_items");
}

#[test]
fn a_failed_item_keeps_the_others_from_beginning_and_fails_the_loop_by_its_name() {
    let mut race = Race::with("start -> each=1*a; each -> after; each -[error]-> note", numbers(5));
    race.done("a");
    assert_eq!(race.fails("a"), "log a failed, log each failed, run note#1");
    let error = race.state.steps["each"].error.clone().unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("refused", "item 1 failed: no"));

    let mut race = Race::with("start -> each=3*a; each -> after", numbers(5));
    assert_eq!(race.fails("a"), "log a failed", "those in flight finish");
    assert_eq!(race.done("a"), "log a ok");
    assert_eq!(race.done("a"), "log a ok, log each failed, bury each#1, finish failed refused");
    race.state.revive(ReplayKey::Same, start()).unwrap();
    let told = race.at(TimeDelta::seconds(1));
    assert_eq!(told, "log each waits, run a#4, run a#5, run a#6", "a replay begins the loop anew");
}

#[test]
fn a_loop_that_goes_on_collects_errors_among_the_results() {
    let mut race = Race::with("start -> each=1+a; each -> after", numbers(5));
    race.done("a");
    assert_eq!(race.fails("a"), "log a failed, run a#3");
    for _ in 0..3 {
        race.done("a");
    }
    let output = json!({ "node": 2 }).to_string();
    assert_eq!(race.came_to(), [&output, "refused", &output, &output, &output]);
    assert_eq!(race.stands_on(), ["after"]);
}

#[test]
fn fifty_items_three_at_a_time_with_a_wait_in_the_body_lose_no_result() {
    let mut race = Race::with("start -> each=3+nap; nap=1m -> a; each -> after", numbers(50));
    let (mut minute, mut asked) = (0, 0);
    while !race.state.steps.contains_key("after") {
        assert!(race.told.len() < 200, "{:?}", race.told);
        let waiting = race.state.tokens.values().filter(|token| token.node == "a").count();
        assert!(race.state.tokens.len() <= 3);
        if waiting == 0 {
            minute += 1;
            race.at(TimeDelta::minutes(minute));
            continue;
        }
        asked += 1;
        if asked % 7 == 0 {
            race.fails("a")
        } else {
            race.done("a")
        };
    }
    let came_to = race.came_to();
    assert_eq!((came_to.len(), asked), (50, 50));
    assert_eq!(came_to.iter().filter(|result| *result == "refused").count(), 7);
}

#[test]
fn inner_loops_begin_anew_for_every_item_and_a_second_time_round() {
    let text =
        "start -> each=1*inner; inner=1*a~item.value -> b; each -> again=1!each; again -[exhausted]-> stop";
    let mut race = Race::with(text, items([json!([1, 2]), json!([]), json!([3, 4, 5])]));
    let mut bodies = 0;
    while race.state.end.is_none() {
        match race.item(race.state.tokens.values().next().unwrap().origin.unwrap().branch) {
            "a" => {
                bodies += 1;
                race.done("a");
            }
            _ => drop(race.done("b")),
        }
    }
    assert_eq!((bodies, race.state.steps["a"].visits), (10, 10), "five bodies, twice");
    assert_eq!((race.state.steps["inner"].visits, race.state.steps["each"].visits), (6, 2));
}

#[test]
fn a_step_sees_its_item_and_the_one_of_the_loop_around() {
    let text = "start -> each=9*inner; inner=9*nap~item.value -> b; nap={{ item.value * 10 + item.index + item.parent.index * 1000 }} -> c";
    let race = Race::with(text, items([json!([1, 2]), json!([3])]));
    let until = race.state.owed(start()).into_iter().map(|owed| match owed.waits_for {
        OwedFor::Timer { until } => (until - start()).num_seconds(),
        OwedFor::Retry { .. } | OwedFor::Outcome | OwedFor::Others => panic!("{owed:?}"),
    });
    assert_eq!(
        until.collect::<BTreeSet<_>>(),
        [10, 21, 1030].into(),
        "value, index, and the place of the outer item"
    );
}

#[test]
fn branches_within_an_item_join_within_it() {
    let text = "start -> each=2*both; both=all@j -> a; both -> b; a -> j; b -> j; each -> after";
    let mut race = Race::with(text, numbers(2));
    race.done("a");
    race.done("a");
    assert_eq!(race.done("b"), "log b ok, log both ok, run j#1");
    assert_eq!(race.done("b"), "log b ok, log both ok, run j#2");
    race.done("j");
    assert_eq!(race.done("j"), "log j ok, log each ok, run after#1");
}

#[test]
fn a_race_that_is_lost_ends_the_loop_within_it() {
    let text = "start -> race=any@j; race -> each=2*a; race -> b; each -> j; b -> j";
    let mut race = Race::with(text, numbers(4));
    assert_eq!(race.done("b"), "log b ok, log race ok, run j#1");
    assert_eq!((race.stands_on(), race.state.forks.len()), (vec!["j"], 0));
}

#[test]
fn a_list_that_has_no_room_among_the_variables_fails_the_loop() {
    let large = Value::from("x".repeat(30_000));
    let race = Race::with("start -> each=1*a; each -> after", items(std::iter::repeat_n(large, 40)));
    assert!(race.told[0].ends_with("finish failed output_too_large"), "{}", race.told[0]);
}
