use super::*;
use crate::facts::TenantFacts;
use crate::facts::sample::Sample;
use proptest::prelude::*;

fn split(shares: &[u32], salt: Option<&str>) -> Split {
    let part =
        |(index, share): (usize, &u32)| Part { name: format!("p{index}"), share: *share, is_holdout: false };
    Split { parts: shares.iter().enumerate().map(part).collect(), salt: salt.map(str::to_owned) }
}

fn place(split: &Split, tenant: &str, workflow: &str, node: &str, who: &str) -> u32 {
    let sample = Sample::default();
    let facts = Facts { tenant: TenantFacts::new(tenant, "UTC"), ..sample.facts() };
    split.place(node, workflow, &facts, who)
}

fn people(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("contact-{number}"))
}

/// Whoever is in a group today is to be in it with every later release too: these values never change.
#[test]
fn the_places_of_a_split_are_pinned() {
    let own = split(&[WHOLE], None);
    let salted = split(&[WHOLE], Some("spring"));
    let places: Vec<(u32, u32)> = ["c-1", "c-2", "c-3", "", "ada@example.com"]
        .iter()
        .map(|who| (place(&own, "acme", "welcome", "ab", who), place(&salted, "acme", "welcome", "ab", who)))
        .collect();
    assert_eq!(places, [(1427, 3917), (3736, 1968), (6340, 4173), (6575, 5380), (8423, 9891)]);
}

#[test]
fn nodes_of_one_salt_split_alike_and_others_each_for_themselves() {
    let own = split(&[WHOLE], None);
    let salted = split(&[WHOLE], Some("spring"));
    let differ = |left: &dyn Fn(&str) -> u32, right: &dyn Fn(&str) -> u32| {
        people(200).filter(|who| left(who) != right(who)).count()
    };
    let at = |split: &'static str| split;
    let first = |who: &str| place(&own, "acme", "welcome", at("a"), who);
    assert_eq!(differ(&first, &|who| place(&own, "acme", "welcome", "a", who)), 0);
    assert!(differ(&first, &|who| place(&own, "acme", "welcome", "b", who)) > 190, "another node");
    assert!(differ(&first, &|who| place(&own, "acme", "farewell", "a", who)) > 190, "another workflow");
    assert!(differ(&first, &|who| place(&own, "rival", "welcome", "a", who)) > 190, "another tenant");
    let salted_first = |who: &str| place(&salted, "acme", "welcome", "a", who);
    assert_eq!(differ(&salted_first, &|who| place(&salted, "acme", "farewell", "b", who)), 0);
    assert!(differ(&salted_first, &|who| place(&salted, "rival", "welcome", "a", who)) > 190);
    assert!(differ(&salted_first, &first) > 190);
}

#[test]
fn a_part_that_grows_keeps_whom_it_has() {
    let (small, large) = (split(&[1_000, 9_000], Some("s")), split(&[3_000, 7_000], Some("s")));
    for who in people(2_000) {
        let at = place(&small, "acme", "w", "n", &who);
        assert!(small.part_at(at).name == "p1" || large.part_at(at).name == "p0", "{who}");
    }
}

#[test]
fn percents_are_kept_to_the_hundredth() {
    let read = |number: Value| hundredths(number.as_number().unwrap());
    for (number, expected) in [
        (json!(0), Some(0)),
        (json!(33.33), Some(3_333)),
        (json!(0.01), Some(1)),
        (json!(100), Some(WHOLE)),
        (json!(12.345), None),
        (json!(-1), None),
        (json!(100.01), None),
    ] {
        assert_eq!(read(number.clone()), expected, "{number}");
    }
    assert!((0..=WHOLE).all(|share| hundredths(&percent(share)) == Some(share)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Of 3,000 people each part gets its share, give or take what chance may do: six times the standard deviation.
    #[test]
    fn every_part_gets_its_share(
        cuts in prop::collection::btree_set(1u32..WHOLE, 1..5),
        salt in "[a-z]{1,12}",
    ) {
        let mut ends: Vec<u32> = cuts.into_iter().collect();
        ends.push(WHOLE);
        let mut shares = vec![ends[0]];
        shares.extend(ends.windows(2).map(|pair| pair[1] - pair[0]));
        let split = split(&shares, Some(&salt));
        let count = 3_000;
        let mut seen = vec![0; shares.len()];
        for who in people(count) {
            let part = split.part_at(place(&split, "acme", "w", "n", &who));
            seen[part.name[1..].parse::<usize>().unwrap()] += 1;
        }
        for (seen, share) in seen.into_iter().zip(shares) {
            let (count, share) = (count as f64, f64::from(share) / f64::from(WHOLE));
            let (expected, deviation) = (count * share, (count * share * (1.0 - share)).sqrt());
            prop_assert!((f64::from(seen) - expected).abs() <= 6.0 * deviation + 1.0, "{seen} for {expected}");
        }
    }

    #[test]
    fn every_place_is_in_one_part_and_stays_there(who in ".{0,40}", cut in 0..=WHOLE) {
        let split = split(&[cut, WHOLE - cut], None);
        let at = place(&split, "acme", "w", "n", &who);
        prop_assert!(at < WHOLE);
        prop_assert_eq!(&split.part_at(at).name, if at < cut { "p0" } else { "p1" });
        prop_assert_eq!(place(&split, "acme", "w", "n", &who), at);
    }
}

mod walked {
    use crate::contact::Contact;
    use crate::id::ContactId;
    use crate::workflow::kinds::walked::{World, compile, problems, text};
    use serde_json::{Value, json};
    use uuid::Uuid;

    const SPLIT: &str = "{ id: a, action: branch, with: { split: [{ name: left, percent: 50 }, { name: right, percent: 49.5 }, { name: none, percent: 0.5, holdout: true }] } }";
    const LEFT: &str = "{ id: b, action: stop_workflow }";
    const RIGHT: &str = "{ id: c, action: set_variables, with: { vars: { went: right } } }";
    const EDGES: &str = "[[t, a], { from: a, case: left, to: b }, { from: a, case: right, to: c }, { from: a, case: none, to: b }]";

    fn about(who: &str) -> World {
        let mut world = World::at("2027-01-01T00:00:00Z", None);
        world.contact = Some(Contact::new(ContactId(Uuid::nil()), who));
        world
    }

    #[test]
    fn a_contact_goes_the_same_way_in_every_run_and_version() {
        let first = compile(&text(&[SPLIT, LEFT, RIGHT], EDGES));
        // Another version has more nodes, and the same split.
        let more = "{ id: z, action: delay, with: { for: 0s } }";
        let second = compile(&text(&[more, SPLIT, LEFT, RIGHT], &EDGES.replace("[t, a]", "[t, z], [z, a]")));
        let mut ways = std::collections::BTreeSet::new();
        for number in 0..40 {
            let mut world = about(&format!("c-{number}"));
            let way = world.start(&first).state.steps["a"].case.clone();
            world.run_key = "another";
            world.now += chrono::TimeDelta::days(90);
            assert_eq!(world.start(&second).state.steps["a"].case, way);
            ways.insert(way);
        }
        assert!(ways.len() > 1, "{ways:?}");
    }

    #[test]
    fn a_run_without_a_contact_is_split_by_its_key() {
        let workflow = compile(&text(&[SPLIT, LEFT, RIGHT], EDGES));
        let mut nobody = about("c-1");
        nobody.contact = None;
        let detail = |world: &World| world.start(&workflow).detail("a").clone();
        let (of_contact, of_key) = (detail(&about("c-1")), detail(&nobody));
        assert_eq!((&of_contact["by"], &of_key["by"]), (&json!("contact"), &json!("run_key")));
        assert_eq!(of_contact["place"], of_key["place"], "the default key is the contact's");
    }

    #[test]
    fn the_log_tells_the_part_its_share_and_whether_it_is_the_holdout() {
        let workflow = compile(&text(&[SPLIT, LEFT, RIGHT], EDGES));
        let details: Vec<Value> = (0..2_000)
            .map(|number| about(&format!("c-{number}")).start(&workflow).detail("a").clone())
            .collect();
        let of = |name: &str| details.iter().find(|detail| detail["case"] == name).unwrap();
        assert_eq!((&of("right")["percent"], &of("right")["holdout"]), (&json!(49.5), &Value::Null));
        assert_eq!((&of("none")["percent"], &of("none")["holdout"]), (&json!(0.5), &json!(true)));
        assert!(of("none")["place"].as_f64().unwrap() >= 99.5);
    }

    #[test]
    fn what_is_wrong_with_a_split_is_said_where_it_stands() {
        let said: Vec<String> = [
            "",
            "split: []",
            "split: [{ name: a, percent: 50 }, { name: b, percent: 49.99 }]",
            "split: [{ name: a, percent: 33.333 }, { name: b, percent: 66.667 }]",
            "split: [{ name: a, percent: 50 }, { name: a, percent: 50 }]",
            "split: [{ name: else, percent: 100 }]",
            "split: [{ name: a, percent: '100' }]",
            "split: [{ name: a, percent: 100, where: {} }]",
            "split: [{ name: a, percent: 50, holdout: true }, { name: b, percent: 50, holdout: true }]",
            "split: [{ name: a, percent: 100, holdout: 10 }]",
            "split: [{ name: a, percent: 100 }], salt: ''",
            "split: [{ name: a, percent: 100 }], cases: []",
            "cases: [{ name: a, where: { field: event.id, op: is_empty } }], salt: x",
        ]
        .iter()
        .map(|with| problems(&format!("{{ id: a, action: branch, with: {{ {with} }} }}")))
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        nodes[0].with: a branch needs "cases" or "split" [missing_key]
        nodes[0].with.split: the percents are 0 together; they have to be 100 [bad_value]
        nodes[0].with.split: the percents are 99.99 together; they have to be 100 [bad_value]
        nodes[0].with.split[0].percent: must be a number from 0 to 100 with at most two decimals [bad_value]
        nodes[0].with.split[1].percent: must be a number from 0 to 100 with at most two decimals [bad_value]
        nodes[0].with.split[1].name: two parts of the split are called "a" [duplicate_id]
        nodes[0].with.split[0].name: a split has no else: everybody is in one of its parts; give this one another name [bad_name]
        nodes[0].with.split[0].percent: must be a number from 0 to 100 with at most two decimals [bad_value]
        nodes[0].with.split[0].where: a part of a split has no key "where" [unknown_key]
        nodes[0].with.split: a split has one holdout at most: the part that the others are measured against [bad_value]
        nodes[0].with.split[0].holdout: must be true or false [wrong_type]
        nodes[0].with.salt: must not be empty [bad_value]
        nodes[0].with: a branch has either "cases" or "split" [bad_value]
        nodes[0].with.salt: salt belongs to a branch with "split" [bad_value]
        "#);
    }
}
