//! `automation task` and `automation note`: what workflows left for people.

use super::contact;
use crate::output::{Output, time};
use crate::session::TenantArgs;
use automation_domain::id::{RecordId, RunId};
use automation_domain::record::{Note, Task};
use automation_operations::Session;
use automation_store::records::{Listed, RecordFilter, notes, tasks};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
    let (filter, limit) = (args.filter(&session).await?, i64::from(args.limit) + 1);
    let found = session
        .db
        .tx(session.scope(), async |connection| tasks::list(connection, session.tenant, &filter, limit).await)
        .await?;
    let columns = ["id", "contact", "title", "assignee", "due_at", "status", "run", "created_at"];
    args.print(&columns, found.iter().map(task).collect(), output);
    Ok(())
}

/// Runs a command on notes.
pub async fn run_note(NoteCommand::List(args): NoteCommand, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let (filter, limit) = (args.filter(&session).await?, i64::from(args.limit) + 1);
    let found = session
        .db
        .tx(session.scope(), async |connection| notes::list(connection, session.tenant, &filter, limit).await)
        .await?;
    args.print(&["id", "contact", "text", "run", "created_at"], found.iter().map(note).collect(), output);
    Ok(())
}

impl ListArgs {
    async fn filter(&self, session: &Session) -> anyhow::Result<RecordFilter> {
        let contact = match &self.contact {
            Some(who) => Some(contact::find(session, who).await?.contact_id),
            None => None,
        };
        Ok(RecordFilter { contact, run: self.run, before: self.cursor })
    }

    fn print(&self, columns: &[&str], mut rows: Vec<Value>, output: &Output) {
        let more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let last = rows.last().filter(|_| more).and_then(|row| row["id"].as_str());
        let next = last.map(str::to_owned);
        output.list(columns, rows, next);
    }
}

fn task(found: &Listed<Task>) -> Value {
    let task = &found.record;
    json!({
        "id": task.task_id, "contact": found.contact, "title": task.title, "description": task.description,
        "due_at": task.due_at.map(time), "assignee": task.assignee, "status": found.status, "run": found.run_id,
        "created_at": time(found.created_at),
    })
}

fn note(found: &Listed<Note>) -> Value {
    json!({
        "id": found.record.note_id, "contact": found.contact, "text": found.record.text, "run": found.run_id,
        "created_at": time(found.created_at),
    })
}
