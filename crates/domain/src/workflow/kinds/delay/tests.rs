use crate::facts::FieldPath;
use crate::interpreter::{End, RunEvent, RunState, StepOutcome};
use crate::workflow::kinds::walked::{Walked, World, compile, problems, text};
use serde_json::{Value, json};

const EDGES: &str = "[[t, a], [a, b]]";

/// A delay with these options, walked until it waits or the run ends.
fn delay(world: &World, with: &str) -> Walked {
    world.start(&compile(&text(&[&format!("{{ id: a, action: delay, with: {{ {with} }} }}"), STOP], EDGES)))
}

const STOP: &str = "{ id: b, action: stop_workflow }";

fn with_fields(mut world: World, fields: Value) -> World {
    world.contact.as_mut().unwrap().fields = fields.as_object().unwrap().clone();
    world
}

#[test]
fn a_time_of_day_on_weekdays_is_the_next_one_in_the_contacts_zone() {
    let office = r#"at: "09:00", on: [monday, tuesday, wednesday, thursday, friday]"#;
    let saturdays = r#"at: "15:15", on: [saturday]"#;
    for (with, now, expected) in [
        // Saturday 18:13 in Tokyo, then around nine on Monday.
        (office, "2027-06-05T09:13:00Z", "2027-06-07T00:00:00Z"),
        (office, "2027-06-06T23:59:59Z", "2027-06-07T00:00:00Z"),
        (office, "2027-06-07T00:00:00Z", "completed"),
        (office, "2027-06-07T00:00:01Z", "2027-06-08T00:00:00Z"),
        (office, "2027-06-07T00:00:00.001Z", "2027-06-08T00:00:00Z"),
        // Saturday at ten, and at four.
        (saturdays, "2027-06-05T01:00:00Z", "2027-06-05T06:15:00Z"),
        (saturdays, "2027-06-05T07:00:00Z", "2027-06-12T06:15:00Z"),
        // Every day.
        (r#"at: "09:00""#, "2027-06-05T09:13:00Z", "2027-06-06T00:00:00Z"),
    ] {
        let walked = delay(&World::at(now, Some("Asia/Tokyo")), with);
        assert_eq!(walked.outcome(), expected, "{with} at {now}");
    }
}

#[test]
fn a_day_of_a_duration_is_24_hours_and_a_time_of_day_keeps_to_the_clock() {
    // The clocks of Berlin go back on Sunday, 2027-10-31; it is Friday, 14:00.
    let world = || World::at("2027-10-29T12:00:00Z", Some("Europe/Berlin"));
    assert_eq!(delay(&world(), "for: 3d").outcome(), "2027-11-01T12:00:00Z");
    assert_eq!(delay(&world(), r#"at: "14:00", on: [monday]"#).outcome(), "2027-11-01T13:00:00Z");
    let date = with_fields(world(), json!({ "from": "2027-10-29T14:00" }));
    let from = r#"until: "{{ contact.fields.from }}""#;
    assert_eq!(delay(&date, &format!("{from}, offset: 3d")).outcome(), "2027-11-01T12:00:00Z");
    assert_eq!(delay(&date, &format!("{from}, offset_days: 3")).outcome(), "2027-11-01T13:00:00Z");
}

#[test]
fn a_run_that_is_woken_when_its_delay_ends_goes_on_whatever_the_clocks_did() {
    let workflow =
        compile(&text(&[r#"{ id: a, action: delay, with: { at: "14:00", on: [monday] } }"#, STOP], EDGES));
    let before = World::at("2027-10-29T12:00:00Z", Some("Europe/Berlin")).start(&workflow);
    let due = World::at("2027-11-01T13:00:00Z", Some("Europe/Berlin"));
    let after = due.go_on(&workflow, before.state, RunEvent::TimerFired);
    assert_eq!((after.way(), after.outcome()), (vec!["a", "b"], "completed".to_owned()));
    assert_eq!(after.step("a").outcome, StepOutcome::Completed);
}

#[test]
fn a_date_without_a_zone_is_the_contacts() {
    for (zone, value, with, expected) in [
        // The day before the first of March, at midnight in Los Angeles.
        (Some("America/Los_Angeles"), json!("2027-03-01"), "offset_days: -1", "2027-02-28T08:00:00Z"),
        (Some("America/Los_Angeles"), json!("2027-03-01"), "offset: -1d", "2027-02-28T08:00:00Z"),
        (Some("America/Los_Angeles"), json!("2027-03-01T18:30"), "", "2027-03-02T02:30:00Z"),
        (None, json!("2027-03-01"), "offset_days: -1", "2027-02-27T23:00:00Z"),
        (Some("Mars/Olympus"), json!("2027-03-01"), "offset_days: -1", "2027-02-27T23:00:00Z"),
        // One with its distance from UTC is that instant, whatever the zone.
        (Some("America/Los_Angeles"), json!("2027-03-01T00:00:00+01:00"), "", "2027-02-28T23:00:00Z"),
        (Some("America/Los_Angeles"), json!("2027-03-01T00:00:00Z"), "offset: 3h", "2027-03-01T03:00:00Z"),
        // Its day and time of day are those of the zone all the same.
        (
            Some("America/Los_Angeles"),
            json!("2027-03-01T00:00:00Z"),
            r#"at: "09:00""#,
            "2027-02-28T17:00:00Z",
        ),
        (Some("Asia/Tokyo"), json!("2027-03-01"), r#"timezone: UTC, at: "09:00""#, "2027-03-01T09:00:00Z"),
    ] {
        let mut world = with_fields(World::at("2027-01-01T00:00:00Z", zone), json!({ "renewal": value }));
        world.zone = "Europe/Berlin";
        let with = format!(r#"until: "{{{{ contact.fields.renewal }}}}", {with}"#);
        assert_eq!(delay(&world, &with).outcome(), expected, "{zone:?} {with}");
    }
}

#[test]
fn days_and_time_of_day_are_placed_before_elapsed_time_is_added() {
    let world = World::at("2027-01-01T00:00:00Z", Some("Europe/Berlin"));
    let with = r#"until: "2027-03-31T22:00", offset_days: -3, at: "09:00", offset: -30m"#;
    // Sunday, 2027-03-28 is summer time by nine.
    assert_eq!(delay(&world, with).outcome(), "2027-03-28T06:30:00Z");
}

#[test]
fn a_local_time_that_the_clocks_skip_or_show_twice_is_that_of_schedules() {
    let world = World::at("2027-01-01T00:00:00Z", Some("Europe/Berlin"));
    assert_eq!(delay(&world, r#"until: "2027-03-28T02:30""#).outcome(), "2027-03-28T01:00:00Z");
    assert_eq!(delay(&world, r#"until: "2027-10-31T02:30""#).outcome(), "2027-10-31T00:30:00Z");
    let night = World::at("2027-03-27T12:00:00Z", Some("Europe/Berlin"));
    assert_eq!(delay(&night, r#"at: "02:30""#).outcome(), "2027-03-28T01:00:00Z");
}

#[test]
fn the_log_tells_whose_clock_counted_and_why() {
    let told = |contact: Option<Option<&str>>, with: &str| {
        let mut world = World::at("2027-01-01T00:00:00Z", contact.flatten());
        world.zone = "Europe/Berlin";
        if contact.is_none() {
            world.contact = None;
        }
        let walked = delay(&world, &format!("until: 2027-03-01, {with}"));
        let detail = walked.detail("a");
        json!([detail["timezone"], detail["timezone_of"], detail["timezone_note"]])
    };
    let berlin = |note: &str| json!(["Europe/Berlin", "tenant", note]);
    assert_eq!(told(Some(Some("Asia/Tokyo")), ""), json!(["Asia/Tokyo", "contact", null]));
    assert_eq!(
        told(Some(Some("Asia/Tokyo")), "timezone: America/Lima"),
        json!(["America/Lima", "node", null])
    );
    assert_eq!(told(Some(None), ""), berlin("the contact has no time zone"));
    assert_eq!(
        told(Some(Some("Mars/Olympus")), ""),
        berlin("the contact's \"Mars/Olympus\" is not a time zone")
    );
    assert_eq!(told(None, ""), berlin("there is no contact"));
    assert_eq!(
        told(None, r#"timezone: "{{ event.data.zone }}""#),
        berlin("timezone came to null, which is not a time zone; there is no contact")
    );
    assert_eq!(
        told(Some(Some("Asia/Tokyo")), r#"timezone: "{{ 'Tokyo' }}""#),
        json!(["Asia/Tokyo", "contact", "timezone came to \"Tokyo\", which is not a time zone"])
    );
    let instant = delay(&World::at("2027-01-01T00:00:00Z", None), r#"until: "2027-03-01T00:00:00Z""#);
    assert_eq!(instant.detail("a"), &json!({ "until": "2027-03-01T00:00:00Z" }), "no clock was asked");
}

/// A delay until 2027-01-01, in a run of half a year later; with a way `past`.
fn late(when_past: &str, until: &str) -> Walked {
    let way = if when_past == "skip" { ", { from: a, case: past, to: c }" } else { "" };
    let nodes = [
        &format!("{{ id: a, action: delay, with: {{ until: \"{until}\", when_past: {when_past} }} }}"),
        STOP,
        "{ id: c, action: stop_workflow }",
    ];
    let nodes = if when_past == "skip" { &nodes[..3] } else { &nodes[..2] };
    let workflow = compile(&text(nodes, &format!("[[t, a], [a, b]{way}]")));
    World::at("2027-06-01T00:00:00Z", None).start(&workflow)
}

#[test]
fn a_date_that_is_past_goes_on_skips_or_leaves_as_the_node_says() {
    for (when_past, way) in [("go_on", vec!["a", "b"]), ("skip", vec!["a", "c"]), ("leave", vec!["a"])] {
        let walked = late(when_past, "2027-01-01");
        assert_eq!((walked.way(), walked.outcome()), (way, "completed".to_owned()), "{when_past}");
        let detail = walked.detail("a");
        assert_eq!(
            (&detail["reason"], &detail["when_past"], &detail["until"]),
            (&json!("the date is past"), &json!(when_past), &json!("2027-01-01T00:00:00Z"))
        );
        let case = (when_past == "skip").then_some("past");
        assert_eq!((detail["case"].as_str(), walked.state.steps["a"].case.as_deref()), (case, case));
    }
    let by_default = delay(&World::at("2027-06-01T00:00:00Z", None), "until: 2027-01-01");
    assert_eq!(by_default.way(), ["a", "b"]);
}

#[test]
fn a_date_that_is_nothing_is_treated_as_one_that_is_past() {
    for until in ["{{ event.data.none }}", "{{ '' }}", "{{ ' ' }}"] {
        for (when_past, way) in [("go_on", vec!["a", "b"]), ("skip", vec!["a", "c"]), ("leave", vec!["a"])] {
            let walked = late(when_past, until);
            assert_eq!(walked.way(), way, "{until} {when_past}");
            assert_eq!(walked.detail("a")["reason"], "there is no date");
        }
    }
}

#[test]
fn a_date_that_is_now_has_come_and_is_not_past() {
    let walked = late("leave", "2027-06-01T00:00:00Z");
    assert_eq!((walked.way(), walked.outcome()), (vec!["a", "b"], "completed".to_owned()));
    assert_eq!(walked.detail("a"), &json!({ "until": "2027-06-01T00:00:00Z" }));
}

#[test]
fn a_past_way_without_an_edge_ends_its_branch_and_is_warned_of() {
    let node = "{ id: a, action: delay, with: { until: 2027-01-01, when_past: skip } }";
    let workflow = compile(&text(&[node, STOP], EDGES));
    let warnings: Vec<String> = workflow.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["nodes[0]: the case past of \"a\" has no edge: runs that take it end there [open_case]"]
    );
    let walked = World::at("2027-06-01T00:00:00Z", None).start(&workflow);
    assert_eq!((walked.way(), walked.state.end.clone()), (vec!["a"], Some(End::Completed)));
}

#[test]
fn a_value_that_is_no_date_or_time_fails_the_step_with_its_code() {
    for (with, code) in [
        (r#"until: "{{ event.data.bad }}""#, "invalid_date"),
        (r#"until: "{{ 1800000000 }}""#, "invalid_date"),
        (r#"until: "{{ '9999-01-01' }}""#, "invalid_date"),
        (r#"until: 2027-03-01, offset: "{{ event.data.bad }}""#, "invalid_duration"),
        (r#"until: 2027-03-01, offset_days: "{{ 1.5 }}""#, "invalid_config"),
        (r#"until: 2027-03-01, at: "{{ event.data.bad }}""#, "invalid_config"),
        (r#"at: "{{ event.data.bad }}""#, "invalid_config"),
        (r#"at: "{{ event.data.none }}""#, "invalid_config"),
        (r#"until: "{{ 1 / 0 }}""#, "template_failed"),
    ] {
        let mut world = World::at("2027-01-01T00:00:00Z", None);
        world.event.event.data = json!({ "bad": "soon" });
        assert_eq!(delay(&world, with).outcome(), format!("failed {code}"), "{with}");
    }
    // What may be left out may come to nothing.
    let nothing =
        r#"until: 2027-03-01, offset: "{{ vars.x }}", offset_days: "{{ vars.x }}", at: "{{ vars.x }}""#;
    assert_eq!(delay(&World::at("2027-01-01T00:00:00Z", None), nothing).outcome(), "2027-03-01T00:00:00Z");
}

#[test]
fn what_is_wrong_with_a_delay_is_said_where_it_stands() {
    let said: Vec<String> = [
        "",
        "for: 1h, until: 2027-01-01",
        r#"for: 1h, at: "09:00""#,
        "until: soon",
        "until: 01.02.2027",
        "until: 2027-02-30",
        "until: 2027-01-01, on: [monday]",
        "until: 2027-01-01, offset: soon",
        "until: 2027-01-01, offset_days: 1.5",
        "until: 2027-01-01, when_past: stop",
        "until: 2027-01-01, timezone: Berlin",
        r#"at: "25:00""#,
        r#"at: "09:00", on: []"#,
        r#"at: "09:00", on: [monday, Tuseday]"#,
        r#"at: "09:00", on: monday"#,
        r#"at: "09:00", when_past: skip"#,
        r#"at: "09:00", weekday: monday"#,
        "until: null",
    ]
    .iter()
    .map(|with| problems(&format!("{{ id: a, action: delay, with: {{ {with} }} }}")))
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    nodes[0].with: a delay needs "for", "until" or "at" [missing_key]
    nodes[0].with.until: until does not belong to a delay with "for" [bad_value]
    nodes[0].with.at: at does not belong to a delay with "for" [bad_value]
    nodes[0].with.until: "soon" is not a date or time: write 2027-01-31, 2027-01-31T08:00 or 2027-01-31T08:00:00+01:00 [bad_time]
    nodes[0].with.until: "01.02.2027" is not a date or time: write 2027-01-31, 2027-01-31T08:00 or 2027-01-31T08:00:00+01:00 [bad_time]
    nodes[0].with.until: "2027-02-30" is not a date or time: write 2027-01-31, 2027-01-31T08:00 or 2027-01-31T08:00:00+01:00 [bad_time]
    nodes[0].with.on: on does not belong to a delay with "until" [bad_value]
    nodes[0].with.offset: "soon" is not an offset: write 3h or -2d, at most 3660 days [bad_duration]
    nodes[0].with.offset_days: 1.5 is not a number of days: write a whole number from -3660 to 3660 [bad_value]
    nodes[0].with.when_past: "stop" is none of go_on, skip, leave [bad_value]
    nodes[0].with.timezone: "Berlin" is not a time zone (did you mean "Europe/Berlin"?); write an IANA name [unknown_timezone]
    nodes[0].with.at: "25:00" is not a time of day: write 09:00 or 09:00:30 [bad_time]
    nodes[0].with.on: must name a weekday, or be left out for every day [bad_value]
    nodes[0].with.on[1]: "Tuseday" is not a weekday (did you mean "tuesday"?): monday, tuesday, … [bad_value]
    nodes[0].with.on: must be a list [wrong_type]
    nodes[0].with.when_past: when_past does not belong to a delay with "at" [bad_value]
    nodes[0].with.weekday: a delay has no key "weekday" [unknown_key]
    nodes[0].with.until: null is not a date or time: write 2027-01-31, 2027-01-31T08:00 or 2027-01-31T08:00:00+01:00 [bad_time]
    "#);
}

#[test]
fn a_way_for_past_dates_exists_where_the_node_says_skip_alone() {
    let text = text(
        &["{ id: a, action: delay, with: { until: 2027-01-01 } }", STOP],
        "[[t, a], [a, b], { from: a, case: past, to: b }]",
    );
    let refused = crate::workflow::parse(&text, &crate::workflow::NodeTypes::new([]), &Default::default());
    let problems: Vec<String> = refused.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["edges[2]: \"a\" has one way out: leave case away [unknown_case]"]);
}

#[test]
fn a_delay_reads_the_contact_where_its_clock_is_asked() {
    let reads = |with: &str| {
        compile(&text(&[&format!("{{ id: a, action: delay, with: {{ {with} }} }}"), STOP], EDGES))
            .needs(&crate::interpreter::Need::Contact)
    };
    assert!(reads("until: 2027-01-01") && reads(r#"at: "09:00""#));
    assert!(!reads("until: 2027-01-01, timezone: UTC") && !reads("for: 1h"));
    assert!(FieldPath::parse("tenant.timezone", "").is_ok());
}

#[test]
fn what_follows_a_delay_is_decided_after_it() {
    let nodes = [
        "{ id: a, action: delay, with: { for: 1d } }",
        "{ id: b, action: branch, with: { cases: [{ name: vip, where: { field: contact.score, op: greater_or_equal, value: 80 } }] } }",
        r#"{ id: c, action: set_variables, with: { vars: { name: "{{ contact.first_name }}" } } }"#,
    ];
    let workflow = compile(&text(&nodes, "[[t, a], [a, b], { from: b, case: vip, to: c }]"));
    let mut world = World::at("2027-01-01T00:00:00Z", None);
    world.contact.as_mut().unwrap().score = 50.0;
    let waiting: RunState = world.start(&workflow).state;
    let contact = world.contact.as_mut().unwrap();
    (contact.score, contact.first_name) = (90.0, Some("Grace".to_owned()));
    world.now = "2027-01-02T00:00:00Z".parse().unwrap();
    let walked = world.go_on(&workflow, waiting, RunEvent::TimerFired);
    assert_eq!(walked.way(), ["a", "b", "c"]);
    assert_eq!(walked.state.vars["name"], "Grace");
}
