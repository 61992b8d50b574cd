//! What people do about failures, by the command line, against a running engine: failed runs are replayed, refused events
//! published again, and what the broker gave up on is made up for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use automation_broker::nudge;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::DLX;
use automation_store::Scope;
use automation_store::access::tenants::{self, Grant};
use automation_store::role::{Operator, Worker};
use automation_test_support::builders;
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};
use std::process::{Command, Output};
use uuid::Uuid;

/// Calls the command line on the engine's servers.
fn call(engine: &Engine, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_automation"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", engine.database.url())
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_TENANT", "acme")
        .env("USER", "ada")
        .output()
        .unwrap()
}

/// What a successful call with `--json` printed.
fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asserts a failure with its code, which says `what` somewhere.
fn fails(output: &Output, code: i32, what: &str) {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(what), "{what} is missing in: {said}");
}

fn form(id: &str, subject: &str) -> Value {
    event("form.submitted", id, subject, json!({ "form_id": "contact", "text": "hello" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_refused_is_published_again_once_its_cause_is_gone() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(note_forms("notes")).await?;
    let grant = |types: &str| Grant {
        tenant_id: engine.tenant,
        amqp_user: engine.publisher_user.clone(),
        event_types: vec![types.to_owned()],
        expires_at: None,
    };
    let operator = engine.database.store::<Operator>();
    let set = async |grant: Grant| {
        operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await
    };
    set(grant("order.*")).await?;
    engine.publish(vec![form("1", "ada"), form("2", "bob")]).await?;
    // A stranger's claim to be the engine itself.
    let mut forged = form("3", "eve");
    forged["source"] = "automation".into();
    engine.publish(vec![forged]).await?;
    engine.until("SELECT count(*) FROM parked_events", 3).await?;

    set(grant("*")).await?;
    let refused = json_of(&call(&engine, &["parked", "list", "--reason", "not_granted", "--json"]));
    assert_eq!(refused["data"].as_array().unwrap().len(), 2);
    fails(&call(&engine, &["parked", "replay"]), 2, "not said which");
    fails(&call(&engine, &["parked", "replay", "--reason", "not_granted"]), 2, "publish again 2");
    let dry =
        json_of(&call(&engine, &["parked", "replay", "--reason", "not_granted", "--dry-run", "--json"]));
    assert_eq!(dry["data"][1]["result"], "would be published");
    assert_eq!(engine.count("SELECT count(*) FROM events").await?, 0);

    let done = json_of(&call(&engine, &["parked", "replay", "--reason", "not_granted", "--yes", "--json"]));
    assert_eq!(done["data"].as_array().unwrap().iter().filter(|row| row["result"] == "replayed").count(), 2);
    engine.until("SELECT count(*) FROM notes", 2).await?;
    engine
        .until("SELECT count(*) FROM parked_events WHERE status = 'replayed' AND changed_by = 'ada'", 2)
        .await?;
    let one = refused["data"][0]["id"].as_str().unwrap();
    fails(&call(&engine, &["parked", "replay", one]), 1, "parked_not_open");

    // Who publishes again for somebody has that one's rights, and not the engine's.
    call(&engine, &["parked", "replay", "--reason", "reserved_source"]);
    engine.until("SELECT count(*) FROM parked_events WHERE reason = 'reserved_source'", 2).await?;
    engine.until("SELECT count(*) FROM parked_events WHERE status = 'replayed'", 3).await?;
    assert_eq!(engine.count("SELECT count(*) FROM events WHERE source = 'automation'").await?, 0);

    assert!(
        call(&engine, &["parked", "discard", "--reason", "reserved_source", "--note", "forged"])
            .status
            .success()
    );
    fails(&call(&engine, &["parked", "discard", "--all"]), 3, "no parked event");
    assert!(call(&engine, &["parked", "restore", "--all"]).status.success());
    assert_eq!(engine.count("SELECT count(*) FROM parked_events WHERE status = 'open'").await?, 1);
    let verified = json_of(&call(&engine, &["audit", "verify", "--json"]));
    let nobody = json_of(&call(&engine, &["audit", "verify", "--no-tenant", "--json"]));
    let entries = verified["entries"].as_i64().unwrap() + nobody["entries"].as_i64().unwrap();
    assert_eq!(entries, 5, "three replays, a discard and a restore");
    operator.close().await;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_work_message_is_only_a_lost_nudge_and_one_that_means_nothing_is_recorded()
-> anyhow::Result<()> {
    let mut engine = Engine::start(0).await?;
    let workflow = builders::workflow(&engine.api, engine.tenant, "welcome").await?;
    let worker = engine.database.store::<Worker>();
    let run = builders::run(&worker, engine.tenant, workflow, builders::event("acme", "1")).await?;
    engine.database.execute("UPDATE wakeups SET due_at = now() + interval '1 hour', sweeps = 8").await?;
    engine.start_roles();

    let insider = Publisher::connect(engine.vhost.amqp_url(), "insider").await?;
    let dead = |body: Vec<u8>| Message {
        exchange: DLX.to_owned(),
        routing_key: "medium".to_owned(),
        body,
        message_id: Uuid::new_v4().to_string(),
        ..Message::default()
    };
    let stranger = Uuid::from_u128(9);
    let unknown = (automation_domain::id::TenantId(stranger), automation_domain::id::RunId(stranger));
    let mut messages: Vec<Message> =
        nudge::pack([(engine.tenant, run.run_id), unknown]).into_iter().map(dead).collect();
    messages.push(dead(b"garbage".to_vec()));
    messages.push(dead(b"garbage".to_vec()));
    insider.publish_all(messages).await?;

    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    engine
        .until("SELECT count(*) FROM parked_events WHERE reason = 'dead_letter' AND occurrences = 2", 1)
        .await?;
    assert_eq!(engine.count("SELECT count(*) FROM parked_events WHERE body = 'garbage'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 1);
    fails(&call(&engine, &["parked", "replay", "--all"]), 1, "parked_not_an_event");
    insider.close().await;
    engine.stop().await
}

/// A note before, a note of the contact's phone number, which may be missing, and a note after.
fn phone_notes() -> Value {
    let note = |id: &str, text: &str| json!({ "id": id, "action": "add_note", "with": { "text": text } });
    json!({
        "apiVersion": "automation/v1", "key": "phone", "name": "phone",
        "triggers": [{ "id": "form", "event": "form.submitted" }],
        "nodes": [note("before", "before"), note("call", "{{ contact.phone }}"), note("after", "after")],
        "edges": [["form", "before"], ["before", "call"], ["call", "after"]],
    })
}

/// The contact's phone number becomes known.
async fn learn_phone(engine: &Engine, subject: &str) -> anyhow::Result<()> {
    let changes = json!({ "changes": { "phone": { "from": null, "to": "555" } } });
    engine.publish(vec![event("contact.updated", &format!("phone-{subject}"), subject, changes)]).await?;
    engine
        .until(&format!("SELECT count(*) FROM contacts WHERE subject = '{subject}' AND phone = '555'"), 1)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_runs_the_failed_step_and_those_after_it_and_no_other_and_happens_once() -> anyhow::Result<()>
{
    let engine = Engine::start(1).await?;
    engine.apply(phone_notes()).await?;
    engine.publish(vec![form("1", "ada"), form("2", "bob"), form("3", "eve")]).await?;
    engine.until("SELECT count(*) FROM dead_letters", 3).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished WHERE status = 'failed'").await?, 3);

    let letters = json_of(&call(&engine, &["dead", "list", "--contact", "ada", "--json"]));
    let letter = &letters["data"][0];
    let (id, run) = (letter["id"].as_str().unwrap(), letter["run"].as_str().unwrap());
    assert_eq!((&letter["node"], &letter["action"]), (&json!("call"), &json!("add_note")));
    assert_eq!((&letter["code"], &letter["event"]["id"]), (&json!("invalid_config"), &json!("1")));
    let groups = json_of(&call(&engine, &["dead", "list", "--group", "--json"]));
    let group = &groups["data"][0];
    assert_eq!((&group["count"], groups["data"].as_array().unwrap().len()), (&json!(3), 1));
    assert_eq!((&group["state"], &group["owner"]), (&json!("open"), &Value::Null));
    let signature = group["signature"].as_str().unwrap();
    let changed = ["dead", "group", signature, "--owner", "bob", "--note", "phones are missing", "--json"];
    let changed = json_of(&call(&engine, &changed));
    assert_eq!((&changed["owner"], &changed["note"]), (&json!("bob"), &json!("phones are missing")));
    let shown = String::from_utf8(call(&engine, &["dead", "group", signature]).stdout)?;
    assert!(shown.contains("is open: 3 of 3 letters") && shown.contains("owner bob"), "{shown}");
    fails(&call(&engine, &["dead", "group", "0123456789abcdef", "--owner", "bob"]), 3, "no dead letter has");
    assert!(
        String::from_utf8(call(&engine, &["dead", "show", id]).stdout)?.contains("at node call (add_note)")
    );

    learn_phone(&engine, "ada").await?;
    let dry = json_of(&call(&engine, &["dead", "replay", id, "--dry-run", "--json"]));
    assert_eq!(dry["data"][0]["result"], "would be replayed");
    assert_eq!(engine.count("SELECT count(*) FROM audit_links").await?, 1, "who looks after the group");

    // Of many at once one wins.
    let calls: Vec<Output> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| call(&engine, &["dead", "replay", id, "--reason", "phone is known"])))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let codes: Vec<_> = calls.iter().map(|output| output.status.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    engine
        .until(
            &format!("SELECT count(*) FROM runs_finished WHERE run_id = '{run}' AND status = 'completed'"),
            1,
        )
        .await?;
    let notes = async |body: &str| {
        engine.count(&format!("SELECT count(*) FROM notes WHERE run_id = '{run}' AND body = '{body}'")).await
    };
    assert_eq!((notes("before").await?, notes("555").await?, notes("after").await?), (1, 1, 1));
    let replayed = call(&engine, &["dead", "replay", id]);
    fails(&replayed, 1, "dead_letter_not_open");
    assert_eq!(
        engine.count("SELECT count(*) FROM audit_links WHERE action = 'dead_letter.replay'").await?,
        1
    );
    let story = String::from_utf8(call(&engine, &["run", "explain", run]).stdout)?;
    assert!(story.contains("replay") && story.contains("completed at"), "{story}");
    let shown = json_of(&call(&engine, &["dead", "show", id, "--json"]));
    assert_eq!(
        (&shown["status"], &shown["changed_by"], &shown["note"]),
        (&json!("replayed"), &json!("ada"), &json!("phone is known"))
    );

    // The others fail again: the same runs, new letters, and the old ones stay as they were.
    fails(&call(&engine, &["dead", "replay", "--all"]), 2, "replay 2");
    assert!(call(&engine, &["dead", "replay", "--all", "--yes"]).status.success());
    engine.until("SELECT count(*) FROM dead_letters WHERE status = 'open'", 2).await?;
    engine.until("SELECT count(*) FROM dead_letters WHERE status = 'replayed'", 3).await?;
    assert_eq!(engine.count("SELECT count(DISTINCT run_id) FROM dead_letters").await?, 3);
    let back = json_of(&call(&engine, &["dead", "list", "--group", "--json"]));
    assert_eq!((&back["data"][0]["state"], &back["data"][0]["owner"]), (&json!("returned"), &json!("bob")));
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'before'").await?, 3);
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_has_to_be_confirmed_and_is_audited() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(phone_notes()).await?;
    engine.publish(vec![form("1", "ada")]).await?;
    engine.until("SELECT count(*) FROM dead_letters", 1).await?;
    for arguments in [["--new-key", "--yes"].as_slice(), &["--new-key", "--reason", "lost"]] {
        fails(
            &call(&engine, &[["dead", "replay", "--all"].as_slice(), arguments].concat()),
            2,
            "under a new key",
        );
    }
    learn_phone(&engine, "ada").await?;
    let all = ["dead", "replay", "--all", "--new-key", "--yes", "--reason", "the first one got lost"];
    assert!(call(&engine, &all).status.success());
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    let audited = json_of(&call(&engine, &["audit", "list", "--json"]));
    let entry = &audited["data"][0];
    assert_eq!((&entry["actor"], &entry["action"]), (&json!("ada"), &json!("dead_letter.replay")));
    assert_eq!(
        (&entry["detail"]["key"], &entry["detail"]["note"]),
        (&json!("new"), &json!("the first one got lost"))
    );
    assert!(call(&engine, &["audit", "verify"]).status.success());
    engine
        .database
        .execute("SET session_replication_role = replica; UPDATE audit_words SET detail = replace(detail, 'new', 'same')")
        .await?;
    fails(&call(&engine, &["audit", "verify"]), 1, "the words of entry 1 were changed");
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_with_the_current_version_where_that_has_the_failed_step() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(phone_notes()).await?;
    engine.publish(vec![form("1", "ada"), form("2", "bob")]).await?;
    engine.until("SELECT count(*) FROM dead_letters", 2).await?;
    let letter = async |subject: &str| {
        let letters = json_of(&call(&engine, &["dead", "list", "--contact", subject, "--json"]));
        letters["data"][0]["id"].as_str().unwrap().to_owned()
    };
    let (ada, bob) = (letter("ada").await, letter("bob").await);
    // A version in which the step is another one, then one that mends it.
    let mut other = phone_notes();
    other["nodes"][1] = json!({ "id": "call", "action": "add_tag", "with": { "tag": "called" } });
    engine.apply(other).await?;
    let refused = call(&engine, &["dead", "replay", &ada, "--current-version"]);
    fails(&refused, 1, "no node call with the action add_note [not_in_current_version]");
    let dry = json_of(&call(&engine, &["dead", "replay", &ada, "--current-version", "--dry-run", "--json"]));
    assert_eq!(dry["data"][0]["code"], "not_in_current_version");
    let mut mended = phone_notes();
    mended["nodes"][1]["with"]["text"] = json!("no phone needed");
    mended["nodes"][2]["with"]["text"] = json!("mended");
    engine.apply(mended).await?;
    assert!(call(&engine, &["dead", "replay", &ada, "--current-version"]).status.success());
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    let done = "SELECT count(*) FROM runs_finished r JOIN workflow_versions v USING (version_id)
                 WHERE r.status = 'completed' AND v.number = 3";
    assert_eq!(engine.count(done).await?, 1, "the run is pinned to the version that it went on with");
    assert_eq!(
        engine.count("SELECT count(*) FROM notes WHERE body IN ('no phone needed', 'mended')").await?,
        2
    );
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'before'").await?, 2, "and not again");
    let audited = json_of(&call(&engine, &["audit", "list", "--json"]));
    assert_eq!(audited["data"][0]["detail"]["version"], 3);
    // Without the option the run stays with the version it knows, and fails again.
    assert!(call(&engine, &["dead", "replay", &bob]).status.success());
    engine.until("SELECT count(*) FROM dead_letters WHERE status = 'open'", 1).await?;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_follows_only_when_the_first_three_got_past_the_failed_step() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    let mut workflow = phone_notes();
    // What comes after the step takes its time, and is not waited for.
    workflow["nodes"][2] = json!({ "id": "after", "action": "delay", "with": { "for": "1h" } });
    engine.apply(workflow).await?;
    let subjects = ["a", "b", "c", "d", "e"];
    engine.publish(subjects.iter().map(|subject| form(subject, subject)).collect()).await?;
    engine.until("SELECT count(*) FROM dead_letters", 5).await?;
    let all = ["dead", "replay", "--all", "--yes", "--canary", "--canary-wait", "30"];
    fails(&call(&engine, &all), 1, "of the first 3 failed again, so the rest was left alone");
    let replayed = "SELECT count(*) FROM dead_letters WHERE status = 'replayed'";
    assert_eq!(engine.count(replayed).await?, 3);
    engine.until("SELECT count(*) FROM dead_letters WHERE status = 'open'", 5).await?;
    for subject in subjects {
        learn_phone(&engine, subject).await?;
    }
    let done = call(&engine, &all);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stderr).contains("the first 3 got past"));
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 5).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = '555'").await?, 5);
    engine.stop().await
}
