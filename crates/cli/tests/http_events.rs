//! Events over HTTP: accepted only once the broker has them, judged as events from the broker are, refused with codes.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod door;
#[expect(dead_code, reason = "what publishes over AMQP is for other tests")]
mod engine;

use automation_broker::publisher::{Message, Publisher};
use automation_domain::event::admission::ON_BEHALF_OF;
use automation_door::Config;
use door::{Door, send};
use engine::note_forms;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn form(id: &str, subject: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "site", "type": "form.submitted", "time": "2026-11-24T08:00:00Z",
        "subject": subject, "data": { "form_id": "contact", "text": "hello" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn events_in_every_mode_become_runs_once_however_often_they_are_sent() -> anyhow::Result<()> {
    let door = Door::open().await?;
    door.engine.apply(note_forms("notes")).await?;
    let key = door.key("site", "form.*,order.created", &[])?;
    for _ in 0..2 {
        let answer = send(door.event(&key, form("one", "ada"))).await?;
        assert_eq!((answer.status, &answer.body), (202, &json!({ "accepted": 1 })), "{answer:?}");
        assert_eq!(answer.headers["x-request-id"].to_str()?.len(), 36);
        let mut order = form("mixed", "eve");
        order["type"] = "order.created".into();
        let batch = json!([form("two", "bob"), order, form("three", "cid")]);
        let batch = door.batch(&key, batch).header("x-request-id", "batch-7");
        let trace = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let answer = send(batch.header("traceparent", trace)).await?;
        assert_eq!((answer.status, &answer.body), (202, &json!({ "accepted": 3 })), "{answer:?}");
        assert_eq!(answer.headers["x-request-id"], "batch-7");
        let binary = door.http.post(format!("{}/v1/events", door.url)).bearer_auth(&key);
        let binary = binary
            .header("content-type", "application/json")
            .header("ce-specversion", "1.0")
            .header("ce-id", "four")
            .header("ce-source", "site")
            .header("ce-type", "form.submitted")
            .header("ce-time", "2026-11-24T08:00:00Z")
            .header("ce-subject", "Zo%C3%AB")
            .header("idempotency-key", "\"4\"")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .body(r#"{ "form_id": "contact", "text": "hello" }"#);
        assert_eq!(send(binary).await?.status, 202);
    }
    let engine = &door.engine;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 4).await?;
    assert_eq!(engine.count("SELECT count(*) FROM events").await?, 5);
    for (trace, events) in [("00-0af7%-01", 1), ("00-1af7%-00", 3)] {
        let inherited = format!("SELECT count(*) FROM events WHERE traceparent LIKE '{trace}'");
        assert_eq!(engine.count(&inherited).await?, events, "the trace of the request");
    }
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 4);
    assert_eq!(engine.count("SELECT count(*) FROM contacts WHERE subject = 'Zoë'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    assert_eq!(engine.count("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL").await?, 2);
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_has_a_code_and_publishes_nothing() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let key = door.key("site", "form.submitted", &[])?;
    let with = |name: &str, value: Value| {
        let mut event = form("1", "ada");
        event[name] = value;
        event
    };
    for (event, status, code) in [
        (with("tenantid", "rival".into()), 403, "tenant_mismatch"),
        (with("type", "order.created".into()), 403, "not_granted"),
        (with("source", "automation".into()), 403, "reserved_source"),
        (with("type", "schedule.cron".into()), 403, "reserved_type"),
        (with("id", Value::Null), 422, "missing_attribute"),
        (with("data", json!([1])), 422, "data_not_object"),
        (with("causationdepth", 6.into()), 422, "causation_depth_exceeded"),
        (with("data", json!({ "text": "x".repeat(262_144) })), 413, "event_too_large"),
        (json!([]), 400, "not_an_event"),
    ] {
        let answer = send(door.event(&key, &event)).await?;
        let shown = event.to_string().chars().take(200).collect::<String>();
        assert_eq!((answer.status, answer.code()), (status, code), "{shown}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.body["status"], status, "{shown}");
        assert_eq!(answer.body["type"], format!("urn:automation:problem:{code}"), "{shown}");
        if status == 413 {
            assert_eq!((&answer.body["field"], &answer.body["limit"]), (&json!("event"), &json!(262_144)));
        }
    }
    assert_eq!(send(door.event(&key, "{\"a\":1,\"a\":2}")).await?.code(), "duplicate_key");
    let answer = send(door.event(&key, "{\"data\":{\"total\":1e400}}")).await?;
    assert_eq!((answer.status, answer.code()), (400, "number_not_exact"));
    assert!(answer.body["detail"].as_str().unwrap().starts_with("data.total: "), "{answer:?}");

    // Of a batch with bad members nothing is published, and each is named.
    let batch =
        json!([form("1", "ada"), with("type", "order.created".into()), { "id": 7 }, form("2", "ada")]);
    let answer = send(door.batch(&key, batch)).await?;
    assert_eq!((answer.status, answer.code()), (422, "invalid_events"));
    let errors = answer.body["errors"].as_array().unwrap();
    let named: Vec<_> = errors.iter().map(|error| (&error["index"], &error["code"])).collect();
    assert_eq!(
        named,
        [(&json!(1), &json!("not_granted")), (&json!(2), &json!("missing_attribute"))],
        "{errors:?}"
    );
    let broken = format!(
        "[{}, {{\"id\": 1,}}, {}, {{\"id\": [}}, {}]",
        form("1", "ada"),
        form("2", "ada"),
        form("3", "ada")
    );
    let answer = send(door.batch(&key, broken)).await?;
    assert_eq!((answer.status, answer.code()), (422, "invalid_events"));
    let errors = answer.body["errors"].as_array().unwrap();
    let named: Vec<_> = errors.iter().map(|error| (&error["index"], &error["code"])).collect();
    assert_eq!(
        named,
        [(&json!(1), &json!("malformed_json")), (&json!(3), &json!("malformed_batch"))],
        "{errors:?}"
    );
    let many: Value = (0..501).map(|number| form(&number.to_string(), "ada")).collect();
    let answer = send(door.batch(&key, many)).await?;
    assert_eq!((answer.status, answer.code()), (413, "batch_too_many"));
    assert_eq!((&answer.body["field"], &answer.body["limit"]), (&json!("events"), &json!(500)));
    let answer = send(door.batch(&key, format!("[{}", " ".repeat(4 * 1024 * 1024)))).await?;
    assert_eq!((answer.status, answer.code()), (413, "batch_too_large"));

    // What is coded in a way that is not read is refused by its name.
    let utf16: Vec<u8> =
        format!("\u{feff}{}", form("1", "ada")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (request, code, named) in [
        (
            door.event(&key, form("1", "ada")).header("content-encoding", "gzip"),
            "unsupported_content_encoding",
            "gzip",
        ),
        (door.batch(&key, "[]").header("content-encoding", "br"), "unsupported_content_encoding", "br"),
        (door.event(&key, "").body(b"\x1f\x8b\x08\x00".to_vec()), "unsupported_content_encoding", "gzip"),
        (door.event(&key, "").body(utf16), "unsupported_charset", "UTF-16LE"),
    ] {
        let answer = send(request).await?;
        assert_eq!((answer.status, answer.code()), (415, code), "{answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains(named), "{answer:?}");
        let asks = answer.headers.get("accept-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(asks, (code == "unsupported_content_encoding").then_some("identity"));
    }

    // What the schema says counts only where it is asked for.
    let wrong = with("data", json!({ "form_id": 7 }));
    let url = format!("{}/v1/events?validate=true", door.url);
    let checked =
        door.http.post(url).bearer_auth(&key).header("content-type", "application/cloudevents+json");
    let answer = send(checked.body(wrong.to_string())).await?;
    assert_eq!((answer.status, answer.code()), (422, "schema_mismatch"));
    assert!(answer.body["detail"].as_str().unwrap().contains("data/form_id"), "{answer:?}");

    // Other requests.
    let post = |path: &str| door.http.post(format!("{}{path}", door.url));
    for (request, status, code) in [
        (
            post("/v1/events").bearer_auth(&key).header("content-type", "text/csv"),
            415,
            "unsupported_content_type",
        ),
        (post("/v1/nothing"), 404, "not_found"),
        (door.http.get(format!("{}/v1/events", door.url)), 405, "method_not_allowed"),
        (door.event(&key, form("1", "a")).header("idempotency-key", ""), 400, "invalid_idempotency_key"),
        (post("/v1/events?validate=perhaps").bearer_auth(&key), 400, "invalid_query"),
    ] {
        let answer = send(request).await?;
        assert_eq!((answer.status, answer.code()), (status, code));
    }

    // A good event after all of them, so that there is something to wait for: nothing else came in before it.
    // It begins with a byte order mark, which is taken off.
    assert_eq!(send(door.event(&key, format!("\u{feff}{}", form("good", "ada")))).await?.status, 202);
    door.engine.until("SELECT count(*) FROM events", 1).await?;
    assert_eq!(door.engine.count("SELECT count(*) FROM parked_events").await?, 0);
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_that_is_good_opens_the_door() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let key = door.key("site", "form.submitted", &[])?;
    let refused = async |request| {
        let answer = send(request).await.unwrap();
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{answer:?}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    };
    let post = || door.http.post(format!("{}/v1/events", door.url)).body("{}");
    refused(post()).await;
    refused(post().basic_auth("site", Some(&key))).await;
    refused(post().bearer_auth("auto_live_short")).await;
    let other = if key.ends_with('A') { 'E' } else { 'A' };
    refused(post().bearer_auth(format!("{}{other}", &key[..key.len() - 1]))).await;
    let hash = "SELECT count(*) FROM api_keys WHERE name = 'site' AND position(convert_to(prefix, 'UTF8') IN hash) = 0";
    assert_eq!(door.engine.count(hash).await?, 1);

    let short = door.key("short", "form.submitted", &["--expires-in", "1d"])?;
    assert_eq!(send(door.event(&short, form("1", "ada"))).await?.status, 202);
    door.engine.database.execute("UPDATE api_keys SET expires_at = now() WHERE name = 'short'").await?;
    assert_eq!(send(door.event(&key, form("2", "ada"))).await?.status, 202);
    door.cli(&["apikey", "revoke", "site"], &[])?;
    for gone in [&key, &short] {
        let begun = Instant::now();
        // It is believed for some seconds after it was seen to be good.
        while send(door.event(gone, form("2", "ada"))).await?.status == 202 {
            assert!(begun.elapsed() < Duration::from_secs(20), "a key that is not good still opens the door");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        refused(door.event(gone, form("2", "ada"))).await;
    }
    let listed = door.cli(&["apikey", "list"], &[])?;
    let states: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|key| (&key["name"], &key["state"])).collect();
    assert_eq!(
        states,
        [
            (&json!("probe"), &json!("good")),
            (&json!("short"), &json!("expired")),
            (&json!("site"), &json!("revoked"))
        ]
    );
    assert!(!listed.to_string().contains(&key));
    let deeds = "SELECT count(*) FROM audit_links WHERE action IN ('api_key.create', 'api_key.revoke')";
    assert_eq!(door.engine.count(deeds).await?, 4);
    // Its name is free again, and another key has it.
    assert_ne!(door.key("site", "form.submitted", &[])?, key);
    assert!(door.key("site", "form.submitted", &[]).is_err());
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_sends_too_much_is_told_when_to_come_again() -> anyhow::Result<()> {
    let door = Door::open_with(|config| Config { events_per_second: 1, burst: 10, ..config }).await?;
    let (key, other) = (door.key("site", "form.submitted", &[])?, door.key("other", "form.submitted", &[])?);
    let ten: Value = (0..10).map(|number| form(&number.to_string(), "ada")).collect();
    assert_eq!(send(door.batch(&key, &ten)).await?.status, 202);
    let answer = send(door.batch(&key, &ten)).await?;
    assert_eq!((answer.status, answer.code()), (429, "rate_limited"));
    let wait: u64 = answer.headers["retry-after"].to_str()?.parse()?;
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(send(door.batch(&other, &ten)).await?.status, 202, "each key counts for itself");
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_broker_nothing_is_accepted_and_afterwards_it_is() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let key = door.key("site", "form.submitted", &[])?;
    door.gate.shut();
    let answer = send(door.event(&key, form("1", "ada"))).await?;
    assert_eq!((answer.status, answer.code()), (503, "broker_unavailable"), "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(door.gate.refused() > 0, "it tried to come back");
    door.gate.open();
    let begun = Instant::now();
    while send(door.event(&key, form("1", "ada"))).await?.status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the door does not find back to the broker");
    }
    door.engine.until("SELECT count(*) FROM events", 1).await?;
    door.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_user_may_not_speak_for_others_does_not_start() -> anyhow::Result<()> {
    let somebody = |config| Config { amqp_user: "somebody".to_owned(), ..config };
    let error = Door::open_with(somebody).await.err().expect("it does not open");
    assert!(format!("{error:#}").contains("AUTOMATION_ENGINE_USERS"), "{error:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_requests_as_are_let_in_at_once_are_served() -> anyhow::Result<()> {
    let door =
        Door::open_with(|config| Config { requests: 1, timeout: Duration::from_secs(2), ..config }).await?;
    let key = door.key("site", "form.submitted", &[])?;
    // A body that does not come holds the only place, until its time is over. The door asks for it when it begins to read.
    let mut slow = TcpStream::connect(door.url.trim_start_matches("http://")).await?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: door\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n\
         content-type: application/cloudevents+json\r\ncontent-length: 100\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await?;
    let mut asked = [0; 25];
    slow.read_exact(&mut asked).await?;
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let answer = send(door.event(&key, form("1", "ada"))).await?;
    assert_eq!((answer.status, answer.code()), (503, "overloaded"));
    assert!(answer.headers.contains_key("retry-after"));
    let mut late = String::new();
    slow.read_to_string(&mut late).await?;
    assert!(late.starts_with("HTTP/1.1 503 ") && late.contains("\"code\":\"timeout\""), "{late}");
    assert_eq!(send(door.event(&key, form("1", "ada"))).await?.status, 202);
    door.close().await
}

/// Whoever takes the door over has its user of the broker: that one speaks for keys and webhooks, by their grants.
#[tokio::test(flavor = "multi_thread")]
async fn the_doors_user_speaks_for_nobody_but_keys_and_webhooks() -> anyhow::Result<()> {
    let door = Door::open().await?;
    door.key("orders", "order.*", &[])?;
    let user = door.engine.door_user();
    let url = door.engine.vhost.amqp_url_as(&user, "secret")?;
    let publisher = Publisher::connect(&url, "taken over").await?;
    let shop = door.engine.publisher_user.clone();
    let claims = [
        ("as-shop", "order.created", "shop", Some(shop.as_str())),
        ("as-itself", "order.created", "shop", None),
        ("as-engine", "order.created", "automation", None),
        ("as-key-beyond-its-grant", "form.submitted", "shop", Some("apikey:orders")),
        ("as-key", "order.created", "shop", Some("apikey:orders")),
    ];
    for (id, event_type, source, behalf) in claims {
        let event = json!({
            "specversion": "1.0", "id": id, "source": source, "type": event_type, "time": "2026-11-24T08:00:00Z",
            "tenantid": "acme", "data": {},
        });
        let headers = behalf.map(|name| (ON_BEHALF_OF.to_owned(), name.to_owned())).into_iter().collect();
        let message = door.engine.message(event_type, event.to_string().into_bytes());
        publisher.publish_all(vec![Message { user_id: Some(user.clone()), headers, ..message }]).await?;
    }
    publisher.close().await;
    for reason in ["reserved_header", "reserved_source"] {
        let parked = format!("SELECT count(*) FROM parked_events WHERE reason = '{reason}'");
        door.engine.until(&parked, 1).await?;
    }
    door.engine.until("SELECT count(*) FROM parked_events WHERE reason = 'not_granted'", 2).await?;
    door.engine.until("SELECT count(*) FROM events", 1).await?;
    door.close().await
}
