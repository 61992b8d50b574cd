//! What the engine sends outside, as a server sees it, and what becomes of the runs.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;
mod recorder;

use automation_domain::credential::{AllowedHost, Scheme, Terms};
use automation_domain::id::CredentialId;
use automation_domain::interpreter::ReplayKey;
use automation_domain::outbound::{AllowList, Outbound};
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use automation_service_kit::config::Secret;
use automation_store::access::credentials::{self, Setting, StoredSecret};
use automation_store::dead_letters::{self, DeadLetter, DeadLetterFilter, ReplayVersion, Replayed};
use automation_store::runs::effects::{self, EffectStatus};
use automation_store::runs::hold;
use automation_store::runs::lists::{self, RunFilter};
use automation_store::{Scope, workflows};
use automation_test_support::builders;
use automation_vault::{KeyRing, Place};
use engine::{Engine, event};
use recorder::{Arrival, Recorder, Reply};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

const COMPLETED: &str = "SELECT count(*) FROM runs_finished WHERE status = 'completed'";
const FAILED: &str = "SELECT count(*) FROM runs_finished WHERE status = 'failed'";
const DEAD: &str = "SELECT count(*) FROM dead_letters";

/// An engine with these rungs that may call this server.
async fn engine(rungs: &str, recorder: &Recorder) -> anyhow::Result<Engine> {
    engine_with(rungs, recorder, Requests::default()).await
}

async fn engine_with(rungs: &str, recorder: &Recorder, requests: Requests) -> anyhow::Result<Engine> {
    let entry = recorder.authority().parse().map_err(anyhow::Error::msg)?;
    let allow = AllowList::new(vec![entry]);
    let requests = Requests { outbound: Outbound { allow, ..Outbound::default() }, ..requests };
    let mut engine = Engine::prepare(Ladder { rungs: rungs.parse()?, ..Ladder::default() }, requests).await?;
    engine.start_roles();
    Ok(engine)
}

/// A workflow that calls a URL and notes what came of it; `keys` are the node's own.
fn call(url: &str, keys: Value) -> Value {
    let mut node = json!({
        "id": "call", "action": "http_request",
        "with": {
            "method": "POST", "url": url, "body": { "json": { "id": "{{ event.id }}", "text": "ü" } },
            "save": { "answer": "body.ok" },
        },
    });
    for (key, value) in keys.as_object().into_iter().flatten() {
        node[key] = value.clone();
    }
    let (mut nodes, mut edges) = (vec![node], vec![json!(["form", "call"]), json!(["call", "note"])]);
    nodes.push(
        json!({ "id": "note", "action": "add_note", "with": { "text": "Answered: {{ vars.answer }}" } }),
    );
    if keys["on_error"] == "sorry" {
        let text = "{{ steps.call.error.code }}";
        nodes.push(json!({ "id": "sorry", "action": "add_note", "with": { "text": text } }));
        edges.push(json!(["sorry", "end"]));
        nodes.push(json!({ "id": "end", "action": "stop_workflow" }));
    }
    json!({
        "apiVersion": "automation/v1", "key": "call", "nodes": nodes, "edges": edges,
        "triggers": [{ "id": "form", "event": "form.submitted" }],
    })
}

fn forms(count: usize) -> Vec<Value> {
    (0..count).map(|number| event("form.submitted", &number.to_string(), "ada", json!({}))).collect()
}

async fn letters(engine: &Engine) -> anyhow::Result<Vec<DeadLetter>> {
    let (tenant, filter) = (engine.tenant, DeadLetterFilter::default());
    Ok(engine
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            dead_letters::list(connection, tenant, &filter, None, 100).await
        })
        .await?)
}

async fn status_of(engine: &Engine, letter: &DeadLetter) -> anyhow::Result<EffectStatus> {
    let effects = engine
        .api
        .tx(Scope::Tenant(engine.tenant), async |connection| {
            effects::of_run(connection, engine.tenant, letter.run_id).await
        })
        .await?;
    Ok(effects[0].status)
}

fn is_same(arrivals: &[Arrival]) -> bool {
    arrivals
        .iter()
        .all(|one| !one.key.is_empty() && (&one.key, &one.body) == (&arrivals[0].key, &arrivals[0].body))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_try_has_the_same_key_and_bytes_and_the_answer_is_mapped() -> anyhow::Result<()> {
    let recorder =
        Recorder::start(|_, number| if number < 3 { Reply::Status(503) } else { Reply::Status(200) }).await?;
    let engine = engine("300ms,600ms,900ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({}))).await?;
    engine.publish(forms(3)).await?;
    engine.until(COMPLETED, 3).await?;
    let by_key = recorder.by_key();
    assert_eq!(by_key.len(), 3, "a key for each run");
    for arrivals in by_key.values() {
        assert_eq!(arrivals.len(), 3);
        assert!(is_same(arrivals), "{arrivals:?}");
        assert!(arrivals.iter().all(|one| one.traceparent.is_empty()), "no trace without an exporter");
        for (pair, rung) in arrivals.windows(2).zip([300, 600]) {
            let waited = pair[1].at - pair[0].at;
            assert!(waited >= Duration::from_millis(rung), "{waited:?} after a rung of {rung} ms");
        }
    }
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'Answered: true'").await?, 3);
    assert_eq!(engine.count("SELECT count(*) FROM effects WHERE status = 'done' AND attempts = 3").await?, 3);
    assert_eq!(engine.count("SELECT sum(cardinality(tries)) FROM effects").await?, 9);
    assert_eq!(engine.count("SELECT count(*) FROM wakeups").await?, 0);
    assert_eq!(engine.count(DEAD).await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_and_uses_up_no_attempt() -> anyhow::Result<()> {
    let recorder =
        Recorder::start(|_, number| if number <= 2 { Reply::Later(1) } else { Reply::Status(500) }).await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({}))).await?;
    engine.publish(forms(1)).await?;
    engine.until(FAILED, 1).await?;
    let letter = letters(&engine).await?.remove(0);
    let codes: Vec<&str> = letter.attempts.iter().map(|attempt| attempt.code.as_str()).collect();
    assert_eq!(
        codes,
        ["http_429", "http_429", "http_500", "http_500"],
        "two were put off, two were attempts"
    );
    let arrivals = recorder.by_key().into_values().next().unwrap();
    assert!(is_same(&arrivals) && arrivals.len() == 4);
    for pair in arrivals[..3].windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_secs(1));
    }
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_heal_is_sent_once_and_goes_to_the_dead_letters_or_the_error_branch() -> anyhow::Result<()>
{
    let recorder = Recorder::start(|_, _| Reply::Status(404)).await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/dead"), json!({}))).await?;
    engine.publish(forms(1)).await?;
    engine.until(FAILED, 1).await?;
    let letter = letters(&engine).await?.remove(0);
    assert_eq!((letter.code.as_str(), letter.attempts.len()), ("http_404", 1));
    assert_eq!((letter.node.as_deref(), letter.action.as_deref()), (Some("call"), Some("http_request")));
    let (request, response) = (letter.request.as_ref().unwrap(), letter.response.as_ref().unwrap());
    assert_eq!((&request["method"], &response["status"]), (&json!("POST"), &json!(404)));
    assert_eq!(status_of(&engine, &letter).await?, EffectStatus::Failed);

    engine.apply(call(&recorder.url("/branch"), json!({ "on_error": "sorry" }))).await?;
    engine.publish(vec![event("form.submitted", "b", "ada", json!({}))]).await?;
    engine.until(COMPLETED, 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'http_404'").await?, 1);
    assert_eq!((recorder.count(), engine.count(DEAD).await?), (2, 1));
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_once_is_never_sent_twice_where_it_may_have_arrived() -> anyhow::Result<()> {
    let recorder = Recorder::start(|arrival, _| match arrival.path.as_str() {
        "/hangs" => Reply::Never,
        _ => Reply::Status(500),
    })
    .await?;
    let engine = engine("200ms", &recorder).await?;
    let once = json!({ "delivery": "at_most_once", "timeout": "1s" });
    for path in ["/hangs", "/fails"] {
        engine.apply(call(&recorder.url(path), once.clone())).await?;
        let before = engine.count(FAILED).await?;
        engine.publish(vec![event("form.submitted", path, "ada", json!({}))]).await?;
        engine.until(FAILED, before + 1).await?;
    }
    assert_eq!(recorder.count(), 2);
    for letter in letters(&engine).await? {
        assert_eq!((letter.code.as_str(), letter.attempts.len()), ("outcome_unknown", 1));
        assert_eq!(status_of(&engine, &letter).await?, EffectStatus::Unknown);
    }
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_once_is_tried_again_where_it_certainly_did_not_arrive() -> anyhow::Result<()> {
    let recorder = Recorder::start(|_, _| Reply::Status(200)).await?;
    let engine = engine("200ms,200ms", &recorder).await?;
    let url = recorder.url("/");
    drop(recorder);
    engine.apply(call(&url, json!({ "delivery": "at_most_once" }))).await?;
    engine.publish(forms(1)).await?;
    engine.until(FAILED, 1).await?;
    let letter = letters(&engine).await?.remove(0);
    let codes: Vec<&str> = letter.attempts.iter().map(|attempt| attempt.code.as_str()).collect();
    assert_eq!(codes, ["connect_failed"; 3]);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_sent_once_at_most_by_a_vanished_worker_is_unknown() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let recorder = Recorder::start(move |_, _| Reply::Behind(behind.clone(), 200)).await?;
    let mut engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({ "delivery": "at_most_once", "timeout": "1m" }))).await?;
    engine.publish(forms(1)).await?;
    engine.until("SELECT count(*) FROM effects WHERE status = 'started'", 1).await?;
    // As if the worker that sends were gone: nobody renews its claim, and nothing it says counts.
    engine
        .database
        .execute("UPDATE runs_open SET epoch = epoch + 1, lease_until = now() - interval '1 second'; UPDATE wakeups SET due_at = now()")
        .await?;
    engine.until(FAILED, 1).await?;
    gate.add_permits(2);
    engine.drain().await?;
    let letter = letters(&engine).await?.remove(0);
    assert_eq!((letter.code.as_str(), recorder.count()), ("outcome_unknown", 1));
    assert_eq!(status_of(&engine, &letter).await?, EffectStatus::Unknown);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_longer_than_the_lease_keeps_its_claim() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let recorder = Recorder::start(move |_, _| Reply::Behind(behind.clone(), 200)).await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({ "timeout": "1m" }))).await?;
    engine.publish(forms(3)).await?;
    let sending = "SELECT count(*) FROM runs_open WHERE lease_until - received_at";
    engine.until(&format!("{sending} > interval '1 second'"), 3).await?;
    // Three leases later they are still held, under the epoch they were sent with.
    engine.until(&format!("{sending} > interval '8 seconds' AND epoch = 2"), 3).await?;
    assert_eq!(recorder.count(), 3);
    gate.add_permits(3);
    engine.until(COMPLETED, 3).await?;
    assert_eq!(recorder.count(), 3);
    engine.stop().await
}

/// What no table may hold.
const CANARY: &str = "canary-3f9a61c2d0";

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_reaches_its_host_and_stays_out_of_everything_that_is_kept() -> anyhow::Result<()> {
    // A careless server: it says back what it was sent.
    let recorder =
        Recorder::start(|arrival, _| Reply::Text(500, format!("refused: {}", arrival.authorization))).await?;
    let keys = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let requests = Requests { encryption_keys: Some(Secret::new(keys)), ..Requests::default() };
    let engine = engine_with("200ms", &recorder, requests).await?;
    set_credential(&engine, keys, &format!("http://{}", recorder.authority())).await?;
    let mut workflow = call(&recorder.url("/a"), json!({}));
    workflow["nodes"][0]["with"]["credential"] = json!("crm");
    engine.apply(workflow).await?;
    engine.publish(forms(1)).await?;
    engine.until(DEAD, 1).await?;
    let arrivals = recorder.by_key().into_values().next().unwrap();
    assert_eq!(
        arrivals.iter().map(|one| one.authorization.as_str()).collect::<Vec<_>>(),
        vec![format!("Bearer {CANARY}"); 2]
    );
    let kept = "SELECT count(*) FROM (
            SELECT convert_from(request, 'UTF8') || convert_from(response, 'UTF8')
                   || (SELECT string_agg(convert_from(t, 'UTF8'), '') FROM unnest(tries) t) AS text FROM effects
            UNION ALL SELECT convert_from(steps, 'UTF8') FROM workflow_run_logs
            UNION ALL SELECT convert_from(state, 'UTF8') FROM runs_finished
            UNION ALL SELECT d::text FROM dead_letters d
            UNION ALL SELECT c::text FROM credentials c) all_text
          WHERE text LIKE";
    assert_eq!(engine.count(&format!("{kept} '%{CANARY}%'")).await?, 0);
    // The same question finds what is there.
    assert_eq!(engine.count(&format!("{kept} '%refused: %'")).await?, 2, "the effect and the dead letter");
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_terms_were_changed_without_it_is_sent_nowhere() -> anyhow::Result<()> {
    let recorder = Recorder::start(|_, _| Reply::Status(200)).await?;
    let keys = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let requests = Requests { encryption_keys: Some(Secret::new(keys)), ..Requests::default() };
    let engine = engine_with("200ms", &recorder, requests).await?;
    let mut workflow = call(&recorder.url("/a"), json!({}));
    workflow["nodes"][0]["with"]["credential"] = json!("crm");
    engine.apply(workflow).await?;
    set_credential(&engine, keys, "http://harmless.example:80").await?;
    // As the owner of the database can, and nobody below it.
    engine
        .database
        .execute(&format!(
            "ALTER TABLE credentials DISABLE TRIGGER terms;
             UPDATE credentials SET allowed_hosts = array_append(allowed_hosts, 'http://{}')",
            recorder.authority()
        ))
        .await?;
    engine.publish(forms(1)).await?;
    engine.until(DEAD, 1).await?;
    assert_eq!(
        engine.count("SELECT count(*) FROM dead_letters WHERE code = 'credential_tampered'").await?,
        1
    );
    assert_eq!(recorder.count(), 0);
    engine.stop().await
}

async fn set_credential(engine: &Engine, keys: &str, host: &str) -> anyhow::Result<()> {
    let (tenant_id, credential_id) = (engine.tenant, CredentialId(Uuid::new_v4()));
    let hosts: [AllowedHost; 1] = [host.parse().map_err(anyhow::Error::msg)?];
    let (terms, field) = (Terms::of_credential(&Scheme::Bearer, &hosts), credentials::SECRET_FIELD);
    let place = Place { tenant: tenant_id, credential: credential_id, field, terms };
    let sealed = KeyRing::parse(keys)?.seal(place, CANARY.as_bytes())?;
    let secret = StoredSecret {
        key_id: sealed.key_id,
        wrapped_key: sealed.wrapped_key,
        ciphertext: sealed.ciphertext,
    };
    let (key, scheme, allowed_hosts) = ("crm", &Scheme::Bearer, &hosts);
    let setting = Setting { tenant_id, credential_id, key, scheme, allowed_hosts, secret: &secret };
    engine
        .api
        .tx(Scope::Tenant(tenant_id), async |connection| credentials::set(connection, &setting).await)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_drains_waits_for_what_is_on_its_way() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let recorder = Recorder::start(move |_, _| Reply::Behind(behind.clone(), 200)).await?;
    let mut engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({ "timeout": "1m", "delivery": "at_most_once" }))).await?;
    engine.publish(forms(2)).await?;
    engine.until("SELECT count(*) FROM effects WHERE status = 'started'", 2).await?;
    recorder.until(2).await;
    // The answers come while it drains.
    let (drained, ()) = tokio::join!(engine.drain(), async { gate.add_permits(2) });
    drained?;
    assert_eq!(engine.count(COMPLETED).await?, 2);
    assert_eq!((engine.count("SELECT count(*) FROM notes").await?, recorder.count()), (2, 2));
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_back_while_a_process_drains_is_sent_again_by_another() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let recorder = Recorder::start(move |_, number| match number {
        1 => Reply::Never,
        _ => Reply::Behind(behind.clone(), 200),
    })
    .await?;
    let mut engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({ "timeout": "1m" }))).await?;
    engine.publish(forms(2)).await?;
    engine.until("SELECT count(*) FROM effects WHERE status = 'started'", 2).await?;
    recorder.until(2).await;
    engine.drain().await?;
    engine.start_roles();
    gate.add_permits(2);
    engine.until(COMPLETED, 2).await?;
    for arrivals in recorder.by_key().values() {
        assert_eq!(arrivals.len(), 2);
        assert!(is_same(arrivals), "{arrivals:?}");
    }
    let attempts = "SELECT count(*) FROM effects WHERE attempts = 1 AND cardinality(tries) = 1";
    assert_eq!(engine.count(attempts).await?, 2, "the end of a worker is no attempt");
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_holds_up_no_other() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let slow = Recorder::start(move |_, _| Reply::Behind(behind.clone(), 200)).await?;
    let fast = Recorder::start(|_, _| Reply::Status(200)).await?;
    let allow = [slow.authority(), fast.authority()].map(|entry| entry.parse().unwrap());
    let outbound = Outbound { allow: AllowList::new(allow.to_vec()), ..Outbound::default() };
    let requests = Requests { at_once: 20, per_host: 4, outbound, ..Requests::default() };
    let mut engine = Engine::prepare(Ladder::default(), requests).await?;
    engine.start_roles();
    let mut workflow = call("{{ event.data.url }}", json!({ "timeout": "1m" }));
    workflow["nodes"][0]["with"]["body"] = json!({ "text": "x" });
    engine.apply(workflow).await?;
    let events = |kind: &str, url: String, count: usize| -> Vec<Value> {
        (0..count)
            .map(|number| event("form.submitted", &format!("{kind}{number}"), kind, json!({ "url": url })))
            .collect()
    };
    engine.publish(events("slow", slow.url("/"), 30)).await?;
    // Half of the host's four: the other half is for other tenants.
    engine.until("SELECT count(*) FROM effects WHERE status = 'started'", 2).await?;
    engine.until("SELECT count(*) FROM effects WHERE status = 'pending'", 28).await?;
    engine.publish(events("fast", fast.url("/"), 30)).await?;
    engine.until(COMPLETED, 30).await?;
    assert_eq!((slow.count(), fast.count()), (2, 30));
    gate.add_permits(1_000);
    engine.until(COMPLETED, 60).await?;
    assert_eq!((slow.count(), slow.by_key().len()), (30, 30), "waiting for room sends nothing twice");
    assert_eq!(engine.count("SELECT count(*) FROM effects WHERE attempts = 1").await?, 60);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_keeps_what_comes_back_and_begins_nothing() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let recorder = Recorder::start(move |_, _| Reply::Behind(behind.clone(), 200)).await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({ "timeout": "1m" }))).await?;
    engine.publish(forms(2)).await?;
    engine.until("SELECT count(*) FROM effects WHERE status = 'started'", 2).await?;
    set_state(&engine, "paused").await?;
    gate.add_permits(2);
    engine.until("SELECT count(*) FROM effects WHERE status = 'done'", 2).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'paused'", 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 0);
    set_state(&engine, "active").await?;
    engine.until(COMPLETED, 2).await?;
    assert_eq!((engine.count("SELECT count(*) FROM notes").await?, recorder.count()), (2, 2));
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_paused_keeps_what_comes_back_and_begins_nothing_and_others_go_on() -> anyhow::Result<()>
{
    let gate = Arc::new(Semaphore::new(0));
    let behind = gate.clone();
    let recorder = Recorder::start(move |_, _| Reply::Behind(behind.clone(), 200)).await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({ "timeout": "1m" }))).await?;
    engine.publish(forms(2)).await?;
    engine.until("SELECT count(*) FROM effects WHERE status = 'started'", 2).await?;
    let tenant = engine.tenant;
    let run = engine
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            let open = lists::open(connection, tenant, &RunFilter::default(), None, 10).await?;
            hold::pause(connection, (tenant, open[0].run_id), builders::ada(), "wait").await?;
            Ok::<_, automation_store::Error>(open[0].run_id)
        })
        .await?;
    gate.add_permits(2);
    engine.until("SELECT count(*) FROM effects WHERE status = 'done'", 2).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'paused'", 1).await?;
    engine.until(COMPLETED, 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 1);
    engine
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            hold::resume(connection, (tenant, run), builders::ada(), "go on").await
        })
        .await?;
    engine.until(COMPLETED, 2).await?;
    assert_eq!((engine.count("SELECT count(*) FROM notes").await?, recorder.count()), (2, 2));
    engine.stop().await
}

async fn set_state(engine: &Engine, state: &str) -> anyhow::Result<()> {
    let tenant = engine.tenant;
    engine
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            let workflow = workflows::by_key(connection, tenant, "call").await?.expect("it was applied");
            workflows::set_state(connection, tenant, workflow.workflow_id, state).await?;
            workflows::release_held(connection, tenant, workflow.workflow_id, None, 1_000).await
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_the_same_again_and_a_new_key_something_else() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let opened = gate.clone();
    let recorder = Recorder::start(move |_, _| match opened.available_permits() {
        0 => Reply::Status(500),
        _ => Reply::Status(200),
    })
    .await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/a"), json!({}))).await?;
    engine.publish(forms(2)).await?;
    engine.until(DEAD, 2).await?;
    let arrivals = recorder.by_key();
    assert!(arrivals.len() == 2 && arrivals.values().all(|arrivals| arrivals.len() == 2));
    gate.add_permits(1);
    let letters = letters(&engine).await?;
    for (letter, key) in letters.iter().zip([ReplayKey::Same, ReplayKey::New]) {
        assert!(matches!(replay(&engine, letter, key).await?, Replayed::Now { .. }));
    }
    engine.until(COMPLETED, 2).await?;
    let mut counts: Vec<usize> = recorder.by_key().values().map(Vec::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3], "one with a key of its own, one given up, one under its key again");
    let three = recorder.by_key().into_values().find(|arrivals| arrivals.len() == 3).unwrap();
    assert!(is_same(&three));
    engine.stop().await
}

async fn replay(engine: &Engine, letter: &DeadLetter, key: ReplayKey) -> anyhow::Result<Replayed> {
    let replay = dead_letters::Replay {
        key,
        version: ReplayVersion::Pinned,
        edited: None,
        who: builders::ada(),
        note: None,
        look_again: Duration::from_millis(100),
    };
    Ok(engine
        .api
        .tx(Scope::Tenant(engine.tenant), async |connection| {
            dead_letters::replay(connection, engine.tenant, letter.dead_letter_id, replay).await
        })
        .await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_rendered_is_a_dead_letter_without_one() -> anyhow::Result<()> {
    let recorder = Recorder::start(|_, _| Reply::Status(200)).await?;
    let engine = engine("200ms", &recorder).await?;
    let mut workflow = call(&recorder.url("/a"), json!({}));
    workflow["nodes"][0]["with"]["url"] = json!("{{ steps.call.output.nothing }}");
    engine.apply(workflow).await?;
    engine.publish(forms(1)).await?;
    engine.until(FAILED, 1).await?;
    let letter = letters(&engine).await?.remove(0);
    assert_eq!((letter.code.as_str(), letter.attempts.len(), recorder.count()), ("invalid_config", 1, 0));
    assert_eq!(letter.request, None, "nothing was stored");
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_request_is_sent_under_a_new_key_and_both_are_kept() -> anyhow::Result<()> {
    let recorder =
        Recorder::start(|arrival, _| Reply::Status(if arrival.path == "/right" { 200 } else { 422 })).await?;
    let engine = engine("200ms", &recorder).await?;
    engine.apply(call(&recorder.url("/wrong"), json!({}))).await?;
    engine.publish(forms(1)).await?;
    engine.until(DEAD, 1).await?;
    let letter = letters(&engine).await?.remove(0);
    let id = letter.dead_letter_id.to_string();
    let cli = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_automation"))
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL", engine.database.url())
            .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
            .env("AMQP_URL", engine.vhost.amqp_url())
            .env("AUTOMATION_TENANT", "acme")
            .env("USER", "ada")
            .output()
    };
    let mut request: Value = serde_json::from_slice(&cli(&["dead", "show", &id, "--request"])?.stdout)?;
    let file = std::env::temp_dir().join(format!("{}.request", engine.database.name()));
    let path = file.to_str().unwrap();
    let edit = ["dead", "replay", &id, "--edit", path, "--new-key", "--yes", "--reason", "wrong path"];
    for (member, value, problem) in [
        ("url", json!("ftp://example.com/"), "url"),
        ("headers", json!([["Authorization", "Bearer x"]]), "carries a secret"),
        ("method", json!("TRACE"), "none of"),
    ] {
        let mut bad = request.clone();
        bad[member] = value;
        std::fs::write(&file, bad.to_string())?;
        for arguments in [edit.to_vec(), [&edit[..], &["--dry-run"]].concat()] {
            let refused = cli(&arguments)?;
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(refused.status.code() == Some(2) && said.contains(problem), "{said}");
        }
    }
    request["url"] = json!(recorder.url("/right"));
    request["body"] = json!("{\"id\": \"mended\"}");
    std::fs::write(&file, request.to_string())?;
    assert_eq!(cli(&edit[..5])?.status.code(), Some(2), "the same key would mean two requests");
    let dry = cli(&[&edit[..], &["--dry-run"]].concat())?;
    assert!(String::from_utf8_lossy(&dry.stdout).contains("would be replayed"), "{dry:?}");
    assert_eq!(engine.count(COMPLETED).await?, 0);
    let done = cli(&edit)?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::remove_file(&file)?;
    engine.until(COMPLETED, 1).await?;
    let arrivals: Vec<Arrival> = recorder.by_key().into_values().flatten().collect();
    let right = arrivals.iter().find(|arrival| arrival.path == "/right").unwrap();
    let wrong = arrivals.iter().find(|arrival| arrival.path == "/wrong").unwrap();
    assert!(arrivals.len() == 2 && right.key != wrong.key && !right.key.is_empty(), "{arrivals:?}");
    assert_eq!(right.body, b"{\"id\": \"mended\"}");
    let kept = "SELECT count(*) FROM effects WHERE (visit, status) IN ((1, 'failed'), (2, 'done'))";
    assert_eq!(engine.count(kept).await?, 2);
    let audited =
        "SELECT count(*) FROM audit_words WHERE detail LIKE '%\"edited\":{%' AND detail LIKE '%\"visit\":2%'";
    assert_eq!(engine.count(audited).await?, 1);
    engine.stop().await
}
