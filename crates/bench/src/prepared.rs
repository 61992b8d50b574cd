//! What every engine of the benchmark begins with: tenants with their contacts, loaded once and copied for each.

use crate::publishing_user::PublishingUser;
use anyhow::Context;
use automation_domain::id::{ContactId, TenantId};
use automation_store::access::tenants::{self, Grant};
use automation_store::records::contacts;
use automation_store::role::{Operator, Worker};
use automation_store::{Db, Scope};
use automation_test_support::builders;
use automation_test_support::database::TestDatabase;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) const TENANTS: usize = 50;
/// Contacts made in one transaction.
const AT_ONCE: usize = 5_000;

/// A database to copy, and a user of the broker who may publish for its tenants.
pub(crate) struct Prepared {
    database: TestDatabase,
    pub(crate) tenants: Vec<TenantId>,
    /// Contacts of each tenant.
    pub(crate) contacts: usize,
    pub(crate) user: PublishingUser,
    /// What roles are started from: a copy of this program, whose pages in memory this process has no part in.
    pub(crate) program: PathBuf,
}

impl Prepared {
    /// Makes tenants that have so many contacts together.
    pub(crate) async fn load(contacts: usize) -> anyhow::Result<Self> {
        let database = TestDatabase::create().await?;
        let user = PublishingUser::create().await?;
        let (operator, worker) = (database.store::<Operator>(), database.store::<Worker>());
        let mut tenants = Vec::with_capacity(TENANTS);
        for number in 0..TENANTS {
            let tenant_id = builders::tenant(&operator, &tenant_key(number)).await?;
            let event_types = vec!["*".to_owned()];
            let grant = Grant { tenant_id, amqp_user: user.name().to_owned(), event_types, expires_at: None };
            operator.tx(Scope::Unscoped, async |connection| tenants::grant(connection, &grant).await).await?;
            add_contacts(&worker, tenant_id, contacts / TENANTS).await?;
            tenants.push(tenant_id);
        }
        operator.close().await;
        worker.close().await;
        // What autovacuum would have done by itself: every copy begins with its statistics.
        database.execute("VACUUM ANALYZE").await?;
        let own = std::env::current_exe()?;
        let program = own.with_file_name("automation-bench-role");
        std::fs::copy(own, &program).context("copying the benchmark's program for its roles")?;
        Ok(Self { database, tenants, contacts: contacts / TENANTS, user, program })
    }

    /// A database with all of it.
    pub(crate) async fn copy(&self) -> anyhow::Result<TestDatabase> {
        self.database.copy().await
    }

    /// Forgets the user; the database goes with the value.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.user.remove().await
    }
}

async fn add_contacts(worker: &Db<Worker>, tenant: TenantId, count: usize) -> anyhow::Result<()> {
    let subjects: Vec<String> = (0..count).map(subject).collect();
    for some in subjects.chunks(AT_ONCE) {
        let rows: BTreeMap<(TenantId, ContactId), &str> = some
            .iter()
            .map(|subject| ((tenant, ContactId::derive(tenant, subject)), subject.as_str()))
            .collect();
        worker
            .tx(Scope::Tenants(&[tenant]), async |connection| contacts::ensure(connection, &rows).await)
            .await?;
    }
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
