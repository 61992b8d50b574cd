//! Rows that tests need, with everything filled in that a test does not care about.

use automation_domain::audit::{Key, Keys};
use automation_domain::contact::Contact;
use automation_domain::event::{Event, RecordedEvent, body_hash};
use automation_domain::id::{ContactId, EventId, EventKey, RunId, TenantId, VersionId, WorkflowId};
use automation_domain::interpreter::Need;
use automation_domain::priority::Priority;
use automation_domain::workflow::{Enrolment, OnConflict, Workflow};
use automation_store::access::tenants;
use automation_store::audit::Auditor;
use automation_store::events::NewEvent;
use automation_store::events::receipts::{self, Claim};
use automation_store::records::contacts;
use automation_store::role::{Api, Operator, Worker};
use automation_store::runs::{self, NewRun};
use automation_store::{Db, Error, Scope, events, workflows};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;
use uuid::Uuid;

/// The keys of [`auditor`], for a process.
pub const AUDIT_KEYS: &str = "test:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// Somebody who acts, with a key to sign the audit log with.
pub fn auditor(actor: &str) -> Auditor {
    Auditor::new(actor, Keys::new(Key { id: "test".to_owned(), bytes: [1; 32] }, vec![]))
}

/// An [`auditor`] for what borrows one.
pub fn ada() -> &'static Auditor {
    static ADA: LazyLock<Auditor> = LazyLock::new(|| auditor("ada"));
    &ADA
}

/// How soon the sweep looks after runs that [`run`] makes.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A tenant with this key.
///
/// # Errors
///
/// [`Error`] of the database.
///
/// # Panics
///
/// When the key is taken.
pub async fn tenant(operator: &Db<Operator>, key: &str) -> Result<TenantId, Error> {
    let made = operator
        .tx(Scope::Unscoped, async |connection| {
            tenants::create(connection, TenantId(Uuid::new_v4()), key, key).await
        })
        .await?;
    Ok(made.expect("a test gives each of its tenants another key"))
}

/// A workflow that a tenant published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// Its first version.
    pub version_id: VersionId,
}

/// A workflow with a trigger `start` on `form.submitted` that leads to a tag.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn workflow(api: &Db<Api>, tenant: TenantId, key: &str) -> Result<Published, Error> {
    publish(
        api,
        tenant,
        json!({
            "apiVersion": "automation/v1", "key": key, "name": key,
            "triggers": [{ "id": "start", "event": "form.submitted" }],
            "nodes": [{ "id": "tag", "action": "add_tag", "with": { "tag": "seen" } }],
            "edges": [["start", "tag"]],
        }),
    )
    .await
}

/// Publishes a definition without compiling it; of its entry rules, `on_conflict` is read.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn publish(api: &Db<Api>, tenant: TenantId, definition: Value) -> Result<Published, Error> {
    let text = |key: &str| definition[key].as_str().unwrap_or_default().to_owned();
    let on_conflict = match definition["enrolment"]["on_conflict"].as_str() {
        Some("ignore") => OnConflict::Ignore,
        _ => OnConflict::Start,
    };
    let compiled = Workflow {
        key: text("key"),
        name: text("name"),
        priority: None,
        enrolment: Enrolment { on_conflict, ..Enrolment::default() },
        exits: Vec::new(),
        goal: None,
        triggers: Vec::new(),
        nodes: Vec::new(),
        warnings: Vec::new(),
        needs: [Need::Event, Need::Contact].into(),
        memory_bytes: 0,
        entry_bytes: 0,
        definition,
    };
    api.tx(Scope::Tenant(tenant), async |connection| {
        let (workflow, version) = (WorkflowId(Uuid::new_v4()), VersionId(Uuid::new_v4()));
        workflows::apply(connection, tenant, &compiled, workflow, version).await?;
        let stored = workflows::by_key(connection, tenant, &compiled.key).await?;
        let stored = stored.expect("it was published a line above");
        Ok(Published { workflow_id: stored.workflow_id, version_id: stored.version_id })
    })
    .await
}

/// An event of type `form.submitted` from the source `test`, about the contact `ada`.
pub fn event(tenant_key: &str, id: &str) -> Event {
    let data = json!({ "form_id": "contact", "total": 80 });
    Event {
        key: EventKey::derive("test", id),
        id: id.to_owned(),
        source: "test".to_owned(),
        event_type: "form.submitted".to_owned(),
        tenant: tenant_key.to_owned(),
        time: DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default(),
        subject: Some("ada".to_owned()),
        correlation_id: None,
        causation_id: None,
        causation_depth: 0,
        traceparent: None,
        tracestate: None,
        body_hash: body_hash("form.submitted", Some("ada"), &data),
        data,
    }
}

/// What ingest writes for an event that starts a run of one workflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The run.
    pub run_id: RunId,
    /// The recorded event.
    pub event_id: EventId,
    /// The contact.
    pub contact_id: ContactId,
    /// When it was received.
    pub received_at: DateTime<Utc>,
}

/// Records `event` with its receipt and contact, and queues the run of `published` that it starts by its trigger
/// `start`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn run(
    worker: &Db<Worker>,
    tenant: TenantId,
    published: Published,
    event: Event,
) -> Result<Started, Error> {
    worker
        .tx(Scope::Tenants(&[tenant]), async |connection| {
            let now = receipts::now(connection).await?;
            let (key, body_hash) = (event.key, event.body_hash);
            receipts::accept(connection, now, &[Claim { tenant_id: tenant, event_key: key, body_hash }])
                .await?;
            let subject = event.subject.clone().unwrap_or_default();
            let contact = Contact::new(ContactId::derive(tenant, &subject), &subject);
            let started = Started {
                tenant_id: tenant,
                run_id: RunId::derive(now, published.workflow_id, "start", key),
                event_id: EventId::derive(now, key),
                contact_id: contact.contact_id,
                received_at: now,
            };
            let recorded =
                RecordedEvent { event_id: started.event_id, received_at: now, event: event.clone() };
            let new =
                NewEvent { tenant_id: tenant, contact_id: Some(contact.contact_id), recorded: &recorded };
            events::insert(connection, &[new]).await?;
            let run = NewRun {
                tenant_id: tenant,
                run_id: started.run_id,
                workflow_id: published.workflow_id,
                version_id: published.version_id,
                trigger_id: "start".to_owned(),
                event_id: started.event_id,
                contact_id: Some(contact.contact_id),
                run_key: subject.clone(),
                priority: Priority::Medium,
                trace: None,
            };
            runs::insert(connection, now, LOOK_AGAIN, &[run]).await?;
            let unknown = BTreeMap::from([((tenant, contact.contact_id), subject.as_str())]);
            contacts::ensure(connection, &unknown).await?;
            Ok(started)
        })
        .await
}
