//! `automation tenant usage|quota`: what a tenant keeps, and what it may keep.

use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_operations::quotas::{self, Quota};
use automation_service_kit::config::rule;
use clap::Args;

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
    #[arg(value_parser = rule(Bytes::parse))]
    bytes: Bytes,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// A number of bytes, or what holds for tenants without a quota of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bytes(Option<i64>);

impl Bytes {
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
    let kept = quotas::usage(&args.database.operator()?, &args.key).await?;
    output.page(&["table", "bytes", "max_bytes", "used", "quota", "over"], &kept);
    Ok(())
}

/// Gives a tenant a quota of its own.
pub async fn set(args: QuotaArgs, output: &Output) -> anyhow::Result<()> {
    let auditor = args.audit.auditor()?;
    let Bytes(max_bytes) = args.bytes;
    let quota = Quota { key: args.key, table: args.table, max_bytes };
    let set = quotas::set(&args.database.operator()?, &auditor, quota).await?;
    output.one(&set, || match max_bytes {
        Some(bytes) => format!("tenant {} may keep {bytes} bytes of {}", set.key, set.table),
        None => format!("tenant {} has the default quota of {}", set.key, set.table),
    });
    Ok(())
}
