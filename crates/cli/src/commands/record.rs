//! `automation task` and `automation note`: what workflows left for people.

use crate::output::Output;
use crate::session::TenantArgs;
use automation_domain::id::{RecordId, RunId};
use automation_operations::records::{self, Filter};
use clap::{Args, Subcommand};

/// What to do with tasks.
#[derive(Subcommand, Debug)]
pub enum TaskCommand {
    /// List tasks, those of the latest runs first
    List(ListArgs),
}

/// What to do with notes.
#[derive(Subcommand, Debug)]
pub enum NoteCommand {
    /// List notes, those of the latest runs first
    List(ListArgs),
}

/// Which records are listed.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only about this contact, by subject, e-mail address or id
    #[arg(long, value_name = "WHO")]
    contact: Option<String>,
    /// Only those that this run made
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on after an earlier page
    #[arg(long)]
    cursor: Option<RecordId>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs a command on tasks.
pub async fn run_task(TaskCommand::List(args): TaskCommand, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let tasks = records::tasks(&session, &args.filter(), args.limit, args.cursor).await?;
    output.page(&["id", "contact", "title", "assignee", "due_at", "status", "run", "created_at"], &tasks);
    Ok(())
}

/// Runs a command on notes.
pub async fn run_note(NoteCommand::List(args): NoteCommand, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let notes = records::notes(&session, &args.filter(), args.limit, args.cursor).await?;
    output.page(&["id", "contact", "text", "run", "created_at"], &notes);
    Ok(())
}

impl ListArgs {
    fn filter(&self) -> Filter {
        Filter { contact: self.contact.clone(), run: self.run }
    }
}
