//! `automation audit`: what people did, and whether the log of it is as it was written.

use crate::exit;
use crate::output::{Output, time};
use crate::session::{DatabaseArgs, Session, TenantArgs};
use automation_domain::audit::{Entry, Head};
use automation_domain::id::TenantId;
use automation_store::{DbRole, audit};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

/// What to do with the audit log.
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// List what was done, the latest first
    List {
        /// At most this many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Go on after an earlier page
        #[arg(long)]
        cursor: Option<i64>,
        #[command(flatten)]
        chain: ChainArgs,
    },
    /// Recompute every hash, and say where the log was changed, if it was
    Verify {
        /// The head of an earlier verification, which has to be part of the log
        #[arg(long, value_name = "NUMBER:HASH")]
        expect: Option<String>,
        #[command(flatten)]
        chain: ChainArgs,
    },
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

impl ChainArgs {
    async fn open(self) -> anyhow::Result<Session> {
        match self.tenant.filter(|_| !self.no_tenant) {
            Some(tenant) => TenantArgs::new(tenant, self.database).open().await,
            None => {
                let db = self.database.db(DbRole::Api)?;
                Ok(Session { db, tenant: TenantId(Uuid::nil()), key: String::new() })
            }
        }
    }
}

/// Runs the command.
pub async fn run(command: AuditCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        AuditCommand::List { limit, cursor, chain } => {
            let session = chain.open().await?;
            let mut entries = session
                .db
                .tx(session.scope(), async |connection| {
                    audit::list(connection, session.tenant, cursor, i64::from(limit) + 1).await
                })
                .await?;
            let more = entries.len() > usize::from(limit);
            entries.truncate(usize::from(limit));
            let next = entries.last().filter(|_| more).map(|entry| entry.seq.to_string());
            let columns = ["number", "at", "actor", "action", "subject", "detail"];
            output.list(&columns, entries.iter().map(row).collect(), next);
            Ok(())
        }
        AuditCommand::Verify { expect, chain } => {
            let expected = expect.as_deref().map(parse_head).transpose()?;
            verify(&chain.open().await?, expected, output).await
        }
    }
}

async fn verify(session: &Session, expected: Option<Head>, output: &Output) -> anyhow::Result<()> {
    let (outcome, kept) = session
        .db
        .tx(session.scope(), async |connection| {
            let outcome = audit::verify(connection, session.tenant).await?;
            let kept = match expected {
                Some(head) => audit::hash_at(connection, session.tenant, head.seq).await?,
                None => None,
            };
            Ok::<_, automation_store::Error>((outcome, kept))
        })
        .await?;
    let next = "compare with a backup of the database; whoever changed it had the rights of its owner";
    let head = outcome.map_err(|broken| exit::wrong(format!("the audit log was changed: {broken}"), next))?;
    if let Some(expected) = expected.filter(|head| kept != Some(head.hash)) {
        let what =
            format!("the audit log was changed: entry {} is not the one that was expected", expected.seq);
        return Err(exit::wrong(what, next));
    }
    let hash = hex(&head.hash);
    output.one(&json!({ "entries": head.seq, "head": format!("{}:{hash}", head.seq) }), || {
        vec![
            format!("all {} entries are as they were written", head.seq),
            format!("head {}:{hash}", head.seq),
            "A log does not show that its end was cut off: keep the head elsewhere, and give it with --expect next time."
                .to_owned(),
        ]
    });
    Ok(())
}

fn row(entry: &Entry) -> Value {
    let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_else(|_| entry.detail.clone().into());
    json!({
        "number": entry.seq, "at": time(entry.at), "actor": entry.actor, "action": entry.action,
        "subject": entry.subject, "detail": detail,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_head(text: &str) -> anyhow::Result<Head> {
    let parsed = text.split_once(':').and_then(|(seq, hash)| {
        let bytes = (0..hash.len()).step_by(2).map(|at| u8::from_str_radix(hash.get(at..at + 2)?, 16).ok());
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        Some(Head { seq: seq.parse().ok()?, hash: bytes.try_into().ok()? })
    });
    parsed.ok_or_else(|| {
        exit::usage("that is no head of an audit log", "give what audit verify printed: 17:9f…")
    })
}
