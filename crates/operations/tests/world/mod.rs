//! A tenant with a workflow, and what goes wrong there.

use automation_domain::id::{ApprovalId, DeadLetterId, RunId};
use automation_domain::interpreter::RunState;
use automation_domain::priority::Priority;
use automation_operations::Session;
use automation_store::dead_letters::{self, DeadLetterFilter, FailedStep, NewDeadLetter};
use automation_store::events::parked::{self, Parked, ParkedBody, ParkedStatus};
use automation_store::events::receipts;
use automation_store::role::{Operator, Scheduler, Worker};
use automation_store::runs::checkpoints::{self, Checkpoint, Next};
use automation_store::runs::{self, approvals};
use automation_store::{Db, Error, Scope};
use automation_test_support::builders::{self, Published, Started};
use automation_test_support::database::TestDatabase;
use chrono::{DateTime, Utc};
use serde_json::{Map, json};
use std::time::Duration;
use uuid::Uuid;

/// How a run looks that failed at its node `tag`.
const FAILED: &str = r#"{
    "step_count": 1, "steps": {"tag": {"visits": 1, "error": {"code": "http_status", "message": "503"}}},
    "end": {"status": "failed", "node": "tag", "error": {"code": "http_status", "message": "503"}, "tokens": [
        [0, {"node": "tag", "visit": 1, "waits": {"for": "retry", "until": "2026-01-01T00:00:00Z", "attempt": 6, "stored": true}}]
    ]}}"#;

pub struct World {
    pub database: TestDatabase,
    pub operator: Db<Operator>,
    /// Of the tenant `shop`.
    pub session: Session,
    worker: Db<Worker>,
    workflow: Published,
}

impl World {
    pub async fn new() -> anyhow::Result<Self> {
        let database = TestDatabase::create().await?;
        let (operator, api, worker) = (database.store(), database.store(), database.store());
        let tenant = builders::tenant(&operator, "shop").await?;
        let workflow = builders::workflow(&api, tenant, "welcome").await?;
        let session = Session::open(&operator, api, "shop").await?;
        Ok(Self { database, operator, session, worker, workflow })
    }

    /// Queues the run of an event with this id.
    pub async fn run(&self, event_id: &str) -> Result<Started, Error> {
        let event = builders::event("shop", event_id);
        builders::run(&self.worker, self.session.tenant, self.workflow, event).await
    }

    /// A run that asks two people to approve something, until then; and what it asks.
    pub async fn asks_until(
        &self,
        event_id: &str,
        until: Option<DateTime<Utc>>,
    ) -> anyhow::Result<(RunId, [ApprovalId; 2])> {
        let run = self.run(event_id).await?.run_id;
        let asked = json!({ "kind": "approval", "question": "20 % off?", "approvers": ["maria"] });
        let token = |node: &str| {
            let since = "2027-06-01T12:00:00Z";
            let waits = json!({ "for": "event", "since": since, "from": since, "until": until, "looked_back": true,
                                "types": [], "asked": asked });
            json!({ "node": node, "visit": 1, "waits": waits })
        };
        let state = json!({ "tokens": { "0": token("boss"), "1": token("owner") }, "step_count": 3 });
        self.stands(run, &state).await?;
        let (tenant, workflow) = (self.session.tenant, self.workflow.workflow_id);
        let state: RunState = serde_json::from_value(state)?;
        let mut changed = approvals::Changed::default();
        changed.add((tenant, run), workflow, (None, &state), |_, _| false);
        self.worker
            .tx(Scope::Tenants(&[tenant]), async |connection| {
                let now = receipts::now(connection).await?;
                approvals::change(connection, now, &changed).await
            })
            .await?;
        Ok((run, ["boss", "owner"].map(|node| ApprovalId::derive(run, node, 1))))
    }

    /// A run that stands at a pause of its workflow, until then.
    pub async fn pauses_until(&self, event_id: &str, until: Option<DateTime<Utc>>) -> anyhow::Result<RunId> {
        let run = self.run(event_id).await?.run_id;
        let since = "2027-06-01T12:00:00Z";
        let waits = json!({ "for": "event", "since": since, "from": since, "until": until, "looked_back": true,
                            "types": [], "asked": { "kind": "go_on" } });
        let token = json!({ "node": "hold", "visit": 1, "waits": waits });
        self.stands(run, &json!({ "tokens": { "0": token }, "step_count": 1 })).await?;
        Ok(run)
    }

    async fn stands(&self, run: RunId, state: &serde_json::Value) -> anyhow::Result<()> {
        let state = state.to_string().replace('\'', "''");
        let sql = format!(
            "UPDATE runs_open SET status = 'waiting', epoch = 1, state = convert_to('{state}', 'UTF8') WHERE run_id = '{run}'"
        );
        self.database.execute(&sql).await
    }

    /// Suspends a node of the workflow.
    pub async fn suspend(&self, node: &str) -> anyhow::Result<()> {
        let sql = format!(
            "INSERT INTO suspended_parts
             SELECT tenant_id, version_id, 'node', '{node}', workflow_id, run_id, 3 FROM runs_open LIMIT 1"
        );
        self.database.execute(&sql).await
    }

    /// The letter of a run that failed for good.
    pub async fn dead_letter(&self, event_id: &str) -> anyhow::Result<DeadLetterId> {
        let started = self.run(event_id).await?;
        let tenant = self.session.tenant;
        let letter = NewDeadLetter {
            tenant_id: tenant,
            run_id: started.run_id,
            epoch: 1,
            workflow_id: self.workflow.workflow_id,
            version_id: self.workflow.version_id,
            step: Some(FailedStep { node: "tag".to_owned(), visit: 1, action: None }),
            code: "http_status".to_owned(),
            message: "503".to_owned(),
            attempts: Vec::new(),
            request: None,
            response: None,
            event_id: started.event_id,
            contact_id: Some(started.contact_id),
            run_key: "ada".to_owned(),
        };
        let checkpoint = Checkpoint {
            tenant_id: tenant,
            run_id: started.run_id,
            epoch: 1,
            priority: Priority::Medium,
            next: Next::Finished { status: automation_domain::interpreter::EndStatus::Failed },
            state: FAILED.as_bytes().to_vec(),
            steps: b"[]".to_vec(),
        };
        let scope = [tenant];
        let nudged = [(tenant, started.run_id)];
        self.worker
            .tx(Scope::Tenants(&scope), async |connection| {
                runs::claim(connection, &nudged, Duration::from_secs(600)).await.map(drop)
            })
            .await?;
        self.worker
            .tx(Scope::Tenants(&scope), async |connection| {
                let now = receipts::now(connection).await?;
                checkpoints::settle(connection, now, "worker", &[checkpoint]).await?;
                dead_letters::insert(connection, now, &[letter]).await
            })
            .await?;
        let filter = DeadLetterFilter { run: Some(started.run_id), ..DeadLetterFilter::default() };
        let ids = self
            .session
            .db
            .tx(Scope::Tenant(tenant), async |connection| {
                dead_letters::snapshot(connection, tenant, &filter, 1).await
            })
            .await?;
        Ok(ids[0])
    }

    /// An event that was refused.
    pub async fn parked_event(&self) -> anyhow::Result<Uuid> {
        let at = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let parked = Parked {
            parked_id: Uuid::from_u128(1),
            tenant_id: Some(self.session.tenant),
            reason: "not_granted".to_owned(),
            detail: "no grant".to_owned(),
            queue: "automation.ingest.high".to_owned(),
            routing_key: "form.submitted".to_owned(),
            content_type: None,
            amqp_user: Some("crm".to_owned()),
            headers: Map::new(),
            body: ParkedBody::Kept(b"{}".to_vec()),
            occurrences: 1,
            first_seen_at: at,
            last_seen_at: at,
            status: ParkedStatus::Open,
            changed_at: None,
            changed_by: None,
            note: None,
        };
        let scheduler = self.database.store::<Scheduler>();
        scheduler
            .tx(Scope::Unscoped, async |connection| {
                parked::record(connection, std::slice::from_ref(&parked)).await
            })
            .await?;
        Ok(parked.parked_id)
    }
}
