//! A tenant with a workflow, and pools of every role.

use automation_domain::id::RunId;
use automation_store::runs::{self, ClaimedRun};
use automation_store::{Db, DbRole, Error, Scope};
use automation_test_support::builders::{self, Published, Started};
use automation_test_support::database::TestDatabase;
use std::time::Duration;

pub use automation_domain::id::TenantId;

/// The lease that tests claim with: long enough to never run out by itself.
pub const LEASE: Duration = Duration::from_secs(600);

pub struct World {
    pub database: TestDatabase,
    pub operator: Db,
    pub api: Db,
    pub worker: Db,
    pub scheduler: Db,
    pub tenant: TenantId,
    pub workflow: Published,
}

impl World {
    pub async fn new() -> anyhow::Result<Self> {
        let database = TestDatabase::create().await?;
        let [operator, api, worker, scheduler] =
            [DbRole::Operator, DbRole::Api, DbRole::Worker, DbRole::Scheduler]
                .map(|role| database.store(role));
        let tenant = builders::tenant(&operator, "shop").await?;
        let workflow = builders::workflow(&api, tenant, "welcome").await?;
        Ok(Self { database, operator, api, worker, scheduler, tenant, workflow })
    }

    /// Queues the run of an event with this id.
    pub async fn run(&self, event_id: &str) -> Result<Started, Error> {
        builders::run(&self.worker, self.tenant, self.workflow, builders::event("shop", event_id)).await
    }

    /// Claims runs as a worker does.
    pub async fn claim(&self, runs: &[RunId]) -> Result<Vec<ClaimedRun>, Error> {
        let nudged: Vec<_> = runs.iter().map(|run| (self.tenant, *run)).collect();
        self.worker
            .tx(Scope::Tenants(&[self.tenant]), async |connection| {
                Ok(runs::claim(connection, &nudged, LEASE).await?.runs)
            })
            .await
    }

    /// The scope of the tenant's worker.
    pub fn scope(&self) -> Scope<'_> {
        Scope::Tenants(std::slice::from_ref(&self.tenant))
    }

    /// Lets the lease of every claimed run be over.
    pub async fn expire_leases(&self) -> anyhow::Result<()> {
        self.database
            .execute(
                "UPDATE runs_open SET lease_until = now() - interval '1 second' WHERE status = 'running'",
            )
            .await
    }

    /// Brings every wakeup's next look to this moment.
    pub async fn make_wakeups_due(&self) -> anyhow::Result<()> {
        self.database.execute("UPDATE wakeups SET due_at = now() - interval '1 second'").await
    }
}
