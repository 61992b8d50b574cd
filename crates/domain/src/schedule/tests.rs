use super::plan::{Plan, Policy, plan};
use super::*;
use crate::id::WorkflowId;
use chrono::Timelike;
use chrono_tz::Tz;
use proptest::prelude::*;
use uuid::Uuid;

fn cron(text: &str, zone: &str) -> Schedule {
    let cron = Cron::parse(text, zone.parse().unwrap()).unwrap_or_else(|bad| panic!("{bad}"));
    Schedule::plain(Timing::Cron(Box::new(cron)))
}

fn every(seconds: i64) -> Schedule {
    let (text, interval) = (format!("{seconds}s"), TimeDelta::seconds(seconds));
    Schedule::plain(Timing::Every(Every { text, interval, anchor: None }))
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn id() -> ScheduleId {
    ScheduleId::derive(WorkflowId(Uuid::from_u128(7)), "nightly")
}

fn shown(slots: &[DateTime<Utc>]) -> Vec<String> {
    slots.iter().map(|slot| slot.to_rfc3339_opts(SecondsFormat::AutoSi, true)).collect()
}

fn bad(text: &str) -> String {
    Cron::parse(text, Tz::UTC).unwrap_err().to_string()
}

#[test]
fn a_refused_expression_names_the_field_at_fault() {
    let refused: Vec<_> = [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "61 * * * * *",
        "* JAN * * *",
        "* * * MON *",
        "*/0 * * * *",
        "5/5 * * * *",
        "1,,2 * * * *",
        "10-5 * * * *",
        "* * 32W * *",
        "* * * * 5#6",
        "soon * * * *",
    ]
    .into_iter()
    .map(bad)
    .collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    the minute "60" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the hour "24" is not valid: write 0-23, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the day of month "0" is not valid: write 1-31, L for the last day, LW for the last weekday, 15W for the nearest weekday, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the month "13" is not valid: write 1-12 or JAN-DEC, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the day of week "8" is not valid: write 0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the second "61" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the hour "JAN" is not valid: write 0-23, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the month "MON" is not valid: write 1-12 or JAN-DEC, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the minute "*/0" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the minute "5/5" is not valid: write 5-59/5
    the minute "1,,2" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the minute "10-5" is not valid: write 10-59,0-5
    the day of month "32W" is not valid: write 1-31, L for the last day, LW for the last weekday, 15W for the nearest weekday, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the day of week "5#6" is not valid: write 0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the minute "soon" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    "#);
    let refused: Vec<_> =
        ["", "* * *", "* * * * * * *", "@daily", "@reboot", "0 0 30 2 *"].into_iter().map(bad).collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    "" has 0 fields; an expression has five: minute, hour, day of month, month, day of week; or six, with the second in front
    "* * *" has 3 fields; an expression has five: minute, hour, day of month, month, day of week; or six, with the second in front
    "* * * * * * *" has 7 fields; an expression has five: minute, hour, day of month, month, day of week; or six, with the second in front
    write @daily as "0 0 * * *"
    @reboot is no time: a schedule fires by the clock
    "0 0 30 2 *" names no date that exists, so it would never fire
    "#);
}

#[test]
fn an_expression_that_names_no_date_is_told_apart() {
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 8-31 * +MON#1"] {
        assert!(Cron::parse(text, Tz::UTC).is_err_and(|bad| bad.is_never()), "{text}");
    }
    for text in ["0 0 29 2 *", "0 0 * 2 0#5", "0 0 30 2 MON"] {
        assert!(Cron::parse(text, Tz::UTC).is_ok(), "{text}");
    }
}

#[test]
fn words_and_data_tell_what_was_written() {
    let schedule = cron("  30  2 * * *", "Europe/Berlin");
    assert_eq!((schedule.text(), schedule.zone_name()), ("30 2 * * *", Some("Europe/Berlin")));
    assert_eq!(schedule.words(), "At 02:30.");
    let slot = at("2026-03-01T01:30:00Z");
    assert_eq!(
        schedule.event_data(id(), slot),
        json!({
            "schedule_id": id(), "fire_at": "2026-03-01T01:30:00Z", "expression": "30 2 * * *",
            "timezone": "Europe/Berlin",
        })
    );
    assert_eq!(
        every(90).event_data(id(), slot),
        json!({ "schedule_id": id(), "fire_at": "2026-03-01T01:30:00Z", "every": "90s" })
    );
    assert_eq!((schedule.event_type(), every(90).event_type()), ("schedule.cron", "schedule.interval"));
}

#[test]
fn words_say_what_fires() {
    let told: Vec<String> = [
        "* * * * *",
        "*/15 * * * *",
        "*/45 * * * *",
        "0 * * * *",
        "5 * * * *",
        "0 */2 * * *",
        "0 */5 * * *",
        "30 2 * * *",
        "0,30 9-11 * * *",
        "*/10 9-17 * * MON-FRI",
        "0 9 LW * *",
        "0 9 L,15 * *",
        "0 9 15W 1,7 *",
        "0 9 1 * MON",
        "0 9 13 * +FRI",
        "0 9 * * 5L",
        "0 9 * * 5#2,MON",
        "0 0 1 1-3 *",
        "0 8 */10 * *",
        "0 8 1-7 * *",
        "*/20 * * * * *",
        "15 30 2 * * *",
        "* 30 2 * * *",
        "0 0 * * SUN,6",
        "0 0 * * FRI-SUN",
    ]
    .iter()
    .map(|text| format!("{text:24} {}", cron(text, "UTC").words()))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
    * * * * *                Every minute.
    */15 * * * *             Every 15 minutes.
    */45 * * * *             At minute 0 and 45 of every hour.
    0 * * * *                Every hour, on the hour.
    5 * * * *                At minute 5 of every hour.
    0 */2 * * *              Every 2 hours, on the hour.
    0 */5 * * *              At 00:00, 05:00, 10:00, 15:00 and 20:00.
    30 2 * * *               At 02:30.
    0,30 9-11 * * *          At 09:00, 09:30, 10:00, 10:30, 11:00 and 11:30.
    */10 9-17 * * MON-FRI    Every 10 minutes of hour 9 to 17 on Monday to Friday.
    0 9 LW * *               At 09:00 on the last weekday (Monday to Friday) of the month.
    0 9 L,15 * *             At 09:00 on the 15th and the last day of the month.
    0 9 15W 1,7 *            At 09:00 on the weekday nearest to the 15th of the month in January and July.
    0 9 1 * MON              At 09:00 on the 1st of the month, and on Monday.
    0 9 13 * +FRI            At 09:00 on the 13th of the month, if that is Friday.
    0 9 * * 5L               At 09:00 on the last Friday of the month.
    0 9 * * 5#2,MON          At 09:00 on Monday and the second Friday of the month.
    0 0 1 1-3 *              At 00:00 on the 1st of the month in January to March.
    0 8 */10 * *             At 08:00 on the 1st, 11th, 21st and 31st of the month.
    0 8 1-7 * *              At 08:00 on the 1st to 7th of the month.
    */20 * * * * *           Every 20 seconds.
    15 30 2 * * *            At 02:30:15.
    * 30 2 * * *             Every second of minute 30 of hour 2.
    0 0 * * SUN,6            At 00:00 on Sunday and Saturday.
    0 0 * * FRI-SUN          At 00:00 on Sunday, Friday and Saturday.
    "##);
}

#[test]
fn what_would_fire_otherwise_than_it_reads_is_refused_with_what_to_write() {
    let refused: Vec<String> = [
        "*/70 * * * *",
        "10-20/15 * * * *",
        "5/15 * * * *",
        "50-10 * * * *",
        "0 22-6 * * *",
        "0 0 * * FRI-MON",
        "0 0 * NOV-FEB *",
        "0 0 L,LW * *",
        "0 0 * * L",
        "0 0 * * 1-5#2",
        "+5 * * * *",
        "@midnight",
        "@reboot",
    ]
    .iter()
    .map(|text| Cron::parse(text, Tz::UTC).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(refused.join("\n"), @r##"
    the minute "*/70" is not valid: write 0 for that one alone (a step of 70 goes past 59), or a smaller step
    the minute "10-20/15" is not valid: write 10 for that one alone (a step of 15 goes past 20), or a smaller step
    the minute "5/15" is not valid: write 5-59/15
    the minute "50-10" is not valid: write 50-59,0-10
    the hour "22-6" is not valid: write 22-23,0-6
    the day of week "FRI-MON" is not valid: write 5-6,0-1
    the month "NOV-FEB" is not valid: write 11-12,1-2
    the day of month "L,LW" is not valid: write L or LW, in two schedules for both
    the day of week "L" is not valid: write 0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the day of week "1-5#2" is not valid: write 0-7 (0 and 7 are Sunday) or SUN-SAT, 5L for the last Friday, 5#2 for the second, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    the minute "+5" is not valid: write 0-59, *, a list (1,3), a range (1-3) or a step (*/2 or 1-9/2)
    write @midnight as "0 0 * * *"
    @reboot is no time: a schedule fires by the clock
    "##);
}

#[test]
fn an_interval_counts_from_its_anchor_both_ways() {
    let anchored = every(900).anchored(at("2026-01-01T00:07:30.9Z"));
    let next = |from: &str| shown(&anchored.next_after(at(from)).into_iter().collect::<Vec<_>>());
    assert_eq!(next("2026-01-01T00:07:29Z"), ["2026-01-01T00:07:30Z"]);
    assert_eq!(next("2026-01-01T00:07:30Z"), ["2026-01-01T00:22:30Z"]);
    assert_eq!(next("2025-12-31T23:59:00.5Z"), ["2026-01-01T00:07:30Z"].map(str::to_owned));
    assert_eq!(next("2025-12-31T23:50:00Z"), ["2025-12-31T23:52:30Z"]);
    // What names its anchor itself keeps it.
    assert_eq!(anchored.clone().anchored(at("2026-01-01T00:00:00Z")), anchored);
    // Clocks that change do not matter to elapsed time.
    let daily = every(86_400).anchored(at("2026-03-28T02:00:00Z"));
    assert_eq!(
        shown(&daily.slots_after(at("2026-03-28T02:00:00Z")).take(1).collect::<Vec<_>>()),
        ["2026-03-29T02:00:00Z"]
    );
}

#[test]
fn slots_stay_within_the_window() {
    let schedule = Schedule {
        starts_at: Some(at("2026-01-01T00:02:00Z")),
        ends_at: Some(at("2026-01-01T00:04:00Z")),
        ..cron("* * * * *", "UTC")
    };
    let slots: Vec<_> = schedule.slots_after(at("2025-06-01T00:00:00Z")).collect();
    assert_eq!(shown(&slots), ["2026-01-01T00:02:00Z", "2026-01-01T00:03:00Z"]);
    assert_eq!(schedule.next_after(at("2026-01-01T00:03:00Z")), None);
}

#[test]
fn how_close_slots_come_is_known() {
    for (text, seconds) in [
        ("*/10 * * * * *", 10),
        ("0 9 * * *", 86_400),
        ("0,7 9 * * *", 420),
        ("59 23 * * *", 86_400),
        ("0,59 0,23 * * *", 60),
        ("* * * * * *", 1),
        ("5,8 * * * * *", 3),
    ] {
        let schedule = cron(text, "Europe/Berlin");
        assert!(!schedule.is_closer_than(TimeDelta::seconds(seconds)), "{text}");
        assert!(schedule.is_closer_than(TimeDelta::seconds(seconds + 1)), "{text}");
    }
}

const POLICY: Policy = Policy { grace: TimeDelta::seconds(60), most_caught_up: 4 };

/// A plan over an hourly schedule after an outage: its next slot was that of 02:00.
fn after_outage(catch_up: CatchUp, now: &str) -> Plan {
    let schedule = Schedule { catch_up, ..cron("0 * * * *", "UTC") };
    plan(&schedule, id(), at("2026-01-01T02:00:00Z"), at(now), POLICY, 100)
}

#[test]
fn missed_slots_are_treated_as_the_schedule_says() {
    let table: Vec<_> = [
        // Not due yet; on time; seven missed; seven missed and one on time.
        "2026-01-01T01:59:59Z",
        "2026-01-01T02:01:00Z",
        "2026-01-01T08:30:00Z",
        "2026-01-01T09:00:30Z",
    ]
    .into_iter()
    .flat_map(|now| CatchUp::ALL.map(|(word, catch_up)| (now, word, catch_up)))
    .map(|(now, word, catch_up)| {
        let plan = after_outage(catch_up, now);
        let fire: Vec<_> = plan.fire.iter().map(|slot| slot.format("%H").to_string()).collect();
        let next = plan.next.map(|slot| slot.format("%H").to_string()).unwrap_or_default();
        format!("{} {word:<6} fires [{}], skips {}, next {next}", &now[11..19], fire.join(" "), plan.skipped)
    })
    .collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    01:59:59 skip   fires [], skips 0, next 02
    01:59:59 latest fires [], skips 0, next 02
    01:59:59 all    fires [], skips 0, next 02
    02:01:00 skip   fires [02], skips 0, next 03
    02:01:00 latest fires [02], skips 0, next 03
    02:01:00 all    fires [02], skips 0, next 03
    08:30:00 skip   fires [], skips 7, next 09
    08:30:00 latest fires [08], skips 6, next 09
    08:30:00 all    fires [05 06 07 08], skips 3, next 09
    09:00:30 skip   fires [09], skips 7, next 10
    09:00:30 latest fires [09], skips 7, next 10
    09:00:30 all    fires [05 06 07 08 09], skips 3, next 10
    "#);
}

#[test]
fn what_finds_no_room_stays_due() {
    let schedule = Schedule { catch_up: CatchUp::All, ..cron("0 * * * *", "UTC") };
    let (mut next, now) = (at("2026-01-01T02:00:00Z"), at("2026-01-01T08:30:00Z"));
    let mut fired = Vec::new();
    let mut skipped = 0;
    while next <= now {
        let plan = plan(&schedule, id(), next, now, POLICY, 3);
        assert!(plan.fire.len() <= 3);
        fired.extend(plan.fire);
        skipped += plan.skipped;
        next = plan.next.unwrap();
    }
    assert_eq!(shown(&fired), shown(&after_outage(CatchUp::All, "2026-01-01T08:30:00Z").fire));
    assert_eq!((fired.len(), skipped), (4, 3));
}

#[test]
fn a_long_outage_of_a_dense_schedule_is_decided_at_once() {
    for schedule in [cron("* * * * * *", "Europe/Berlin"), every(1)] {
        let schedule = Schedule { catch_up: CatchUp::All, ..schedule };
        let now = at("2026-07-01T00:00:00Z");
        let plan = plan(&schedule, id(), at("2016-07-01T00:00:00Z"), now, POLICY, 1_000);
        // Sixty-one on time, from a minute ago to this second, and the four that were missed last.
        assert_eq!((plan.fire.len(), plan.next), (65, Some(now + TimeDelta::seconds(1))));
        assert_eq!(plan.fire.first(), Some(&(now - TimeDelta::seconds(64))));
        assert!(plan.skipped >= 996, "{}", plan.skipped);
    }
}

#[test]
fn a_schedule_that_ended_has_nothing_next() {
    let schedule = Schedule { ends_at: Some(at("2026-01-01T04:00:00Z")), ..cron("0 * * * *", "UTC") };
    let plan = plan(&schedule, id(), at("2026-01-01T02:00:00Z"), at("2026-01-02T00:00:00Z"), POLICY, 10);
    assert_eq!(
        (shown(&plan.fire), plan.skipped, plan.next),
        (vec!["2026-01-01T03:00:00Z".to_owned()], 1, None)
    );
}

#[test]
fn jitter_delays_each_slot_by_its_own_share() {
    let schedule = Schedule { jitter: TimeDelta::seconds(30), ..every(60) };
    let slots: Vec<_> = schedule.slots_after(at("2026-01-01T00:00:00Z")).take(200).collect();
    let delays: Vec<i64> =
        slots.iter().map(|slot| (schedule.due_at(id(), *slot) - *slot).num_milliseconds()).collect();
    assert!(delays.iter().all(|delay| (0..30_000).contains(delay)));
    assert!(delays.iter().any(|delay| *delay < 3_000) && delays.iter().any(|delay| *delay > 27_000));
    let other = ScheduleId::derive(WorkflowId(Uuid::from_u128(8)), "nightly");
    assert_ne!(schedule.due_at(id(), slots[0]), schedule.due_at(other, slots[0]));
    assert_eq!(every(60).due_at(id(), slots[0]), slots[0]);
    // A slot whose delay is not over does not fire.
    let slot = slots[0];
    let due = schedule.due_at(id(), slot);
    let early = plan(&schedule, id(), slot, due - TimeDelta::milliseconds(1), POLICY, 10);
    assert_eq!((early.fire.len(), early.next), (0, Some(slot)));
    assert_eq!(plan(&schedule, id(), slot, due, POLICY, 10).fire, [slot]);
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let minute = prop_oneof![
        Just("*".to_owned()),
        Just("*/7".to_owned()),
        (0..60u32).prop_map(|m| m.to_string()),
        Just("0,30".to_owned())
    ];
    let hour =
        prop_oneof![Just("*".to_owned()), (0..24u32).prop_map(|h| h.to_string()), Just("1-3".to_owned())];
    let day = prop_oneof![
        Just("* * *"),
        Just("* * *"),
        Just("L * *"),
        Just("* * SUN"),
        Just("15W * *"),
        Just("* 3,10 *")
    ];
    let zone = prop_oneof![
        Just("Europe/Berlin"),
        Just("Australia/Lord_Howe"),
        Just("America/Sao_Paulo"),
        Just("Pacific/Apia"),
        Just("Africa/Casablanca"),
        Just("UTC")
    ];
    let of_cron = (minute, hour, day, zone).prop_map(|(m, h, d, z)| cron(&format!("{m} {h} {d}"), z));
    prop_oneof![3 => of_cron, 1 => (1..100_000i64).prop_map(every)]
}

/// From 2010 to 2030, with fractions of a second.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    (1_262_304_000_000i64..1_893_456_000_000)
        .prop_map(|millis| DateTime::from_timestamp_millis(millis).unwrap())
}

proptest! {
    #[test]
    fn slots_increase_and_none_is_left_out(schedule in schedules(), from in instants()) {
        let slots: Vec<_> = schedule.slots_after(from).take(40).collect();
        prop_assert_eq!(slots.len(), 40);
        prop_assert!(slots[0] > from && slots.is_sorted_by(|a, b| a < b));
        prop_assert!(slots.iter().all(|slot| slot.nanosecond() == 0));
        // From anywhere between two slots, the later one is next.
        for pair in slots.windows(2) {
            let middle = pair[0] + (pair[1] - pair[0]) / 2;
            prop_assert_eq!(schedule.next_after(middle.min(pair[1] - TimeDelta::milliseconds(1))), Some(pair[1]));
        }
        prop_assert_eq!(schedule.slots_between(from, slots[9], 100), &slots[..10]);
        prop_assert_eq!(schedule.slots_between(from, slots[9], 3), &slots[..3]);
    }

    /// The wall clock shows what the expression says, except at the end of a gap.
    #[test]
    fn every_slot_shows_a_time_of_the_expression(hour in 0..24u32, minute in 0..60u32, from in instants()) {
        let zone: Tz = "Europe/Berlin".parse().unwrap();
        for slot in cron(&format!("{minute} {hour} * * *"), "Europe/Berlin").slots_after(from).take(20) {
            let shown = slot.with_timezone(&zone);
            let before = (slot - TimeDelta::seconds(1)).with_timezone(&zone);
            let after_gap = (shown.hour(), before.hour(), hour) == (3, 1, 2);
            prop_assert!((shown.hour(), shown.minute()) == (hour, minute) || after_gap, "{}", shown);
        }
    }

    /// Whatever the catch-up rule: slots that are due fire or are skipped, each once, and the next one is not due.
    #[test]
    fn a_plan_accounts_for_every_slot_that_is_due(
        schedule in schedules(), from in instants(), gone in 0..200_000i64, rule in 0..3usize, room in 1..50usize,
    ) {
        let schedule = Schedule { catch_up: CatchUp::ALL[rule].1, ..schedule };
        let first = schedule.next_after(from).unwrap();
        let now = first + TimeDelta::seconds(gone);
        let due = schedule.slots_between(from, now, 900);
        prop_assume!(due.len() < 900);
        let (mut next, mut fired, mut skipped) = (first, Vec::new(), 0);
        for _round in 0..1_000 {
            if next > now {
                break;
            }
            let plan = plan(&schedule, id(), next, now, POLICY, room);
            prop_assert!(plan.fire.len() <= room);
            fired.extend(plan.fire);
            skipped += plan.skipped;
            next = plan.next.unwrap();
        }
        prop_assert_eq!(schedule.next_after(now), Some(next));
        prop_assert!(fired.is_sorted_by(|a, b| a < b));
        prop_assert!(fired.iter().all(|slot| due.contains(slot)));
        prop_assert_eq!(fired.len() as u64 + skipped, due.len() as u64);
        let on_time: Vec<_> = due.iter().filter(|slot| **slot >= now - POLICY.grace).collect();
        prop_assert!(on_time.iter().all(|slot| fired.contains(slot)));
        let caught_up = fired.len() - on_time.len();
        let missed = due.len() - on_time.len();
        let expected = match schedule.catch_up {
            CatchUp::Skip => 0,
            CatchUp::Latest => usize::from(on_time.is_empty()).min(missed),
            CatchUp::All => missed.min(POLICY.most_caught_up),
        };
        prop_assert_eq!(caught_up, expected);
    }

    #[test]
    fn no_text_panics(text in "[0-9*,/LW#+?A-Za-z@ -]{0,30}") {
        if let Ok(cron) = Cron::parse(&text, Tz::UTC) {
            let _ = Schedule::plain(Timing::Cron(Box::new(cron))).next_after(at("2026-01-01T00:00:00Z"));
        }
    }
}
