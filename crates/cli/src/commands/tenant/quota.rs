//! `automation tenant usage|quota`: what a tenant keeps, and what it may keep.

use super::find;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_service_kit::config::rule;
use automation_store::audit::{self, Deed};
use automation_store::upkeep::usage::{self, Kept};
use automation_store::{DbRole, Scope};
use clap::Args;
use serde_json::json;

/// Arguments of `automation tenant usage`.
#[derive(Args, Debug)]
pub struct UsageArgs {
    /// The tenant's key
    key: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Arguments of `automation tenant quota`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  automation tenant quota acme events 100GiB\n  \
                        automation tenant quota acme parked_events default")]
pub struct QuotaArgs {
    /// The tenant's key
    key: String,
    /// The table, as `tenant usage` names it
    table: String,
    /// Most bytes: 5000000, 512MiB, 100GiB; or `default`
    #[arg(value_parser = rule(Quota::parse))]
    bytes: Quota,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// A number of bytes, or what holds for tenants without a quota of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Quota(Option<i64>);

impl Quota {
    fn parse(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, i64); 4] =
            [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
        if text == "default" {
            return Ok(Self(None));
        }
        let unit = UNITS.iter().find_map(|(name, size)| Some((text.strip_suffix(name)?.trim_end(), *size)));
        let (number, size) = unit.unwrap_or((text, 1));
        let bytes = number
            .parse::<i64>()
            .ok()
            .filter(|number| *number > 0)
            .and_then(|number| number.checked_mul(size));
        bytes.map(|bytes| Self(Some(bytes))).ok_or_else(|| {
            format!("\"{text}\" is no quota: write a whole number of bytes above 0, with KiB, MiB, GiB or TiB, or default")
        })
    }
}

/// Lists what a tenant keeps of each table.
pub async fn usage(args: UsageArgs, output: &Output) -> anyhow::Result<()> {
    let db = args.database.db(DbRole::Operator)?;
    let tenant = find(&db, &args.key).await?.tenant_id;
    let kept = db.tx(Scope::Unscoped, async |connection| usage::of_tenant(connection, tenant).await).await?;
    let row = |kept: &Kept| {
        json!({
            "table": kept.table, "bytes": kept.bytes, "max_bytes": kept.max_bytes,
            "used": format!("{:.1} %", kept.bytes as f64 * 100.0 / kept.max_bytes as f64),
            "quota": if kept.own_quota { "own" } else { "default" }, "over": kept.bytes > kept.max_bytes,
        })
    };
    output.list(
        &["table", "bytes", "max_bytes", "used", "quota", "over"],
        kept.iter().map(row).collect(),
        None,
    );
    Ok(())
}

/// Gives a tenant a quota of its own.
pub async fn set(args: QuotaArgs, output: &Output) -> anyhow::Result<()> {
    let auditor = args.audit.auditor()?;
    let db = args.database.db(DbRole::Operator)?;
    let tenant = find(&db, &args.key).await?.tenant_id;
    let Quota(bytes) = args.bytes;
    let deed = Deed {
        action: "tenant.quota",
        subject: format!("tenant {}", args.key),
        detail: json!({ "table": args.table, "max_bytes": bytes }),
    };
    let known = db
        .tx(Scope::Tenant(tenant), async |connection| {
            let known = usage::set_quota(connection, tenant, &args.table, bytes).await?;
            if known {
                audit::append(connection, tenant, &auditor, std::slice::from_ref(&deed)).await?;
            }
            Ok::<_, automation_store::Error>(known)
        })
        .await?;
    if !known {
        return Err(exit::not_found(
            format!("there is no table \"{}\" with a quota", args.table),
            "automation tenant usage lists them",
        ));
    }
    output.one(&json!({ "key": args.key, "table": args.table, "max_bytes": bytes }), || match bytes {
        Some(bytes) => format!("tenant {} may keep {bytes} bytes of {}", args.key, args.table),
        None => format!("tenant {} has the default quota of {}", args.key, args.table),
    });
    Ok(())
}
