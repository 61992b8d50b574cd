//! Heads: where logs end, kept elsewhere, so that a log which was put back to an earlier state is found out.

use super::NOBODY;
use crate::{Error, Page};
use automation_domain::audit::{Hash, from_hex, hex};
use automation_domain::id::TenantId;
use automation_store::access::tenants;
use automation_store::role::{Api, Operator};
use automation_store::{Db, Scope, audit};
use serde::Serialize;
use serde_json::Value;

/// Where a log ends.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The tenant's key; `None` for the log of what concerns no tenant.
    pub tenant: Option<String>,
    /// Its id; the nil UUID for that log.
    pub tenant_id: TenantId,
    /// The number of the last entry.
    pub number: i64,
    /// Its MAC in hexadecimal digits.
    pub mac: String,
}

/// A head as kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptHead {
    /// Whose; the nil UUID for the log of no tenant.
    pub tenant: TenantId,
    /// The number of the entry that was the last.
    pub seq: i64,
    /// Its MAC.
    pub mac: Hash,
}

/// Where the logs of all tenants end, and that of no tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn heads(operator: &Db<Operator>, api: &Db<Api>) -> Result<Page<Head>, Error> {
    let all = operator.read(Scope::Unscoped, async |connection| tenants::list(connection).await).await?;
    let chains = all.into_iter().map(|tenant| (Some(tenant.key), tenant.tenant_id)).chain([(None, NOBODY)]);
    let mut heads = Vec::new();
    for (tenant, tenant_id) in chains {
        let head = async |connection: &mut _| audit::head(connection, tenant_id).await;
        if let Some((head, _)) = api.read(Scope::Tenant(tenant_id), head).await? {
            heads.push(Head { tenant, tenant_id, number: head.seq, mac: hex(&head.mac) });
        }
    }
    Ok(Page::whole(heads))
}

impl KeptHead {
    /// Reads the list that [`heads`] gave, as JSON; `None` when it is something else.
    pub fn read(list: &Value) -> Option<Vec<Self>> {
        list["data"].as_array()?.iter().map(Self::of).collect()
    }

    fn of(row: &Value) -> Option<Self> {
        Some(Self {
            tenant: TenantId(row["tenant_id"].as_str()?.parse().ok()?),
            seq: row["number"].as_i64()?,
            mac: from_hex(row["mac"].as_str()?)?,
        })
    }
}
