//! Heads: where logs end, kept elsewhere, so that a log which was put back to an earlier state is found out.

use super::NOBODY;
use crate::exit;
use crate::output::Output;
use crate::session::DatabaseArgs;
use automation_domain::audit::{Hash, from_hex, hex};
use automation_domain::id::TenantId;
use automation_store::access::tenants;
use automation_store::{DbRole, Scope, audit};
use serde_json::{Value, json};
use std::path::Path;

/// A head as kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Whose; the nil UUID for the log of no tenant.
    pub tenant: TenantId,
    /// The number of the entry that was the last.
    pub seq: i64,
    /// Its MAC.
    pub mac: Hash,
}

/// Prints the heads of all tenants, and that of no tenant.
pub async fn print(database: &DatabaseArgs, output: &Output) -> anyhow::Result<()> {
    let operator = database.db(DbRole::Operator)?;
    let all = operator.tx(Scope::Unscoped, async |connection| tenants::list(connection).await).await?;
    let chains = all.into_iter().map(|tenant| (Some(tenant.key), tenant.tenant_id)).chain([(None, NOBODY)]);
    let db = database.db(DbRole::Api)?;
    let mut rows = Vec::new();
    for (key, id) in chains {
        let head = db.tx(Scope::Tenant(id), async |connection| audit::head(connection, id).await).await?;
        rows.extend(head.map(
            |(head, _)| json!({ "tenant": key, "tenant_id": id, "number": head.seq, "mac": hex(&head.mac) }),
        ));
    }
    output.list(&["tenant", "number", "mac"], rows, None);
    Ok(())
}

/// Reads what [`print`] wrote as JSON.
pub fn read(file: &Path) -> anyhow::Result<Vec<Kept>> {
    let shown = file.display();
    let next = "give a file that holds what automation audit head --json printed";
    let text = std::fs::read_to_string(file)
        .map_err(|error| exit::usage(format!("cannot read {shown}: {error}"), next))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| exit::usage(format!("{shown} is no JSON: {error}"), next))?;
    let rows = value["data"].as_array();
    let kept = rows.and_then(|rows| rows.iter().map(kept).collect::<Option<Vec<_>>>());
    kept.ok_or_else(|| exit::usage(format!("{shown} holds something else than heads of the audit log"), next))
}

fn kept(row: &Value) -> Option<Kept> {
    Some(Kept {
        tenant: TenantId(row["tenant_id"].as_str()?.parse().ok()?),
        seq: row["number"].as_i64()?,
        mac: from_hex(row["mac"].as_str()?)?,
    })
}
