//! Webhooks: what a caller that knows the secret says becomes an event once; anybody else learns nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "what other tests need of the door")]
mod door;
#[expect(dead_code, reason = "what publishes over AMQP is for other tests")]
mod engine;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use door::{Answer, Door, KEYS, send};
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, Instant, SystemTime};

const BODY: &str = r#"{ "type": "invoice.paid", "total": 120.50 }"#;

/// A webhook as another system knows it.
#[derive(Clone)]
struct Hook {
    url: String,
    secret: String,
}

fn create(door: &Door, name: &str, more: &[&str]) -> anyhow::Result<Hook> {
    let arguments = [&["hook", "create", name], more].concat();
    let made = door.cli(&arguments, &[("AUTOMATION_DOOR_KEYS", KEYS)])?;
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    Ok(Hook { url: format!("{}{}", door.url, text("path")), secret: text("secret") })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn call(door: &Door, url: &str, id: &str, timestamp: i64, signature: &str, body: &str) -> RequestBuilder {
    door.http
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .body(body.to_owned())
}

/// A call as the system that knows the secret makes it.
fn signed(door: &Door, hook: &Hook, id: &str, body: &str) -> RequestBuilder {
    let at = now();
    call(door, &hook.url, id, at, &signature(&hook.secret, id, at, body), body)
}

/// A secret that is over is believed for some seconds after it was seen to be good.
async fn until_refused(door: &Door, hook: &Hook) -> anyhow::Result<()> {
    let begun = Instant::now();
    while send(signed(door, hook, "late", BODY)).await?.status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(20), "a secret that is over is still good");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn note_payments() -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "payments", "name": "Payments",
        "triggers": [{
            "id": "call", "event": "webhook.received",
            "where": { "field": "event.data.body.type", "op": "equals", "value": "invoice.paid" },
        }],
        "nodes": [{ "id": "task", "action": "create_task", "with": { "title": "Paid {{ event.data.body.total }}" } }],
        "edges": [["call", "task"]],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_call_replayed_a_thousand_times_at_once_makes_one_run() -> anyhow::Result<()> {
    let roomy =
        |config| automation_door::Config { requests: 2_000, per_peer: 2_000, per_tenant: 2_000, ..config };
    let door = Door::open_with(roomy).await?;
    door.engine.apply(note_payments()).await?;
    let hook = create(&door, "billing", &["--header", "X-Topic"])?;
    let at = now();
    let signature = signature(&hook.secret, "msg_1", at, BODY);
    let replays = (0..1_000).map(|_| {
        let request = call(&door, &hook.url, "msg_1", at, &signature, BODY).header("x-topic", "billing");
        async { send(request).await.unwrap() }
    });
    let answers: Vec<Answer> = futures_util::stream::iter(replays).buffer_unordered(1_000).collect().await;
    let other: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 202).collect();
    assert!(other.is_empty(), "{} of {}: {:?}", other.len(), answers.len(), other[0]);
    let engine = &door.engine;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    // A call of its own behind them: once it is through, so are they.
    assert_eq!(send(signed(&door, &hook, "msg_2", "{}")).await?.status, 202);
    let calls = "SELECT count(*) FROM events WHERE event_type = 'webhook.received'";
    engine.until(calls, 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM tasks WHERE title = 'Paid 120.5'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    let kept = "SELECT count(*) FROM events WHERE event_type = 'webhook.received' AND data->'headers' =
                '{\"content-type\": \"application/json\", \"x-topic\": \"billing\"}' AND data->>'name' = 'billing'";
    assert_eq!(engine.count(kept).await?, 1);
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_prove_who_it_is_learns_nothing() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let (hook, other) = (create(&door, "billing", &[])?, create(&door, "shop", &[])?);
    let gone = create(&door, "gone", &[])?;
    let token = create(&door, "legacy", &["--verification", "token"])?;
    door.cli(&["hook", "delete", "gone"], &[])?;
    let at = now();
    let good = |id: &str, at: i64, body: &str| signature(&hook.secret, id, at, body);
    let unknown = format!("{}/v1/hooks/hk_{}", door.url, "A".repeat(32));
    let requests = [
        call(&door, &hook.url, "1", at, &signature(&other.secret, "1", at, BODY), BODY),
        call(&door, &hook.url, "1", at, &good("2", at, BODY), BODY),
        call(&door, &hook.url, "1", at, &good("1", at + 1, BODY), BODY),
        call(&door, &hook.url, "1", at, &good("1", at, "{}"), BODY),
        call(&door, &hook.url, "1", at - 400, &good("1", at - 400, BODY), BODY),
        call(&door, &hook.url, "1", at + 400, &good("1", at + 400, BODY), BODY),
        call(&door, &hook.url, "1", at, "v1,", BODY),
        call(&door, &hook.url, "1", at, "nonsense", BODY),
        door.http.post(&hook.url).body(BODY),
        door.http.post(&hook.url).bearer_auth(&hook.secret).body(BODY),
        call(&door, &gone.url, "1", at, &signature(&gone.secret, "1", at, BODY), BODY),
        call(&door, &unknown, "1", at, &good("1", at, BODY), BODY),
        door.http.post(format!("{}/v1/hooks/short", door.url)).body(BODY),
        door.http.post(format!("{}/v1/hooks/%FF", door.url)).body(BODY),
        door.http.post(&token.url).bearer_auth("wrong").body(BODY),
        door.http.post(&token.url).body(BODY),
    ];
    let mut seen = Vec::new();
    for (number, request) in requests.into_iter().enumerate() {
        let Answer { status, headers, mut body } = send(request).await?;
        assert_eq!((status, body["code"].as_str()), (401, Some("invalid_signature")), "request {number}");
        body["instance"] = Value::Null;
        let names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        seen.push((body, names));
    }
    assert!(seen.iter().all(|one| one == &seen[0]), "the answers differ: {seen:?}");
    // What is too large is too large for everybody.
    let large = "x".repeat(262_145);
    for url in [&hook.url, &unknown] {
        let answer = send(door.http.post(url).body(large.clone())).await?;
        assert_eq!((answer.status, answer.code()), (413, "event_too_large"));
    }
    assert_eq!(send(signed(&door, &hook, "good", BODY)).await?.status, 202);
    door.engine.until("SELECT count(*) FROM events", 1).await?;
    assert_eq!(door.engine.count("SELECT count(*) FROM parked_events").await?, 0);
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_secret_takes_the_place_of_another_both_are_good() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let keys = [("AUTOMATION_DOOR_KEYS", KEYS)];
    let old = create(&door, "billing", &[])?;
    let rotated = door.cli(&["hook", "rotate", "billing", "--overlap", "1h"], &keys)?;
    let new = Hook { secret: rotated["secret"].as_str().unwrap().to_owned(), ..old.clone() };
    assert_ne!(old.secret, new.secret);
    assert_eq!(send(signed(&door, &old, "1", BODY)).await?.status, 202);
    assert_eq!(send(signed(&door, &new, "2", BODY)).await?.status, 202);
    // A sender that changes its secret signs with both.
    let at = now();
    let both = format!("{} {}", signature(&old.secret, "3", at, BODY), signature(&new.secret, "3", at, BODY));
    assert_eq!(send(call(&door, &old.url, "3", at, &both, BODY)).await?.status, 202);
    door.engine
        .database
        .execute("UPDATE hook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
        .await?;
    until_refused(&door, &old).await?;
    assert_eq!(send(signed(&door, &new, "5", BODY)).await?.status, 202);
    // A secret that the other system made.
    let given = std::env::temp_dir().join(format!("secret-{}", door.engine.database.name()));
    let text = format!("whsec_{}", STANDARD.encode([7; 32]));
    std::fs::write(&given, format!("{text}\n"))?;
    let arguments =
        ["hook", "rotate", "billing", "--overlap", "0s", "--secret-file", given.to_str().unwrap()];
    let rotated = door.cli(&arguments, &keys)?;
    assert_eq!(rotated.get("secret"), None);
    until_refused(&door, &new).await?;
    assert_eq!(
        send(signed(&door, &Hook { secret: text.clone(), ..old.clone() }, "7", BODY)).await?.status,
        202
    );
    std::fs::remove_file(given)?;

    // Another encryption key wraps the same secrets, which go on opening under it.
    let next = "next:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=";
    let rekeyed = door.cli(&["hook", "rekey"], &[("AUTOMATION_DOOR_KEYS", &format!("{next},{KEYS}"))])?;
    // One that ended was deleted by the rotation after it.
    assert_eq!(rekeyed["rewrapped"], 2, "{rekeyed}");
    let wrapped = "SELECT count(*) FROM hook_secrets WHERE key_id = 'next'";
    assert_eq!(door.engine.count(wrapped).await?, 2);
    let again = door.cli(&["hook", "rekey"], &[("AUTOMATION_DOOR_KEYS", next)])?;
    assert_eq!((&again["rewrapped"], &again["unreadable"]), (&json!(0), &json!(0)));

    // No secret stands anywhere but with its owner.
    let listed = door.cli(&["hook", "list"], &[])?.to_string();
    for secret in [&old.secret, &new.secret, &text] {
        assert!(!listed.contains(secret.as_str()));
        let bare = secret.trim_start_matches("whsec_").trim_end_matches('=');
        let stored = format!(
            "SELECT count(*) FROM hook_secrets WHERE encode(ciphertext, 'escape') LIKE '%{bare}%'
                OR encode(wrapped_key, 'escape') LIKE '%{bare}%'"
        );
        assert_eq!(door.engine.count(&stored).await?, 0);
        let told = format!("SELECT count(*) FROM events WHERE data::text LIKE '%{bare}%'");
        assert_eq!(door.engine.count(&told).await?, 0);
        let logged = format!("SELECT count(*) FROM audit_words WHERE detail LIKE '%{bare}%'");
        assert_eq!(door.engine.count(&logged).await?, 0);
    }
    let deeds = "SELECT count(*) FROM audit_links WHERE action IN ('hook.create', 'hook.rotate')";
    assert_eq!(door.engine.count(deeds).await?, 3);
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_cannot_sign_shows_a_token() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let hook = create(&door, "legacy", &["--verification", "token", "--id-header", "X-Delivery"])?;
    let post = || door.http.post(format!("{}?env=live", hook.url)).header("webhook-token", &hook.secret);
    // With an id, a repeated call is the same event; without one, each call is another.
    for _ in 0..2 {
        let request =
            post().header("x-delivery", "d-1").header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(send(request.body("plan=pro&seat=1&seat=2")).await?.status, 202);
    }
    for _ in 0..2 {
        assert_eq!(send(post().header("content-type", "text/plain").body("hello")).await?.status, 202);
    }
    let bearer = door.http.post(&hook.url).bearer_auth(&hook.secret).header("x-delivery", "d-2");
    assert_eq!(send(bearer).await?.status, 202);
    // In another charset, and with a byte order mark.
    let latin1 = post().header("content-type", "application/x-www-form-urlencoded; charset=iso-8859-1");
    assert_eq!(send(latin1.header("x-delivery", "d-3").body("name=J%FCrgen")).await?.status, 202);
    let marked = post().header("content-type", "application/json").header("x-delivery", "d-4");
    assert_eq!(send(marked.body("\u{feff}{\"a\": 1}")).await?.status, 202);
    door.engine.until("SELECT count(*) FROM events", 6).await?;
    let decoded =
        "SELECT count(*) FROM events WHERE data->'body' IN ('{\"name\": \"Jürgen\"}', '{\"a\": 1}')";
    assert_eq!(door.engine.count(decoded).await?, 2);
    let form = "SELECT count(*) FROM events WHERE id = 'd-1'";
    let body = "data->'body' = '{\"plan\": \"pro\", \"seat\": [\"1\", \"2\"]}' AND data->'query' = '{\"env\": \"live\"}'";
    assert_eq!(door.engine.count(&format!("{form} AND {body}")).await?, 1);
    assert_eq!(door.engine.count("SELECT count(*) FROM events WHERE data->'body' = '\"hello\"'").await?, 2);
    assert_eq!(door.engine.count("SELECT count(*) FROM events WHERE data->'body' = 'null'").await?, 1);
    // The token is in no event.
    let told = format!("SELECT count(*) FROM events WHERE data::text LIKE '%{}%'", hook.secret);
    assert_eq!(door.engine.count(&told).await?, 0);

    // What cannot be an event is said to whoever proved who it is.
    for (content_type, body, status, code) in [
        ("application/json", &b"{"[..], 400, "malformed_json"),
        ("application/json", b"{\"id\":18446744073709551616}", 400, "number_not_exact"),
        ("application/x-www-form-urlencoded", b"name=J%FCrgen", 415, "unsupported_charset"),
        ("text/plain; charset=utf-7", b"a", 415, "unsupported_charset"),
        ("multipart/form-data; boundary=x", b"--x--", 415, "unsupported_content_type"),
        ("application/json", b"{\"a\":1,\"a\":2}", 400, "duplicate_key"),
        ("application/json", b"{\"a\":\"\\u0000\"}", 400, "nul_character"),
        ("image/png", b"\x89PNG", 415, "unsupported_content_type"),
    ] {
        let answer = send(post().header("content-type", content_type).body(body.to_vec())).await?;
        assert_eq!((answer.status, answer.code()), (status, code), "{content_type}");
    }
    let answer = send(post().header("content-encoding", "gzip").body("a")).await?;
    assert_eq!((answer.status, answer.code()), (415, "unsupported_content_encoding"));
    let answer = send(post().header("x-delivery", "x".repeat(257)).body("a")).await?;
    assert_eq!((answer.status, answer.code()), (422, "attribute_too_long"));
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_send_so_much_and_a_process_without_keys_takes_none() -> anyhow::Result<()> {
    let limited = |config| automation_door::Config { events_per_second: 1, burst: 2, ..config };
    let door = Door::open_with(limited).await?;
    let hook = create(&door, "billing", &[])?;
    for id in ["1", "2"] {
        assert_eq!(send(signed(&door, &hook, id, BODY)).await?.status, 202);
    }
    let answer = send(signed(&door, &hook, "3", BODY)).await?;
    assert_eq!((answer.status, answer.code()), (429, "rate_limited"));
    // Whoever cannot sign does not use up what others may send, and is not told of it either.
    assert_eq!(send(call(&door, &hook.url, "4", now(), "v1,", BODY)).await?.status, 401);
    door.close().await?;

    let keyless = |config| automation_door::Config { keys: None, ..config };
    let door = Door::open_with(keyless).await?;
    let hook = create(&door, "billing", &[])?;
    let answer = send(signed(&door, &hook, "1", BODY)).await?;
    assert_eq!((answer.status, answer.code()), (503, "hooks_unavailable"));
    assert!(door.cli(&["hook", "create", "more"], &[]).is_err(), "without keys no secret can be kept");
    door.close().await
}

#[tokio::test]
async fn what_a_webhook_cannot_be_is_refused() -> anyhow::Result<()> {
    let door = Door::open().await?;
    for arguments in [
        &["hook", "create", "Billing"][..],
        &["hook", "create", "b", "--header", "Cookie"],
        &["hook", "create", "b", "--verification", "none"],
        &["hook", "create", "b", "--id-header", "x-delivery"],
        &["hook", "create", "b", "--verification", "token", "--id-header", "authorization"],
        &["hook", "rotate", "none"],
        &["hook", "delete", "none"],
    ] {
        assert!(door.cli(arguments, &[("AUTOMATION_DOOR_KEYS", KEYS)]).is_err(), "{arguments:?}");
    }
    create(&door, "b", &[])?;
    assert!(create(&door, "b", &[]).is_err(), "the name is in use");
    tokio::time::timeout(Duration::from_secs(60), door.close()).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_changed_without_its_secret_takes_no_call() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let hook = create(&door, "billing", &[])?;
    // As the owner of the database can, and nobody below it.
    door.engine.database.execute("UPDATE hooks SET headers = '{x-more}'").await?;
    assert_eq!(send(signed(&door, &hook, "msg_1", BODY)).await?.status, 401);
    let rotated = door.cli(&["hook", "rotate", "billing"], &[("AUTOMATION_DOOR_KEYS", KEYS)]);
    assert!(rotated.is_err_and(|error| error.to_string().contains("[hook_tampered]")));
    door.engine.database.execute("UPDATE hooks SET headers = '{content-type,user-agent}'").await?;
    assert_eq!(send(signed(&door, &hook, "msg_1", BODY)).await?.status, 202);
    door.close().await
}
