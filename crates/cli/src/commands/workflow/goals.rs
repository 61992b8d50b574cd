//! `automation workflow goals`: how often runs met what their workflow is for.

use crate::output::Output;
use crate::session::TenantArgs;
use automation_operations::workflows;
use clap::Args;

/// Arguments of `automation workflow goals`.
#[derive(Args, Debug)]
pub struct GoalsArgs {
    /// The workflow's key
    key: String,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Lists the versions with a goal, with their runs and how many of them met it.
pub async fn run(args: GoalsArgs, output: &Output) -> anyhow::Result<()> {
    let found = workflows::goals(&args.tenant.open().await?, &args.key).await?;
    output.page(&["version", "entered", "converted", "rate"], &found);
    Ok(())
}
