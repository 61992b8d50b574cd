//! `automation approval`: what runs ask people to approve.

use crate::exit;
use crate::output::{Output, time};
use crate::session::{AuditArgs, TenantArgs};
use crate::terminal::Lines;
use automation_domain::id::{ApprovalId, RunId};
use automation_operations::approvals::{self, Approval, ApprovalState, Filter};
use clap::{Args, Subcommand};

/// What to do with approvals.
#[derive(Subcommand, Debug)]
pub enum ApprovalCommand {
    /// List approvals, those of the latest runs first
    List(ListArgs),
    /// Show one approval
    Show {
        /// Its id
        id: ApprovalId,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Approve what a run asks
    Approve(DecideArgs),
    /// Reject what a run asks
    Reject(DecideArgs),
}

/// Which approvals are listed.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only those that stand like this: pending, approved, rejected, timed_out, cancelled, or all
    #[arg(long, value_name = "STATE", default_value = "pending")]
    status: String,
    /// Only those that this run asks for
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<ApprovalId>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation approval approve` and `reject`.
#[derive(Args, Debug)]
pub struct DecideArgs {
    /// Its id
    id: ApprovalId,
    /// Why: later steps can read it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(command: ApprovalCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        ApprovalCommand::List(args) => list(args, output).await,
        ApprovalCommand::Show { id, tenant } => {
            let found = approvals::show(&tenant.open().await?, id).await?;
            output.one(&found, || shown(&found));
            Ok(())
        }
        ApprovalCommand::Approve(args) => {
            let (session, who) = (args.tenant.open().await?, args.audit.auditor()?);
            let decided = approvals::approve(&session, &who, args.id, args.comment.as_deref()).await?;
            output.one(&decided, || format!("approval {} is {}", decided.id, decided.state));
            Ok(())
        }
        ApprovalCommand::Reject(args) => {
            let (session, who) = (args.tenant.open().await?, args.audit.auditor()?);
            let decided = approvals::reject(&session, &who, args.id, args.comment.as_deref()).await?;
            output.one(&decided, || format!("approval {} is {}", decided.id, decided.state));
            Ok(())
        }
    }
}

async fn list(args: ListArgs, output: &Output) -> anyhow::Result<()> {
    let state = match args.status.as_str() {
        "all" => None,
        word => Some(ApprovalState::from_key(word).ok_or_else(|| {
            let next = "use pending, approved, rejected, timed_out, cancelled or all";
            exit::usage(format!("\"{word}\" is no state of an approval"), next)
        })?),
    };
    let session = args.tenant.open().await?;
    let filter = Filter { state, run: args.run, before: args.cursor };
    let found = approvals::list(&session, &filter, args.limit).await?;
    output.page(&["id", "workflow", "node", "state", "question", "asked_at", "due_at"], &found);
    Ok(())
}

fn shown(approval: &Approval) -> Lines {
    let mut lines = Lines::default();
    lines.push(format!("approval {}: {}", approval.id, approval.state));
    lines.push(format!("asked by {} of run {}, at {}", approval.node, approval.run, time(approval.asked_at)));
    lines.push(format!("of {}: {}", approval.approvers.join(", "), approval.question));
    if let Some(due) = approval.due_at {
        lines.push(format!("until {}", time(due)));
    }
    if let (Some(by), Some(at)) = (&approval.decided_by, approval.closed_at) {
        let comment = approval.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        lines.push(format!("decided by {by} at {}{comment}", time(at)));
    }
    lines
}
