//! The other service: publishes events with confirms, and publishes again, under the same ids, what was not confirmed.

use crate::servers::Servers;
use automation_broker::publisher::{Message, Publisher, PublisherConfig};
use automation_broker::topology::{EVENTS, Topology};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_store::access::tenants::{self, Grant};
use automation_store::role::{Api, Role};
use automation_store::{Db, PoolSize, Scope, migrate, workflows};
use automation_test_support::builders;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const USER: &str = "demo-publisher";
/// Events that happen in the shop each second, whether the broker takes them or not.
const PER_SECOND: f64 = 500.0;
/// What piled up during an outage is published this many at once, so that it does not become a storm.
const AT_ONCE: usize = 250;

pub struct Shop {
    publisher: Publisher,
}

impl Shop {
    /// Prepares the engine, its tenant, and the workflow that every event starts.
    pub async fn open(servers: &Servers) -> anyhow::Result<Self> {
        let url = servers.database_url();
        migrate(&store(&url)?).await?;
        Topology::standard().apply(&servers.amqp_url()).await?;
        let operator = store(&url)?;
        let tenant_id = builders::tenant(&operator, "acme").await?;
        let grant = Grant {
            tenant_id,
            amqp_user: USER.to_owned(),
            event_types: vec!["form.*".to_owned()],
            expires_at: None,
        };
        operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await?;
        apply_workflow(&store(&url)?, tenant_id).await?;

        let mut config = PublisherConfig::new(servers.publisher_url(), USER);
        config.timeout = Duration::from_secs(3);
        Ok(Self { publisher: Publisher::connect_with(config).await? })
    }

    /// Publishes until the shop closes and everything is confirmed; gives how many events there were.
    pub async fn publish_until(self, closing: CancellationToken) -> anyhow::Result<i64> {
        let mut ticks = interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let opened = Instant::now();
        let mut events = 0;
        let mut unconfirmed: Vec<Message> = Vec::new();
        while !closing.is_cancelled() || !unconfirmed.is_empty() {
            ticks.tick().await;
            if unconfirmed.is_empty() {
                let happened = (opened.elapsed().as_secs_f64() * PER_SECOND) as usize;
                let next = happened.min(events + AT_ONCE);
                unconfirmed.extend((events..next).map(message));
                events = next;
            }
            if let Err(error) = self.publisher.publish_all(unconfirmed.clone()).await {
                let again = error.unconfirmed(unconfirmed.len());
                unconfirmed = again.into_iter().map(|index| unconfirmed[index].clone()).collect();
            } else {
                unconfirmed.clear();
            }
        }
        self.publisher.close().await;
        Ok(i64::try_from(events)?)
    }
}

fn message(number: usize) -> Message {
    let event = json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "shop", "type": "form.submitted",
        "time": "2026-11-24T08:00:00Z", "tenantid": "acme", "subject": format!("contact-{number}"),
        "data": { "form_id": "contact", "size": number % 7 },
    });
    Message {
        exchange: EVENTS.to_owned(),
        routing_key: "form.submitted".to_owned(),
        body: event.to_string().into_bytes(),
        content_type: "application/cloudevents+json".to_owned(),
        message_id: Uuid::new_v4().to_string(),
        user_id: Some(USER.to_owned()),
        ..Message::default()
    }
}

/// A pool of role `R`.
fn store<R: Role>(url: &str) -> Result<Db<R>, automation_store::Error> {
    Db::new(url, PoolSize::of::<R>())
}

async fn apply_workflow(api: &Db<Api>, tenant: TenantId) -> anyhow::Result<()> {
    let definition = json!({
        "apiVersion": "automation/v1", "key": "kill-nine", "name": "Kill nine",
        "triggers": [{
            "id": "form", "event": "form.submitted",
            "where": { "field": "event.data.form_id", "op": "equals", "value": "contact" },
        }],
        "nodes": [
            { "id": "which", "action": "branch", "with": { "cases": [
                { "name": "real", "where": { "field": "event.data.size", "op": "less_than", "value": 1000 } },
            ] } },
            { "id": "note", "action": "add_note", "with": { "text": "Wrote." } },
            { "id": "wait", "action": "delay", "with": { "for": "1s" } },
            { "id": "tag", "action": "add_tag", "with": { "tag": "seen" } },
            { "id": "never", "action": "stop_workflow" },
        ],
        "edges": [
            ["form", "which"],
            { "from": "which", "case": "real", "to": "note" },
            { "from": "which", "case": "else", "to": "never" },
            ["note", "wait"],
            ["wait", "tag"],
        ],
    });
    let compiled = workflow::parse_value(&definition, automation_actions::node_types(), &Limits::default())
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let (workflow, version) = (WorkflowId(Uuid::new_v4()), VersionId(Uuid::new_v4()));
    api.tx(Scope::Tenant(tenant), async |connection| {
        workflows::apply(connection, tenant, &compiled, workflow, version).await
    })
    .await?;
    Ok(())
}
