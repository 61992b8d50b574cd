//! `automation audit`: what people did, and whether the log of it is as it was written.

mod erase;
mod heads;

use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs, TenantArgs};
use automation_operations::audit::{self, Verified};
use automation_operations::{Db, Role, Session};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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

/// The database under role `R`.
type Pool<R> = fn(&DatabaseArgs) -> anyhow::Result<Db<R>>;

impl ChainArgs {
    async fn open<R: Role>(self, db: Pool<R>) -> anyhow::Result<Session<R>> {
        let db = db(&self.database)?;
        match self.tenant.filter(|_| !self.no_tenant) {
            Some(tenant) => {
                let Session { tenant, key, .. } = TenantArgs::new(tenant, self.database).open().await?;
                Ok(Session { db, tenant, key })
            }
            None => Ok(audit::of_nobody(db)),
        }
    }
}

/// Runs the command.
pub async fn run(command: AuditCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        AuditCommand::List { legacy, limit, cursor, chain } => {
            let session = chain.open(DatabaseArgs::api).await?;
            let entries = match legacy {
                true => audit::list_legacy(&session, limit, cursor).await?,
                false => audit::list(&session, limit, cursor).await?,
            };
            output.page(&["number", "at", "actor", "action", "subject", "detail"], &entries);
            Ok(())
        }
        AuditCommand::Verify { heads, audit, chain } => {
            let keys = audit.auditor()?.keys().clone();
            let kept = heads.as_deref().map(heads::read).transpose()?;
            let verified = audit::verify(&chain.open(DatabaseArgs::api).await?, &keys, kept).await?;
            output.one(&verified, || told(&verified));
            Ok(())
        }
        AuditCommand::Head { database } => {
            let (operator, api) = (database.operator()?, database.api()?);
            output.page(&["tenant", "number", "mac"], &audit::heads(&operator, &api).await?);
            Ok(())
        }
        AuditCommand::Erase(args) => erase::run(*args, output).await,
    }
}

fn told(verified: &Verified) -> Vec<String> {
    let Verified { entries, erased, legacy_entries: legacy, unsealed_legacy_entries: unsealed, .. } =
        verified;
    let late = verified.late_legacy_entries;
    let mut lines =
        vec![format!("all {entries} entries are as they were written; the words of {erased} were erased")];
    if *legacy > 0 {
        lines.push(format!(
            "{legacy} entries are from before the log had a key; {unsealed} of them are not sealed yet"
        ));
    }
    if late > 0 {
        lines.push(format!(
            "{late} of them came in after it had one, from an older command line or from somebody without the key: {}",
            exit::as_typed("automation audit list --legacy")
        ));
    }
    lines.push(match verified.heads {
        0 => exit::as_typed(
            "a log that was put back as a whole does not show it: keep what automation audit head --json prints \
             elsewhere, and give it with --heads",
        ),
        _ => "it has the heads that were kept".to_owned(),
    });
    lines
}
