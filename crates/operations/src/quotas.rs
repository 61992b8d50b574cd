//! What a tenant keeps, and what it may keep.

use crate::{Auditor, Error, Page, Refusal, session, transaction};
use automation_store::audit::Deed;
use automation_store::role::Operator;
use automation_store::upkeep::usage::{self, Kept};
use automation_store::{Db, Scope};
use serde::Serialize;
use serde_json::json;

/// What a tenant keeps of a table.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Usage {
    /// The table.
    pub table: String,
    /// Bytes that it keeps.
    pub bytes: i64,
    /// Bytes that it may keep.
    pub max_bytes: i64,
    /// The one as a part of the other, in per cent.
    pub used: String,
    /// `own`, or `default` where it has none of its own.
    pub quota: &'static str,
    /// Whether it keeps more than it may.
    pub over: bool,
}

/// A quota as set.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    /// The tenant's key.
    pub key: String,
    /// The table, as [`usage`] names it.
    pub table: String,
    /// Most bytes; `None` for what holds for tenants without a quota of their own.
    pub max_bytes: Option<i64>,
}

/// What a tenant keeps of each table.
///
/// # Errors
///
/// [`Refusal::NoTenant`]; [`Error::Store`].
pub async fn usage(operator: &Db<Operator>, tenant: &str) -> Result<Page<Usage>, Error> {
    let tenant = session::find(operator, tenant).await?.tenant_id;
    let of_tenant = async |connection: &mut _| usage::of_tenant(connection, tenant).await;
    let kept = operator.read(Scope::Unscoped, of_tenant).await?;
    Ok(Page::whole(kept.into_iter().map(of_table).collect()))
}

/// Sets a tenant's quota of a table.
///
/// # Errors
///
/// [`Refusal::NoTenant`], [`Refusal::NoQuota`]; [`Error::Store`].
pub async fn set(operator: &Db<Operator>, auditor: &Auditor, quota: Quota) -> Result<Quota, Error> {
    let tenant = session::find(operator, &quota.key).await?.tenant_id;
    let Quota { key, table, max_bytes } = &quota;
    let known = transaction::change(operator, tenant, auditor, async |connection| {
        let known = usage::set_quota(connection, tenant, table, *max_bytes).await?;
        let (subject, detail) = (format!("tenant {key}"), json!({ "table": table, "max_bytes": max_bytes }));
        Ok((known, known.then_some(Deed { action: "tenant.quota", subject, detail })))
    })
    .await?;
    if known {
        return Ok(quota);
    }
    let Quota { key: tenant, table, .. } = quota;
    Err(Refusal::NoQuota { tenant, table }.into())
}

fn of_table(kept: Kept) -> Usage {
    Usage {
        used: format!("{:.1} %", kept.bytes as f64 * 100.0 / kept.max_bytes as f64),
        quota: if kept.own_quota { "own" } else { "default" },
        over: kept.bytes > kept.max_bytes,
        table: kept.table,
        bytes: kept.bytes,
        max_bytes: kept.max_bytes,
    }
}
