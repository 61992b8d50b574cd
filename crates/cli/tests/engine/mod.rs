//! The whole engine in one process, on a database and a virtual host of its own.

use anyhow::Context;
use automation_broker::management::Management;
use automation_broker::permissions;
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::{EVENTS, Topology};
use automation_domain::event::admission::BrokerUsers;
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::retry::Ladder;
use automation_domain::workflow;
use automation_executor::Requests;
use automation_service_kit::health::Health;
use automation_store::access::tenants::{self, Grant};
use automation_store::role::{Api, Operator};
use automation_store::{Db, Scope, workflows};
use automation_test_support::broker::TestVhost;
use automation_test_support::builders;
use automation_test_support::database::TestDatabase;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How soon the sweep looks after what became ready.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// A running engine with the tenant `acme`.
pub struct Engine {
    pub database: TestDatabase,
    pub vhost: TestVhost,
    pub api: Db<Api>,
    pub tenant: TenantId,
    pub publisher: Publisher,
    pub publisher_user: String,
    ladder: Ladder,
    requests: Requests,
    pub management: Management,
    drain: CancellationToken,
    roles: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Engine {
    /// Starts this many of each role, with short leases.
    pub async fn start(replicas: usize) -> anyhow::Result<Self> {
        let mut engine = Self::prepare(Ladder::default(), Requests::default()).await?;
        for _ in 0..replicas {
            engine.start_roles();
        }
        Ok(engine)
    }

    /// Makes everything that an engine needs, and starts no role.
    pub async fn prepare(ladder: Ladder, requests: Requests) -> anyhow::Result<Self> {
        let (database, vhost) = (TestDatabase::create().await?, TestVhost::create().await?);
        Topology::with_rungs(&ladder.rungs).apply(vhost.amqp_url()).await?;
        let operator = database.store::<Operator>();
        let tenant = builders::tenant(&operator, "acme").await?;
        let user = format!("shop-{}", Uuid::new_v4().simple());
        let management = Management::new(vhost.management_url())?;
        management.create_user(&user, "secret").await?;
        let (general, topic) = permissions::publisher(".*");
        management.set_permissions(vhost.name(), &user, &general).await?;
        management.set_topic_permissions(vhost.name(), &user, &topic).await?;
        let grant = Grant {
            tenant_id: tenant,
            amqp_user: user.clone(),
            event_types: vec!["*".to_owned()],
            expires_at: None,
        };
        operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await?;
        let publisher = Publisher::connect(&vhost.amqp_url_as(&user, "secret")?, "shop").await?;
        let api = database.store::<Api>();
        Ok(Self {
            database,
            vhost,
            api,
            tenant,
            publisher,
            publisher_user: user,
            ladder,
            requests,
            management,
            drain: CancellationToken::new(),
            roles: Vec::new(),
        })
    }

    /// Starts one more of each role.
    pub fn start_roles(&mut self) {
        self.start_takers();
        self.start_scheduler();
    }

    /// Starts one more ingest and executor.
    pub fn start_takers(&mut self) {
        let (database_url, amqp_url) = (self.database.url().to_owned(), self.vhost.amqp_url().to_owned());
        let ingest = automation_ingest::Config {
            database_url: database_url.clone(),
            amqp_url: amqp_url.clone(),
            users: self.users(),
            limits: Limits::default(),
            workers: 2,
            batch_messages: 500,
            first_look: FIRST_LOOK,
        };
        let executor = automation_executor::Config {
            database_url,
            amqp_url,
            limits: Limits::default(),
            workers: 2,
            batch_runs: 500,
            lease: Duration::from_secs(2),
            name: "executor-test".to_owned(),
            first_look: FIRST_LOOK,
            ladder: self.ladder.clone(),
            requests: self.requests.clone(),
            drain: Duration::from_secs(5),
        };
        let health = Health::new(self.drain.clone());
        self.roles.push(tokio::spawn(automation_ingest::run(ingest, health.clone(), self.drain.clone())));
        self.roles.push(tokio::spawn(automation_executor::run(executor, health, self.drain.clone())));
    }

    fn start_scheduler(&mut self) {
        let scheduler = automation_scheduler::Config {
            amqp_user: self.engine_user().to_owned(),
            database_url: self.database.url().to_owned(),
            amqp_url: self.vhost.amqp_url().to_owned(),
            batch: 500,
            first_look: FIRST_LOOK,
            partitions_ahead: 3,
            dedupe_days: 7,
            dead_letter_days: 90,
            parked_days: 30,
            catch_up: automation_domain::schedule::plan::Policy::default(),
        };
        let health = Health::new(self.drain.clone());
        self.roles.push(tokio::spawn(automation_scheduler::run(scheduler, health, self.drain.clone())));
    }

    /// The broker's user that the roles act as.
    pub fn engine_user(&self) -> &str {
        let url = self.vhost.amqp_url();
        url.split("://").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or_default()
    }

    /// The broker's user for a door, should there be one.
    pub fn door_user(&self) -> String {
        format!("door-{}", self.vhost.name())
    }

    /// Who may publish for others.
    pub fn users(&self) -> BrokerUsers {
        BrokerUsers { engine: vec![self.engine_user().to_owned()], door: vec![self.door_user()] }
    }

    /// Publishes a workflow of the tenant.
    pub async fn apply(&self, definition: Value) -> anyhow::Result<()> {
        self.apply_for(self.tenant, definition).await
    }

    /// Publishes a workflow of another tenant.
    pub async fn apply_for(&self, tenant: TenantId, definition: Value) -> anyhow::Result<()> {
        let compiled =
            workflow::parse_value(&definition, automation_actions::node_types(), &Limits::default())
                .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        self.api
            .tx(Scope::Tenant(tenant), async |connection| {
                let (workflow, version) = (WorkflowId(Uuid::new_v4()), VersionId(Uuid::new_v4()));
                workflows::apply(connection, tenant, &compiled, workflow, version).await
            })
            .await?;
        Ok(())
    }

    /// Publishes structured events as the tenant's shop.
    pub async fn publish(&self, events: Vec<Value>) -> anyhow::Result<()> {
        let messages = events
            .into_iter()
            .map(|event| {
                self.message(event["type"].as_str().unwrap_or("unknown"), event.to_string().into_bytes())
            })
            .collect();
        Ok(self.publisher.publish_all(messages).await?)
    }

    /// A structured event as a message of the shop.
    pub fn message(&self, routing_key: &str, body: Vec<u8>) -> Message {
        Message {
            exchange: EVENTS.to_owned(),
            routing_key: routing_key.to_owned(),
            body,
            content_type: "application/cloudevents+json".to_owned(),
            message_id: Uuid::new_v4().to_string(),
            user_id: Some(self.publisher_user.clone()),
            ..Message::default()
        }
    }

    /// A number from the database, past all row-level security.
    pub async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        self.database.count(sql).await
    }

    /// Waits until a count is reached; fails when it is not within a minute.
    pub async fn until(&self, sql: &str, expected: i64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let actual = self.count(sql).await?;
            if actual == expected {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(60) {
                anyhow::bail!("{sql}: {actual} after a minute, expected {expected}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Drains all roles; each must end well. Others may be started afterwards.
    pub async fn drain(&mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.drain).cancel();
        for role in self.roles.drain(..) {
            tokio::time::timeout(Duration::from_secs(30), role)
                .await
                .context("a role did not drain")???;
        }
        Ok(())
    }

    /// Drains all roles, and removes what the test made.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.drain().await?;
        self.management.delete_user(&self.publisher_user).await?;
        self.publisher.close().await;
        self.vhost.close().await
    }
}

/// A structured event of the shop.
pub fn event(event_type: &str, id: &str, subject: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "shop", "type": event_type, "time": "2026-11-24T08:00:00Z",
        "tenantid": "acme", "subject": subject, "data": data,
    })
}

/// A workflow that notes every form of a kind.
pub fn note_forms(key: &str) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": key, "name": key,
        "triggers": [{
            "id": "form", "event": "form.submitted",
            "where": { "field": "event.data.form_id", "op": "equals", "value": "contact" },
        }],
        "nodes": [{ "id": "note", "action": "add_note", "with": { "text": "Wrote: {{ event.data.text }}" } }],
        "edges": [["form", "note"]],
    })
}
