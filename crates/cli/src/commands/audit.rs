//! `automation audit`: what people did, and whether the log of it is as it was written.

mod erase;
mod heads;
mod verify;

use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs, TenantArgs};
use automation_domain::audit::legacy;
use automation_domain::id::TenantId;
use automation_operations::Session;
use automation_store::DbRole;
use automation_store::audit::{self, Entry};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;
use uuid::Uuid;

/// What to do with the audit log.
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// List what was done, the latest first
    List {
        /// The log from before it had a key
        #[arg(long)]
        legacy: bool,
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Go on after an earlier page
        #[arg(long)]
        cursor: Option<i64>,
        #[command(flatten)]
        chain: ChainArgs,
    },
    /// Check every entry with the key, and say where the log was changed or cut, if it was
    Verify {
        /// File with heads of earlier times, which have to be part of the log: what audit head --json printed
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        chain: ChainArgs,
    },
    /// Print where the logs of all tenants end: to be kept where nobody who may change the database can
    Head {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Erase who, to what and how from entries; that they were written, and when, stays, and the log still holds
    Erase(Box<erase::EraseArgs>),
}

/// Which log: each tenant has one, and one is for what concerns no tenant.
#[derive(Args, Debug)]
pub struct ChainArgs {
    /// The log of what concerns no tenant, whatever tenant is named
    #[arg(long)]
    no_tenant: bool,
    /// Key of the tenant
    #[arg(long, env = "AUTOMATION_TENANT", value_name = "KEY", required_unless_present = "no_tenant")]
    tenant: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The tenant of the log of what concerns none.
pub const NOBODY: TenantId = TenantId(Uuid::nil());

impl ChainArgs {
    async fn open(self, role: DbRole) -> anyhow::Result<Session> {
        match self.tenant.filter(|_| !self.no_tenant) {
            Some(tenant) => {
                let db = self.database.db(role)?;
                let session = TenantArgs::new(tenant, self.database).open().await?;
                Ok(Session { db, ..session })
            }
            None => Ok(Session { db: self.database.db(role)?, tenant: NOBODY, key: String::new() }),
        }
    }
}

/// Runs the command.
pub async fn run(command: AuditCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        AuditCommand::List { legacy, limit, cursor, chain } => {
            let log = if legacy { Log::Legacy } else { Log::Signed };
            list(&chain.open(DbRole::Api).await?, log, limit, cursor, output).await
        }
        AuditCommand::Verify { heads, audit, chain } => {
            let keys = audit.auditor()?.keys().clone();
            let kept = heads.as_deref().map(heads::read).transpose()?;
            verify::run(&chain.open(DbRole::Api).await?, &keys, kept, output).await
        }
        AuditCommand::Head { database } => heads::print(&database, output).await,
        AuditCommand::Erase(args) => erase::run(*args, output).await,
    }
}

/// Which of the two logs.
#[derive(Clone, Copy)]
enum Log {
    Signed,
    Legacy,
}

async fn list(
    session: &Session,
    log: Log,
    limit: u16,
    cursor: Option<i64>,
    output: &Output,
) -> anyhow::Result<()> {
    let (tenant, most) = (session.tenant, i64::from(limit) + 1);
    let mut rows: Vec<Value> = session
        .db
        .tx(session.scope(), async |connection| {
            Ok::<_, automation_store::Error>(match log {
                Log::Signed => audit::list(connection, tenant, cursor, most).await?.iter().map(row).collect(),
                Log::Legacy => audit::legacy::list(connection, tenant, cursor, most)
                    .await?
                    .iter()
                    .map(legacy_row)
                    .collect(),
            })
        })
        .await?;
    let more = rows.len() > usize::from(limit);
    rows.truncate(usize::from(limit));
    let next = rows.last().filter(|_| more).map(|row| row["number"].to_string());
    output.list(&["number", "at", "actor", "action", "subject", "detail"], rows, next);
    Ok(())
}

/// What was erased is null.
fn row(entry: &Entry) -> Value {
    let (link, words) = (&entry.link, entry.words.as_ref());
    json!({
        "number": link.seq, "at": time(link.at), "action": link.action,
        "actor": words.map(|words| &words.actor), "subject": words.map(|words| &words.subject),
        "detail": words.map(|words| detail(&words.detail)), "erased": words.is_none(),
    })
}

fn legacy_row(entry: &legacy::Entry) -> Value {
    json!({
        "number": entry.seq, "at": time(entry.at), "actor": entry.actor, "action": entry.action,
        "subject": entry.subject, "detail": detail(&entry.detail), "erased": false,
    })
}

fn detail(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned().into())
}
