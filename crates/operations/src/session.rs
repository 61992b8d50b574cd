//! One tenant's data.

use crate::{Auditor, Error, Refusal, transaction};
use automation_domain::id::TenantId;
use automation_store::access::tenants;
use automation_store::audit::Deed;
use automation_store::role::{Api, OneOf, Operator, Role};
use automation_store::{Conn, Db, Scope};

/// One tenant's data, as role `R` sees it.
#[derive(Clone, Debug)]
pub struct Session<R = Api> {
    /// The database.
    pub db: Db<R>,
    /// The tenant.
    pub tenant: TenantId,
    /// Its key.
    pub key: String,
}

impl<R: Role> Session<R> {
    /// Looks the tenant with this key up.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoTenant`]; [`Error::Store`].
    pub async fn open(operator: &Db<Operator>, db: Db<R>, key: &str) -> Result<Self, Error> {
        let tenant = find(operator, key).await?.tenant_id;
        Ok(Self { db, tenant, key: key.to_owned() })
    }

    fn scope(&self) -> Scope<'static> {
        Scope::Tenant(self.tenant)
    }

    /// Reads in one transaction.
    pub(crate) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Conn<R>) -> Result<T, automation_store::Error>,
    ) -> Result<T, Error> {
        Ok(self.db.read(self.scope(), work).await?)
    }

    /// Changes something in one transaction, and notes what was done in it.
    pub(crate) async fn change<T, D: IntoIterator<Item = Deed>>(
        &self,
        auditor: &Auditor,
        work: impl AsyncFnOnce(&mut Conn<R>) -> Result<(T, D), Error>,
    ) -> Result<T, Error>
    where
        R: OneOf<(Api, Operator)>,
    {
        transaction::change(&self.db, self.tenant, auditor, work).await
    }

    /// Changes something in one transaction, by a function of the store that notes itself what it did.
    pub(crate) async fn change_noted<T>(
        &self,
        work: impl AsyncFnOnce(&mut Conn<R>) -> Result<T, automation_store::Error>,
    ) -> Result<T, Error> {
        transaction::change_noted(&self.db, self.tenant, work).await
    }
}

/// The tenant with this key.
pub(crate) async fn find(operator: &Db<Operator>, key: &str) -> Result<tenants::Tenant, Error> {
    let keys = [key.to_owned()];
    let found =
        operator.read(Scope::Unscoped, async |connection| tenants::by_keys(connection, &keys).await).await?;
    Ok(found.into_iter().next().ok_or_else(|| Refusal::NoTenant(key.to_owned()))?)
}
