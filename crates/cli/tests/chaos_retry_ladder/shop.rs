//! The tenant whose workflow calls a server, and the other service, which publishes the events that start it.

use crate::servers::Servers;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::{EVENTS, Topology};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::interpreter::ReplayKey;
use automation_domain::limits::Limits;
use automation_domain::rungs::Rungs;
use automation_domain::workflow;
use automation_store::access::tenants::{self, Grant};
use automation_store::dead_letters::{self, DeadLetterFilter, Replay, ReplayVersion, Replayed};
use automation_store::role::{Api, Role};
use automation_store::{Db, PoolSize, Scope, migrate, workflows};
use automation_test_support::builders;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

const USER: &str = "demo-publisher";

pub struct Shop {
    publisher: Publisher,
    api: Db<Api>,
    tenant: TenantId,
}

impl Shop {
    /// Prepares the engine, its tenant, and the workflow that every form starts.
    pub async fn open(servers: &Servers, rungs: Rungs, url: &str) -> anyhow::Result<Self> {
        let database = servers.database_url();
        migrate(&store(&database)?).await?;
        Topology::with_rungs(&rungs).apply(&servers.amqp_url()).await?;
        let operator = store(&database)?;
        let tenant = builders::tenant(&operator, "acme").await?;
        let grant = Grant {
            tenant_id: tenant,
            amqp_user: USER.to_owned(),
            event_types: vec!["form.*".to_owned()],
            expires_at: None,
        };
        operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await?;
        let api = store(&database)?;
        apply_workflow(&api, tenant, url).await?;
        Ok(Self { publisher: Publisher::connect(servers.publisher_url(), USER).await?, api, tenant })
    }

    /// Publishes this many forms.
    pub async fn publish(&self, count: usize) -> anyhow::Result<()> {
        Ok(self.publisher.publish_all((0..count).map(message).collect()).await?)
    }

    /// Replays every dead letter under its key.
    pub async fn replay_all(&self) -> anyhow::Result<()> {
        let tenant = self.tenant;
        let replay = Replay {
            key: ReplayKey::Same,
            version: ReplayVersion::Pinned,
            edited: None,
            who: automation_test_support::builders::ada(),
            note: None,
            look_again: Duration::from_millis(100),
        };
        let ids = self
            .api
            .tx(Scope::Tenant(tenant), async |connection| {
                dead_letters::snapshot(connection, tenant, &DeadLetterFilter::default(), 1_000).await
            })
            .await?;
        for id in ids {
            let replayed = self
                .api
                .tx(Scope::Tenant(tenant), async |connection| {
                    dead_letters::replay(connection, tenant, id, replay).await
                })
                .await?;
            anyhow::ensure!(matches!(replayed, Replayed::Now { .. }), "{id}: {replayed:?}");
        }
        Ok(())
    }
}

fn message(number: usize) -> Message {
    let event = json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "shop", "type": "form.submitted",
        "time": "2026-11-24T08:00:00Z", "tenantid": "acme", "subject": format!("contact-{number}"),
        "data": { "text": "ü \u{1F600}" },
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

async fn apply_workflow(api: &Db<Api>, tenant: TenantId, url: &str) -> anyhow::Result<()> {
    let definition = json!({
        "apiVersion": "automation/v1", "key": "ladder",
        "triggers": [{ "id": "form", "event": "form.submitted" }],
        "nodes": [{
            "id": "call", "action": "http_request",
            "with": {
                "method": "POST", "url": url,
                // What changes between tries if anything were rendered again.
                "body": { "json": { "id": "{{ event.id }}", "text": "{{ event.data.text }}", "at": "{{ now.timestamp }}" } },
            },
        }],
        "edges": [["form", "call"]],
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
