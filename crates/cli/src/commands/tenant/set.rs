//! `automation tenant set`: what holds for a tenant.

use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_operations::tenants::{self, Settings};
use clap::Args;

/// Arguments of `automation tenant set`.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// The tenant's key
    key: String,
    /// Its time zone, by its IANA name: Europe/Berlin
    #[arg(long)]
    timezone: String,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Sets it.
pub async fn run(args: SetArgs, output: &Output) -> anyhow::Result<()> {
    let auditor = args.audit.auditor()?;
    let settings = Settings { key: args.key, timezone: args.timezone };
    let set = tenants::set(&args.database.operator()?, &auditor, settings).await?;
    output.one(&set, || format!("tenant {} is in {}", set.key, set.timezone));
    Ok(())
}
