//! The transactions of changes.

use crate::{Auditor, Error};
use automation_domain::id::TenantId;
use automation_store::audit::{self, Deed};
use automation_store::role::{Api, OneOf, Operator, Role};
use automation_store::{Conn, Db, Scope};

/// Changes something of a tenant in one transaction, and notes what was done in it; what was not done is not noted.
pub(crate) async fn change<T, D: IntoIterator<Item = Deed>, R: OneOf<(Api, Operator)>>(
    db: &Db<R>,
    tenant: TenantId,
    auditor: &Auditor,
    work: impl AsyncFnOnce(&mut Conn<R>) -> Result<(T, D), Error>,
) -> Result<T, Error> {
    db.tx(Scope::Tenant(tenant), async |connection| {
        let (done, deeds) = work(connection).await?;
        let deeds: Vec<Deed> = deeds.into_iter().collect();
        audit::append(connection, tenant, auditor, &deeds).await?;
        Ok(done)
    })
    .await
}

/// Changes something of a tenant in one transaction, by a function of the store that notes itself what it did.
pub(crate) async fn change_noted<T, R: Role>(
    db: &Db<R>,
    tenant: TenantId,
    work: impl AsyncFnOnce(&mut Conn<R>) -> Result<T, automation_store::Error>,
) -> Result<T, Error> {
    Ok(db.tx(Scope::Tenant(tenant), work).await?)
}
