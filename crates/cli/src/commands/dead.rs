//! `automation dead`: runs that failed for good.

mod edit;
mod group;
mod handle;
mod replay;
mod select;
mod show;

use crate::exit;
use crate::output::Output;
use crate::session::TenantArgs;
use crate::terminal::Lines;
use automation_domain::id::DeadLetterId;
use automation_operations::dead_letters::{self, DeadLetterStatus};
use clap::{Args, Subcommand};
use select::FilterArgs;

/// What to do with dead letters.
#[derive(Subcommand, Debug)]
pub enum DeadCommand {
    /// List dead letters, the latest first, or groups of alike failures
    List(Box<ListArgs>),
    /// Show one dead letter: every attempt, what was sent, what came back
    Show {
        /// Its id
        id: DeadLetterId,
        /// Print the stored request alone, as JSON: to be edited for dead replay --edit
        #[arg(long)]
        request: bool,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Show a group of alike failures, or say who looks after it and what is known of it
    Group(Box<group::GroupArgs>),
    /// Bring runs back to the step that failed
    Replay(Box<replay::ReplayArgs>),
    /// Put dead letters into the archive: nothing is to be done about them
    Discard(Box<handle::HandleArgs>),
    /// Take dead letters out of the archive
    Restore(Box<handle::HandleArgs>),
}

/// Arguments of `automation dead list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Count alike failures instead, by signature
    #[arg(long, conflicts_with = "cursor")]
    group: bool,
    /// Only in this state: open, replayed, discarded, or all
    #[arg(long, default_value = "open")]
    status: String,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<DeadLetterId>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(command: DeadCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        DeadCommand::List(args) => list(*args, output).await,
        DeadCommand::Show { id, request, tenant } => {
            let letter = dead_letters::show(&tenant.open().await?, id).await?;
            if request {
                let stored = letter.0.request.ok_or_else(|| {
                    exit::not_found(
                        "the failed step has no stored request",
                        format!("automation dead show {id}"),
                    )
                })?;
                output.one(&stored, || {
                    Lines::of_block(&serde_json::to_string_pretty(&stored).unwrap_or_default())
                });
                return Ok(());
            }
            output.one(&letter, || show::text(&letter));
            Ok(())
        }
        DeadCommand::Group(args) => group::run(*args, output).await,
        DeadCommand::Replay(args) => replay::run(*args, output).await,
        DeadCommand::Discard(args) => handle::discard(*args, output).await,
        DeadCommand::Restore(args) => handle::restore(*args, output).await,
    }
}

async fn list(args: ListArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let status = match args.status.as_str() {
        "all" => None,
        word => Some(DeadLetterStatus::from_key(word).ok_or_else(|| {
            exit::usage(format!("\"{word}\" is not a state"), "use open, replayed, discarded or all")
        })?),
    };
    let filter = args.filter.filter();
    if args.group {
        let groups = dead_letters::groups(&session, &filter, status, args.limit).await?;
        output.page(&group::COLUMNS, &groups);
        return Ok(());
    }
    let letters = dead_letters::list(&session, &filter, status, args.limit, args.cursor).await?;
    output.page(
        &["id", "workflow", "node", "action", "code", "contact", "died_at", "status", "signature", "message"],
        &letters,
    );
    Ok(())
}
