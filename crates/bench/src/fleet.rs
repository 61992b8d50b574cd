//! A whole engine for one measurement: a database and a virtual host of its own, a workflow, role processes.

use crate::engine::{Engine, Servers};
use crate::prepared::Prepared;
use crate::process::{self, CpuTimes};
use crate::progress::Progress;
use crate::publishing_user::PublishingUser;
use crate::role::Role;
use crate::workload::Workload;
use anyhow::Context;
use automation_broker::publisher::{Publisher, PublisherConfig};
use automation_domain::id::{VersionId, WorkflowId};
use automation_service_kit::ids::new_id;
use automation_store::role::Api;
use automation_store::{Scope, workflows};
use automation_test_support::broker::TestVhost;
use automation_test_support::database::TestDatabase;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Child;

/// How long draining may take, and how long the engine may stand still.
const PATIENCE: Duration = Duration::from_secs(30);
/// Batches that are published at once.
const LANES: usize = 4;

/// A running engine.
pub(crate) struct Fleet {
    pub(crate) database: TestDatabase,
    pub(crate) publisher: Publisher,
    pub(crate) user: String,
    pub(crate) engine: Engine,
    /// Contacts of each tenant.
    pub(crate) contacts: usize,
    pub(crate) progress: Arc<Progress>,
    vhost: TestVhost,
    rabbitmq_pid: u32,
    roles: BTreeMap<Role, Child>,
}

/// CPU times of everything that takes part, by name.
pub(crate) type CpuByPart = BTreeMap<&'static str, CpuTimes>;

/// Microseconds of CPU of each part between two moments.
pub(crate) fn cpu_between(
    before: &CpuByPart,
    after: &CpuByPart,
) -> impl Iterator<Item = (&'static str, u64)> {
    after.iter().map(|(part, after)| {
        let before = before.get(part).cloned().unwrap_or_default();
        (*part, process::between(&before, after))
    })
}

impl Fleet {
    /// Starts an engine on a copy of what was prepared; every tenant has the workload's workflow.
    pub(crate) async fn start(prepared: &Prepared, workload: &Workload) -> anyhow::Result<Self> {
        let mut fleet = Self::at_rest(prepared, workload).await?;
        fleet.start_roles()?;
        Ok(fleet)
    }

    /// The same without its roles: [`Self::start_roles`] starts them.
    pub(crate) async fn at_rest(prepared: &Prepared, workload: &Workload) -> anyhow::Result<Self> {
        let database = prepared.copy().await?;
        publish_workflow(&database, prepared, workload).await?;
        let service = match workload {
            Workload::Request(service) => Some(service.clone()),
            Workload::Note | Workload::Tag | Workload::Ten | Workload::Wait(_) => None,
        };
        let engine = Engine::Linked { program: prepared.program.clone(), service };
        Self::of(engine, database, &prepared.user, prepared.contacts).await
    }

    /// A fleet of any engine, at rest, on a database that has its tenants and their workflows; the load is to have so many
    /// contacts of each.
    pub(crate) async fn of(
        engine: Engine,
        database: TestDatabase,
        user: &PublishingUser,
        contacts: usize,
    ) -> anyhow::Result<Self> {
        let vhost = TestVhost::create().await?;
        engine.declare(Servers { database_url: database.url(), amqp_url: vhost.amqp_url() }).await?;
        let mut config = PublisherConfig::new(&user.admit(&vhost).await?, "bench");
        config.lanes = LANES;
        let publisher = Publisher::connect_with(config).await?;
        let rabbitmq_pid = process::rabbitmq_pid(vhost.management_url()).await?;
        Ok(Self {
            database,
            publisher,
            user: user.name().to_owned(),
            engine,
            contacts,
            progress: Arc::default(),
            vhost,
            rabbitmq_pid,
            roles: BTreeMap::new(),
        })
    }

    /// Starts every role in a process of its own.
    pub(crate) fn start_roles(&mut self) -> anyhow::Result<()> {
        let servers = Servers { database_url: self.database.url(), amqp_url: self.vhost.amqp_url() };
        for role in Role::ALL {
            let child = self.engine.start(role, servers, &self.progress)?;
            self.roles.insert(role, child);
        }
        Ok(())
    }

    /// The processes of the roles.
    pub(crate) fn pids(&self) -> anyhow::Result<BTreeMap<&'static str, u32>> {
        let pid = |role: &Role, child: &Child| {
            Ok((role.name(), child.id().with_context(|| format!("{} has ended", role.name()))?))
        };
        self.roles.iter().map(|(role, child)| pid(role, child)).collect()
    }

    /// CPU times of everything that takes part.
    pub(crate) async fn cpu(&self, connection: &mut sqlx::PgConnection) -> anyhow::Result<CpuByPart> {
        let mut parts: CpuByPart =
            self.pids()?.into_iter().map(|(name, pid)| (name, process::times(&[pid]))).collect();
        parts.insert("publisher", process::times(&[std::process::id()]));
        parts.insert("rabbitmq", process::times(&[self.rabbitmq_pid]));
        parts.insert("postgres", process::times(&process::postgres_pids(connection).await?));
        Ok(parts)
    }

    /// The most memory that each role had so far, in MiB.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<BTreeMap<&'static str, f64>> {
        let peak = |(name, pid)| Some((name, process::peak_memory_mib(pid)?));
        Ok(self.pids()?.into_iter().filter_map(peak).collect())
    }

    /// The memory that all roles have together, in MiB; pages that they share, such as those of the program, count once.
    pub(crate) fn memory_together(&self) -> anyhow::Result<f64> {
        self.pids()?.into_values().map(process::proportional_memory_mib).sum()
    }

    /// The memory that each role has, in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<BTreeMap<&'static str, f64>> {
        let resident = |(name, pid)| Some((name, process::resident_memory_mib(pid)?));
        Ok(self.pids()?.into_iter().filter_map(resident).collect())
    }

    /// Waits until this many runs have finished and this many events of the load are recorded; fails when there is no
    /// progress for half a minute.
    pub(crate) async fn until_done(&self, events: u64, runs: u64) -> anyhow::Result<()> {
        let state = || (self.progress.recorded(), self.progress.finished());
        let (mut last, mut moved) = (state(), Instant::now());
        while last.0 < events || last.1 < runs {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let (recorded, finished) = state();
            if (recorded, finished) != last {
                (last, moved) = ((recorded, finished), Instant::now());
            } else if moved.elapsed() > PATIENCE {
                anyhow::bail!(
                    "{recorded} of {events} events recorded and {finished} of {runs} runs finished, and no more \
                     for {PATIENCE:?}"
                );
            }
        }
        Ok(())
    }

    /// Drains all roles; each must end well.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for (role, mut child) in std::mem::take(&mut self.roles) {
            self.engine.stop(&mut child).await?;
            let status = tokio::time::timeout(PATIENCE, child.wait())
                .await
                .with_context(|| format!("{} does not drain", role.name()))??;
            anyhow::ensure!(status.success(), "{} ended with {status}", role.name());
        }
        self.publisher.close().await;
        self.vhost.close().await
    }
}

async fn publish_workflow(
    database: &TestDatabase,
    prepared: &Prepared,
    workload: &Workload,
) -> anyhow::Result<()> {
    let compiled = workload.compile()?;
    let api = database.store::<Api>();
    for tenant in &prepared.tenants {
        api.tx(Scope::Tenant(*tenant), async |connection| {
            let (workflow, version) = (WorkflowId(new_id()), VersionId(new_id()));
            workflows::apply(connection, *tenant, &compiled, workflow, version).await
        })
        .await?;
    }
    api.close().await;
    Ok(())
}
