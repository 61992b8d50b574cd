//! A tenant with a workflow, and pools of every role.

use automation_domain::id::RunId;
use automation_store::role::{Api, Operator, Role, Scheduler, Worker};
use automation_store::runs::{self, ClaimedRun};
use automation_store::{Db, Error, Scope};
use automation_test_support::builders::{self, Published, Started};
use automation_test_support::database::TestDatabase;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;

pub use automation_domain::id::TenantId;

/// The lease that tests claim with: long enough to never run out by itself.
pub const LEASE: Duration = Duration::from_secs(600);

pub struct World {
    pub database: TestDatabase,
    pub operator: Db<Operator>,
    pub api: Db<Api>,
    pub worker: Db<Worker>,
    pub scheduler: Db<Scheduler>,
    pub tenant: TenantId,
    pub workflow: Published,
}

/// A pool of whatever role, for tests that try the same as several.
pub trait AnyPool {
    /// Runs a statement in a transaction of its own.
    fn attempt<'a>(&'a self, scope: Scope<'a>, sql: &'a str) -> LocalBoxFuture<'a, Result<(), Error>>;
    /// What a statement came to, which is undone: the number it gave, or a refusal.
    fn try_sql<'a>(&'a self, scope: Scope<'a>, sql: &'a str) -> LocalBoxFuture<'a, Result<i64, String>>;
}

impl<R: Role> AnyPool for Db<R> {
    fn attempt<'a>(&'a self, scope: Scope<'a>, sql: &'a str) -> LocalBoxFuture<'a, Result<(), Error>> {
        let attempt = self.tx(scope, async |connection| {
            connection.bare().execute(AssertSqlSafe(sql.to_owned())).await?;
            Ok(())
        });
        attempt.boxed_local()
    }

    fn try_sql<'a>(&'a self, scope: Scope<'a>, sql: &'a str) -> LocalBoxFuture<'a, Result<i64, String>> {
        let tried = async move {
            let outcome = self
                .tx(scope, async |connection| {
                    let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
                        .fetch_one(connection.bare())
                        .await?;
                    // Nothing that is tried here is to last.
                    Err::<(), Error>(Error::Unreadable {
                        table: "",
                        column: "",
                        id: String::new(),
                        reason: count.to_string(),
                    })
                })
                .await;
            match outcome {
                Ok(()) => Err("a transaction that failed was committed".to_owned()),
                Err(Error::Unreadable { reason, .. }) => Ok(reason.parse().unwrap()),
                Err(error) => Err(error.to_string()),
            }
        };
        tried.boxed_local()
    }
}

impl World {
    pub async fn new() -> anyhow::Result<Self> {
        let database = TestDatabase::create().await?;
        let (operator, api, worker, scheduler) =
            (database.store(), database.store(), database.store(), database.store());
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
