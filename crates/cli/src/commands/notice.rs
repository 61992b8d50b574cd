//! `automation notice`: what the engine tells whoever owns a workflow.

use crate::output::{Output, time};
use crate::session::{AuditArgs, TenantArgs};
use automation_domain::id::NoticeId;
use automation_operations::notices::{self, Notice, Owned, Which};
use clap::{Args, Subcommand};

/// What to do with notices.
#[derive(Subcommand, Debug)]
pub enum NoticeCommand {
    /// List what the engine has to tell, the latest first
    List(ListArgs),
    /// Show a notice
    Show {
        /// Its id
        id: NoticeId,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Put a notice away; should it happen again, it is told again
    Dismiss {
        /// Its id
        id: NoticeId,
        #[command(flatten)]
        tenant: TenantArgs,
        #[command(flatten)]
        audit: AuditArgs,
    },
}

/// Which notices are listed.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Those that were dismissed too
    #[arg(long)]
    all: bool,
    /// Only about this workflow
    #[arg(long, value_name = "KEY")]
    workflow: Option<String>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(command: NoticeCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        NoticeCommand::List(args) => {
            let which = if args.all { Which::All } else { Which::Open };
            let found = notices::list(&args.tenant.open().await?, which, args.workflow.as_deref()).await?;
            output.page(&["id", "kind", "about", "occurrences", "last_at", "dismissed_by"], &found);
        }
        NoticeCommand::Show { id, tenant } => {
            let notice = notices::show(&tenant.open().await?, id).await?;
            output.one(&notice, || told(&notice));
        }
        NoticeCommand::Dismiss { id, tenant, audit } => {
            let auditor = audit.auditor()?;
            let notice = notices::dismiss(&tenant.open().await?, &auditor, id).await?;
            output.one(&notice, || told(&notice));
        }
    }
    Ok(())
}

fn told(notice: &Notice) -> Vec<String> {
    let whose = |Owned { workflow, owner }: &Owned| match owner {
        Some(owner) => format!("{workflow} of {owner}"),
        None => workflow.clone(),
    };
    let workflows: Vec<String> = notice.workflows.iter().map(whose).collect();
    let mut lines = vec![
        format!("Notice {}, {}", notice.id, notice.kind),
        notice.message.clone().unwrap_or_else(|| notice.about.clone()),
        format!("  workflows  {}", workflows.join(", ")),
        format!("  since      {}", time(notice.first_at)),
        format!("  last       {}", time(notice.last_at)),
        format!("  times      {}", notice.occurrences),
    ];
    if let (Some(at), Some(by)) = (notice.dismissed_at, &notice.dismissed_by) {
        lines.push(format!("  dismissed  {} by {by}", time(at)));
    }
    lines
}
