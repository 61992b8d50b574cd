//! Archiving dead letters, and the way back.

use super::select::SelectArgs;
use crate::commands::bulk::BulkArgs;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, TenantArgs};
use automation_domain::id::DeadLetterId;
use automation_operations::Session;
use automation_store::audit::Auditor;
use automation_store::dead_letters::{self, DeadLetterStatus};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Dead letters changed in one transaction.
const AT_ONCE: usize = 500;

/// Arguments of `automation dead discard` and `restore`.
#[derive(Args, Debug)]
pub struct HandleArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Why, for the audit log
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Which way.
#[derive(Clone, Copy)]
enum Way {
    Discard,
    Restore,
}

impl Way {
    /// The state before and the state after.
    fn states(self) -> (DeadLetterStatus, DeadLetterStatus) {
        match self {
            Self::Discard => (DeadLetterStatus::Open, DeadLetterStatus::Discarded),
            Self::Restore => (DeadLetterStatus::Discarded, DeadLetterStatus::Open),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Restore => "restore",
        }
    }
}

/// Puts dead letters into the archive.
pub async fn discard(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, Way::Discard, output).await
}

/// Takes dead letters out of the archive.
pub async fn restore(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, Way::Restore, output).await
}

async fn run(args: HandleArgs, way: Way, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let (from, to) = way.states();
    let ids = args.select.snapshot(&session, from, args.bulk.most()).await?;
    let columns = ["id", "result"];
    if args.bulk.dry_run {
        let result = format!("would be {to}");
        output.list(&columns, ids.iter().map(|id| json!({ "id": id, "result": result })).collect(), None);
        return Ok(());
    }
    args.bulk.confirm(ids.len(), way.verb())?;
    let who = args.audit.auditor()?;
    let mut changed = BTreeSet::new();
    for chunk in ids.chunks(AT_ONCE) {
        changed.extend(change(&session, chunk, way, &who, args.reason.as_deref()).await?);
    }
    let row = |id: &DeadLetterId| -> Value {
        let result = if changed.contains(id) { to.as_str() } else { "unchanged" };
        json!({ "id": id, "result": result })
    };
    output.list(&columns, ids.iter().map(row).collect(), None);
    if changed.len() == ids.len() {
        return Ok(());
    }
    let next = "automation dead list --status all";
    if changed.is_empty() && ids.len() == 1 {
        return Err(exit::wrong(format!("there is no dead letter {} that is {from}", ids[0]), next));
    }
    Err(exit::wrong(format!("{} of {} were not {from}", ids.len() - changed.len(), ids.len()), next))
}

async fn change(
    session: &Session,
    ids: &[DeadLetterId],
    way: Way,
    who: &Auditor,
    note: Option<&str>,
) -> anyhow::Result<Vec<DeadLetterId>> {
    let handled = session
        .db
        .tx(session.scope(), async |connection| match way {
            Way::Discard => dead_letters::discard(connection, session.tenant, ids, who, note).await,
            Way::Restore => dead_letters::restore(connection, session.tenant, ids, who, note).await,
        })
        .await?;
    Ok(handled.changed)
}
