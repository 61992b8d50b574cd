//! A whole engine for one measurement: a database and a virtual host of its own, tenants, a workflow, role processes.

use crate::cpu::{self, CpuTimes};
use crate::role::Role;
use anyhow::Context;
use automation_broker::management::Management;
use automation_broker::permissions;
use automation_broker::publisher::{Publisher, PublisherConfig};
use automation_broker::topology::Topology;
use automation_domain::id::{ContactId, TenantId, VersionId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::workflow::{self, Workflow};
use automation_service_kit::ids::new_id;
use automation_store::tenants::{self, Grant};
use automation_store::{DbRole, Scope, contacts, workflows};
use automation_test_support::broker::TestVhost;
use automation_test_support::builders;
use automation_test_support::database::TestDatabase;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

pub(crate) const TENANTS: usize = 50;
pub(crate) const CONTACTS: usize = 10_000;
const PASSWORD: &str = "bench";
/// How long draining may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the workflow does with each event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Adds a note.
    Note,
    /// Adds a tag, which is published as an event and taken in again.
    Tag,
}

/// A running engine.
pub(crate) struct Fleet {
    pub(crate) database: TestDatabase,
    pub(crate) publisher: Publisher,
    pub(crate) user: String,
    pub(crate) finished: Arc<AtomicU64>,
    vhost: TestVhost,
    management: Management,
    rabbitmq_pid: u32,
    roles: BTreeMap<Role, Child>,
}

/// CPU times of everything that takes part, by name.
pub(crate) type CpuByPart = BTreeMap<&'static str, CpuTimes>;

impl Fleet {
    /// Starts the engine with tenants, contacts and one workflow per tenant.
    pub(crate) async fn start(effect: Effect) -> anyhow::Result<Self> {
        let (database, vhost) = (TestDatabase::create().await?, TestVhost::create().await?);
        Topology::standard().apply(vhost.amqp_url()).await?;
        let management = Management::new(vhost.management_url())?;
        let user = format!("bench-{}", new_id().simple());
        management.create_user(&user, PASSWORD).await?;
        let (general, topic) = permissions::publisher(".*");
        management.set_permissions(vhost.name(), &user, &general).await?;
        management.set_topic_permissions(vhost.name(), &user, &topic).await?;
        prepare(&database, &user, effect).await?;
        let mut config = PublisherConfig::new(&vhost.amqp_url_as(&user, PASSWORD)?, "bench");
        config.lanes = 4;
        let publisher = Publisher::connect_with(config).await?;
        let rabbitmq_pid = cpu::rabbitmq_pid(vhost.management_url()).await?;
        let mut fleet = Self {
            database,
            publisher,
            user,
            finished: Arc::default(),
            vhost,
            management,
            rabbitmq_pid,
            roles: BTreeMap::new(),
        };
        for role in Role::ALL {
            fleet.start_role(role)?;
        }
        Ok(fleet)
    }

    fn start_role(&mut self, role: Role) -> anyhow::Result<()> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["role", role.name()])
            .env("BENCH_DATABASE_URL", self.database.url())
            .env("BENCH_AMQP_URL", self.vhost.amqp_url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", role.name()))?;
        if let Some(output) = child.stdout.take() {
            tokio::spawn(follow(output, self.finished.clone()));
        }
        self.roles.insert(role, child);
        Ok(())
    }

    /// CPU times of everything that takes part.
    pub(crate) async fn cpu(&self, connection: &mut sqlx::PgConnection) -> anyhow::Result<CpuByPart> {
        let mut parts = CpuByPart::new();
        for (role, child) in &self.roles {
            let pid = child.id().with_context(|| format!("{} has ended", role.name()))?;
            parts.insert(role.name(), cpu::times(&[pid]));
        }
        parts.insert("publisher", cpu::times(&[std::process::id()]));
        parts.insert("rabbitmq", cpu::times(&[self.rabbitmq_pid]));
        parts.insert("postgres", cpu::times(&cpu::postgres_pids(connection).await?));
        Ok(parts)
    }

    /// Waits until this many runs have finished; fails when there is no progress for half a minute.
    pub(crate) async fn until_finished(&self, runs: u64) -> anyhow::Result<()> {
        let (mut last, mut moved) = (self.finished.load(Ordering::Relaxed), Instant::now());
        while last < runs {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let finished = self.finished.load(Ordering::Relaxed);
            if finished != last {
                (last, moved) = (finished, Instant::now());
            } else if moved.elapsed() > PATIENCE {
                anyhow::bail!("{finished} of {runs} runs finished, and no more for {PATIENCE:?}");
            }
        }
        Ok(())
    }

    /// Drains all roles; each must end well.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for (role, mut child) in std::mem::take(&mut self.roles) {
            drop(child.stdin.take());
            let status = tokio::time::timeout(PATIENCE, child.wait())
                .await
                .with_context(|| format!("{} does not drain", role.name()))??;
            anyhow::ensure!(status.success(), "{} ended with {status}", role.name());
        }
        self.publisher.close().await;
        self.management.delete_user(&self.user).await?;
        self.vhost.close().await
    }
}

/// Keeps the last number that an executor printed.
async fn follow(output: ChildStdout, finished: Arc<AtomicU64>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(number) = line.trim().parse() {
            finished.store(number, Ordering::Relaxed);
        }
    }
}

async fn prepare(database: &TestDatabase, user: &str, effect: Effect) -> anyhow::Result<()> {
    let compiled = compile(effect)?;
    let (operator, api, worker) =
        (database.store(DbRole::Operator), database.store(DbRole::Api), database.store(DbRole::Worker));
    for number in 0..TENANTS {
        let tenant_id = builders::tenant(&operator, &tenant_key(number)).await?;
        let grant = Grant {
            tenant_id,
            amqp_user: user.to_owned(),
            event_types: vec!["*".to_owned()],
            expires_at: None,
        };
        operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await?;
        api.tx(Scope::Tenant(tenant_id), async |connection| {
            let (workflow, version) = (WorkflowId(new_id()), VersionId(new_id()));
            workflows::apply(connection, tenant_id, &compiled, workflow, version).await
        })
        .await?;
        add_contacts(&worker, tenant_id).await?;
    }
    for pool in [operator, api, worker] {
        pool.close().await;
    }
    // What autovacuum would have done by itself on a database that is a minute old.
    database.execute("ANALYZE").await
}

async fn add_contacts(worker: &automation_store::Db, tenant: TenantId) -> anyhow::Result<()> {
    let subjects: Vec<String> = (0..CONTACTS / TENANTS).map(subject).collect();
    let rows: BTreeMap<(TenantId, ContactId), &str> = subjects
        .iter()
        .map(|subject| ((tenant, ContactId::derive(tenant, subject)), subject.as_str()))
        .collect();
    worker
        .tx(Scope::Tenants(&[tenant]), async |connection| contacts::ensure(connection, &rows).await)
        .await?;
    Ok(())
}

/// The key of a tenant by its number.
pub(crate) fn tenant_key(number: usize) -> String {
    format!("tenant-{number}")
}

/// What publishers call a contact of any tenant, by its number there.
pub(crate) fn subject(number: usize) -> String {
    format!("customer-{number}")
}

/// The workflow of every tenant: a trigger, a condition that every event of the load meets, one action, the end.
pub(crate) fn compile(effect: Effect) -> anyhow::Result<Workflow> {
    let act = match effect {
        Effect::Note => json!({
            "id": "act", "action": "add_note", "with": { "text": "Ordered for {{ event.data.total }}" },
        }),
        Effect::Tag => json!({ "id": "act", "action": "add_tag", "with": { "tag": "{{ event.id }}" } }),
    };
    let definition: Value = json!({
        "apiVersion": "automation/v1", "key": "large-orders", "name": "Large orders",
        "triggers": [{ "id": "ordered", "event": "order.created" }],
        "nodes": [
            { "id": "large", "action": "branch", "with": { "cases": [
                { "name": "large", "where": { "field": "event.data.total", "op": "greater_than", "value": 50 } },
            ] } },
            act,
            { "id": "end", "action": "stop_workflow" },
        ],
        "edges": [
            ["ordered", "large"],
            { "from": "large", "case": "large", "to": "act" },
            { "from": "large", "case": "else", "to": "end" },
            ["act", "end"],
        ],
    });
    workflow::parse_value(&definition, automation_actions::contracts(), &Limits::default())
        .map_err(|problems| anyhow::anyhow!("the benchmark's workflow: {problems:?}"))
}
