//! Everything that is wrong with an event gets its answer: parked once, with its reason and the bytes it came with, while
//! the good events around it go on.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod bad_messages;
mod engine;

use automation_broker::management::{Management, Queue};
use automation_broker::publisher::{Message, Publisher};
use automation_broker::{nudge, permissions, topology};
use automation_domain::id::{RunId, TenantId};
use automation_store::Scope;
use automation_store::access::tenants::{self, Grant};
use automation_store::events::parked::{self, ParkedFilter};
use automation_store::role::Operator;
use bad_messages::{Bad, Speaker};
use engine::{Engine, event, note_forms};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// What is known of a parked message: reason, user, routing key, content. Not how often it was parked: a broker may
/// deliver anything again.
type Entry = (String, Option<String>, String, Vec<u8>);

#[tokio::test(flavor = "multi_thread")]
async fn large_events_leave_and_one_that_the_broker_does_not_take_is_parked() -> anyhow::Result<()> {
    let mut engine = Engine::start(0).await?;
    // Sixty of 64 KiB would be more than one message may hold; one is larger than the broker takes at all.
    let rows = format!(
        "INSERT INTO outbox (tenant_id, run_id, event_type, body)
         SELECT '{}', gen_random_uuid(), 'contact.updated', convert_to(json_build_object(
                    'specversion', '1.0', 'id', 'o-' || n, 'source', 'automation', 'type', 'contact.updated',
                    'time', '2026-11-24T08:00:00Z', 'tenantid', 'acme', 'subject', 'ada',
                    'data', json_build_object('text', repeat('x', CASE n WHEN 30 THEN 17 * 1048576 ELSE 65536 END))
                )::text, 'UTF8')
           FROM generate_series(1, 60) AS n",
        engine.tenant
    );
    engine.database.execute(&rows).await?;
    engine.start_roles();
    engine.until("SELECT count(*) FROM events WHERE source = 'automation'", 59).await?;
    engine.until("SELECT count(*) FROM outbox", 0).await?;
    let parked = "SELECT count(*) FROM parked_events WHERE reason = 'event_unpublishable' AND length(body) > 17 * 1048576";
    assert_eq!(engine.count(parked).await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 1);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_event_is_parked_once_with_its_reason_and_bytes_and_every_good_one_is_done()
-> anyhow::Result<()> {
    let mut engine = Engine::start(2).await?;
    engine.apply(note_forms("notes")).await?;
    let speakers = Speakers::introduce(&engine).await?;

    let form = |number: i64| {
        event(
            "form.submitted",
            &format!("good-{number}"),
            "ada",
            json!({ "form_id": "contact", "text": "fine" }),
        )
    };
    let mut runs = 1;
    let first = [form(runs), event("order.created", "taken", "ada", json!({ "total": 1 }))];
    engine.publish(first.to_vec()).await?;
    engine.until("SELECT count(*) FROM events", 2).await?;

    let mut expected: Vec<Entry> = Vec::new();
    let mut recorded = 2;
    for bad in bad_messages::all() {
        runs += 1;
        engine.publish(vec![form(runs)]).await?;
        expected.extend(bad.parked.iter().map(|(reason, bytes)| speakers.entry(&bad, reason, bytes)));
        recorded += 1 + bad.good_members;
        let (publisher, message) = speakers.say(&engine, bad);
        publisher.publish_all(vec![message]).await?;
    }

    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", runs).await?;
    // Waits for no more than are expected; whatever is too much shows below, by name.
    let enough = i64::try_from(expected.len())?;
    engine.until(&format!("SELECT least(count(*), {enough}) FROM parked_events"), enough).await?;
    assert_eq!(engine.count("SELECT count(*) FROM events").await?, recorded);
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'Wrote: fine'").await?, runs);
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);

    // Whatever was still going round would come again to fresh roles.
    engine.drain().await?;
    engine.start_roles();
    engine.publish(vec![form(runs + 1)]).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", runs + 1).await?;
    queues_end_empty(&mut engine).await?;

    let operator = engine.database.store::<Operator>();
    let parked = operator
        .tx(Scope::Unscoped, async |connection| {
            parked::list(connection, &ParkedFilter::default(), None, 1_000).await
        })
        .await?;
    let mut found: Vec<Entry> = parked
        .into_iter()
        .map(|parked| {
            let bytes = parked.body.bytes().map(<[u8]>::to_vec).unwrap_or_default();
            (parked.reason, parked.amqp_user, parked.routing_key, bytes)
        })
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(named(&found), named(&expected));
    assert_eq!(found, expected);
    speakers.leave().await?;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn work_messages_that_mean_nothing_are_dropped_and_stop_nobody() -> anyhow::Result<()> {
    let mut engine = Engine::start(1).await?;
    engine.apply(note_forms("notes")).await?;
    let insider = Publisher::connect(engine.vhost.amqp_url(), "insider").await?;
    let stranger = (TenantId(Uuid::from_u128(1)), RunId(Uuid::from_u128(2)));
    let mut garbage: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"not a nudge".to_vec(),
        vec![1],
        vec![2; 33],
        vec![1; 34],
        vec![1; 1 + 32 * 51],
        vec![0xff; 1024 * 1024],
    ];
    garbage.extend(nudge::pack([stranger, (engine.tenant, stranger.1)]));
    let count = i64::try_from(garbage.len())?;
    for priority in ["high", "medium", "low"] {
        let messages = garbage.iter().map(|body| Message {
            exchange: topology::WORK.to_owned(),
            routing_key: priority.to_owned(),
            body: body.clone(),
            message_id: "garbage".to_owned(),
            ..Message::default()
        });
        insider.publish_all(messages.collect()).await?;
    }
    let form = |number: i64| {
        event("form.submitted", &number.to_string(), "ada", json!({ "form_id": "contact", "text": "fine" }))
    };
    engine.publish((0..count).map(form).collect()).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", count).await?;
    queues_end_empty(&mut engine).await?;
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    insider.close().await;
    engine.stop().await
}

/// Drains the engine, and looks at the broker's figures once they are younger than its last consumer.
async fn queues_end_empty(engine: &mut Engine) -> anyhow::Result<()> {
    let management = Management::new(engine.vhost.management_url())?;
    let vhost = engine.vhost.name().to_owned();
    let figures = async |are: fn(&Queue) -> bool| loop {
        let queues = management.queues(&vhost).await?;
        if queues.iter().all(are) {
            return anyhow::Ok(queues);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let consumed = |queue: &Queue| queue.consumers > 0 || !queue.name.contains(".work.");
    figures(consumed).await?;
    // What runs made known comes back as events: these have to be taken in, too.
    engine.until("SELECT count(*) FROM outbox", 0).await?;
    figures(|queue| queue.messages_ready + queue.messages_unacknowledged == 0).await?;
    engine.drain().await?;
    let queues = figures(|queue| queue.consumers == 0 && queue.messages_unacknowledged == 0).await?;
    let filled: Vec<_> =
        queues.iter().filter(|queue| queue.messages_ready + queue.messages_dlx > 0).collect();
    assert!(filled.is_empty(), "{filled:?}");
    Ok(())
}

/// For a readable failure: everything but the bytes.
fn named(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|(reason, user, key, body)| {
            let start = String::from_utf8_lossy(&body[..body.len().min(100)]);
            format!("{reason} {key} by {user:?}, {} bytes: {start}", body.len())
        })
        .collect()
}

/// The broker's users that messages come from.
struct Speakers {
    management: Management,
    stranger: String,
    engine_user: String,
    shop: String,
    as_stranger: Publisher,
    as_engine: Publisher,
}

impl Speakers {
    async fn introduce(engine: &Engine) -> anyhow::Result<Self> {
        let management = Management::new(engine.vhost.management_url())?;
        let stranger = format!("stranger-{}", Uuid::new_v4().simple());
        management.create_user(&stranger, "secret").await?;
        let (general, topic) = permissions::publisher(".*");
        management.set_permissions(engine.vhost.name(), &stranger, &general).await?;
        management.set_topic_permissions(engine.vhost.name(), &stranger, &topic).await?;
        let as_stranger =
            Publisher::connect(&engine.vhost.amqp_url_as(&stranger, "secret")?, "stranger").await?;
        let as_engine = Publisher::connect(engine.vhost.amqp_url(), "engine").await?;
        // The stranger may publish one kind of event, for one tenant.
        let grant = Grant {
            tenant_id: engine.tenant,
            amqp_user: stranger.clone(),
            event_types: vec!["page.*".to_owned()],
            expires_at: None,
        };
        let operator = engine.database.store::<Operator>();
        operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await?;
        let engine_user = engine.engine_user().to_owned();
        let shop = engine.publisher_user.clone();
        Ok(Self { management, stranger, engine_user, shop, as_stranger, as_engine })
    }

    fn user(&self, speaker: Speaker) -> Option<String> {
        match speaker {
            Speaker::Shop => Some(self.shop.clone()),
            Speaker::Stranger => Some(self.stranger.clone()),
            Speaker::Engine => Some(self.engine_user.clone()),
            Speaker::Nobody => None,
        }
    }

    fn entry(&self, bad: &Bad, reason: &str, bytes: &[u8]) -> Entry {
        (reason.to_owned(), self.user(bad.speaker), bad.routing_key.clone(), bytes.to_vec())
    }

    fn say<'a>(&'a self, engine: &'a Engine, bad: Bad) -> (&'a Publisher, Message) {
        let publisher = match bad.speaker {
            Speaker::Shop | Speaker::Nobody => &engine.publisher,
            Speaker::Stranger => &self.as_stranger,
            Speaker::Engine => &self.as_engine,
        };
        let mut message = engine.message(&bad.routing_key, bad.body);
        message.content_type = bad.content_type.to_owned();
        message.headers = bad.headers;
        for value in message.headers.values_mut().filter(|value| *value == bad_messages::STRANGER) {
            value.clone_from(&self.stranger);
        }
        message.user_id = self.user(bad.speaker);
        (publisher, message)
    }

    async fn leave(self) -> anyhow::Result<()> {
        self.as_stranger.close().await;
        self.as_engine.close().await;
        Ok(self.management.delete_user(&self.stranger).await?)
    }
}
