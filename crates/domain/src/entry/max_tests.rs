use super::*;
use chrono::TimeDelta;
use proptest::prelude::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
}

fn rules(reentry: Reentry, runs: usize, per: TimeDelta) -> workflow::Enrolment {
    workflow::Enrolment { reentry, max: Some(MostRuns { runs, per }), ..workflow::Enrolment::default() }
}

fn run(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

#[test]
fn a_fourth_run_within_the_time_of_three_begins_exactly_when_that_of_the_first_is_over() {
    let rules = rules(Reentry::Always, 3, TimeDelta::days(30));
    let (mut known, day) = (Enrolment::default(), 24 * 3_600);
    for (number, seconds) in [(1, 0), (2, day), (3, 20 * day)] {
        assert_eq!(kept_out(&known, &rules, at(seconds)), None, "{number}");
        known.enter(run(number), &rules, at(seconds)).unwrap();
    }
    let refused = Some(KeptOut::Max { until: at(30 * day) });
    assert_eq!(kept_out(&known, &rules, at(20 * day)), refused);
    assert_eq!(kept_out(&known, &rules, at(30 * day) - TimeDelta::microseconds(1)), refused);
    assert_eq!(kept_out(&known, &rules, at(30 * day)), None);
    known.enter(run(4), &rules, at(30 * day)).unwrap();
    assert_eq!(kept_out(&known, &rules, at(30 * day)), Some(KeptOut::Max { until: at(31 * day) }));
    assert_eq!(known.starts.len(), 3);
}

#[test]
fn a_most_of_runs_goes_with_every_mode_and_the_later_of_two_times_is_told() {
    let hour = TimeDelta::hours(1);
    let after = |hours| Reentry::AfterExit { gap: TimeDelta::hours(hours) };
    let known = Enrolment {
        runs: 2,
        last_started_at: Some(at(0)),
        last_ended_at: Some(at(0)),
        starts: vec![at(-60), at(0)],
        ..Enrolment::default()
    };
    for (reentry, expected) in [
        (Reentry::Always, KeptOut::Max { until: at(-60) + hour }),
        (Reentry::Once, KeptOut::Once { since: Some(at(0)) }),
        (after(0), KeptOut::Max { until: at(-60) + hour }),
        (after(2), KeptOut::Gap { until: at(0) + hour * 2 }),
    ] {
        assert_eq!(kept_out(&known, &rules(reentry, 2, hour), at(1)), Some(expected), "{reentry:?}");
    }
    let open = Enrolment { open: true, run_id: Some(run(1)), ..known };
    let single = |on_conflict| workflow::Enrolment { on_conflict, ..rules(Reentry::Always, 2, hour) };
    assert_eq!(kept_out(&open, &single(OnConflict::Ignore), at(1)), Some(KeptOut::StillIn));
    let superseding = kept_out(&open, &single(OnConflict::Supersede), at(1));
    assert_eq!(superseding, Some(KeptOut::Max { until: at(-60) + hour }));
}

#[test]
fn what_began_before_a_most_was_set_is_not_counted_and_a_lower_one_counts_the_latest() {
    let hour = TimeDelta::hours(1);
    let mut known = Enrolment::default();
    let unbounded = workflow::Enrolment { reentry: Reentry::Once, ..workflow::Enrolment::default() };
    known.enter(run(1), &unbounded, at(0)).unwrap();
    assert_eq!(kept_out(&known, &rules(Reentry::Always, 1, hour), at(1)), None);
    for number in 2..5 {
        known.enter(run(number), &rules(Reentry::Always, 3, hour), at(number as i64)).unwrap();
    }
    let lower = kept_out(&known, &rules(Reentry::Always, 1, hour), at(10));
    assert_eq!(lower, Some(KeptOut::Max { until: at(4) + hour }));
}

proptest! {
    /// Whatever comes when, no time of the length has more starts than may be, and a match is refused for no other reason.
    #[test]
    fn no_time_of_the_length_has_more_starts_than_may_be(
        steps in prop::collection::vec(0i64..20, 1..60),
        runs in 1usize..5,
        per in 1i64..50,
    ) {
        let rules = rules(Reentry::Always, runs, TimeDelta::seconds(per));
        let (mut known, mut starts, mut now) = (Enrolment::default(), Vec::new(), 0);
        for step in steps {
            now += step;
            let within = starts.iter().filter(|start| now - **start < per).count();
            match kept_out(&known, &rules, at(now)) {
                None => {
                    prop_assert!(within < runs);
                    known.enter(run(1), &rules, at(now)).unwrap();
                    starts.push(now);
                }
                Some(KeptOut::Max { until }) => {
                    prop_assert!(within >= runs);
                    prop_assert_eq!(kept_out(&known, &rules, until), None);
                }
                Some(other) => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(known.starts.len() <= runs);
        }
    }
}
