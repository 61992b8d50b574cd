//! Forgetting what entries say of people.

use super::ChainArgs;
use crate::exit;
use crate::output::Output;
use crate::session::AuditArgs;
use automation_store::DbRole;
use automation_store::audit::{self, Erase, Portion};
use clap::Args;
use serde_json::json;

/// Entries erased in one transaction, which one entry tells of.
const AT_ONCE: i64 = 1_000;

/// Arguments of `automation audit erase`.
#[derive(Args, Debug)]
pub struct EraseArgs {
    /// Everything that this actor did
    #[arg(long, value_name = "WHO", required_unless_present_any = ["subject", "entries"])]
    #[arg(conflicts_with_all = ["subject", "entries"])]
    actor: Option<String>,
    /// Everything that was done to this subject, as audit list shows it
    #[arg(long, value_name = "SUBJECT", conflicts_with = "entries")]
    subject: Option<String>,
    /// This entry, by its number; may be repeated
    #[arg(long = "entry", value_name = "NUMBER")]
    entries: Vec<i64>,
    /// Why, for the entry that says so; without what is to be forgotten
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do it: what is erased is gone
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    chain: ChainArgs,
}

/// Erases, a bounded number of entries in each transaction.
pub async fn run(args: EraseArgs, output: &Output) -> anyhow::Result<()> {
    if !args.yes {
        return Err(exit::usage("what is erased is gone", "if that is what you want, give --yes"));
    }
    let auditor = args.audit.auditor()?;
    let session = args.chain.open(DbRole::Operator).await?;
    let which = match (&args.actor, &args.subject) {
        (Some(actor), _) => Erase::Actor(actor),
        (None, Some(subject)) => Erase::Subject(subject),
        (None, None) => Erase::Entries(&args.entries),
    };
    let (tenant, note) = (session.tenant, args.note.as_deref());
    let before = session
        .db
        .tx(session.scope(), async |connection| audit::head(connection, tenant).await)
        .await?
        .map_or(0, |(head, _)| head.seq);
    let mut erased = 0;
    loop {
        let done = session
            .db
            .tx(session.scope(), async |connection| {
                audit::erase(
                    connection,
                    tenant,
                    &auditor,
                    which,
                    Portion { upto: before, limit: AT_ONCE },
                    note,
                )
                .await
            })
            .await?;
        erased += done;
        if done == 0 {
            break;
        }
    }
    output.one(&json!({ "erased": erased }), || {
        format!(
            "the words of {erased} entries are erased; entries from before the log had a key stay as they are"
        )
    });
    Ok(())
}
