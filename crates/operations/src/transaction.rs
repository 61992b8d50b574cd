//! The transaction of a change.

use crate::{Auditor, Error};
use automation_domain::id::TenantId;
use automation_store::audit::{self, Deed};
use automation_store::{Db, PgConnection, Scope};

/// Changes something of a tenant in one transaction, and notes what was done in it; what was not done is not noted.
pub(crate) async fn change<T>(
    db: &Db,
    tenant: TenantId,
    auditor: &Auditor,
    work: impl AsyncFnOnce(&mut PgConnection) -> Result<(T, Option<Deed>), Error>,
) -> Result<T, Error> {
    db.tx(Scope::Tenant(tenant), async |connection| {
        let (done, deed) = work(connection).await?;
        audit::append(connection, tenant, auditor, deed.as_slice()).await?;
        Ok(done)
    })
    .await
}
