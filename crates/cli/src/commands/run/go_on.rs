//! Letting a run go on that stands at a pause of its workflow.

use crate::output::Output;
use crate::session::{AuditArgs, TenantArgs};
use automation_domain::id::RunId;
use automation_operations::runs;
use clap::Args;

/// Arguments of `automation run continue`.
#[derive(Args, Debug)]
pub struct GoOnArgs {
    /// Its id
    id: RunId,
    /// Only at this node; at all that it stands at without it
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Why: later steps can read it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(args: GoOnArgs, output: &Output) -> anyhow::Result<()> {
    let (session, who) = (args.tenant.open().await?, args.audit.auditor()?);
    let went_on = runs::go_on(&session, &who, args.id, args.node.as_deref(), args.comment.as_deref()).await?;
    output.one(&went_on, || format!("run {} goes on at {}", went_on.id, went_on.nodes.join(", ")));
    Ok(())
}
