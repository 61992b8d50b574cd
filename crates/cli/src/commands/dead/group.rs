//! A group of alike failures: what it is, who looks after it, and whether it is back.

use crate::exit;
use crate::output::{Output, time};
use crate::session::{AuditArgs, TenantArgs};
use automation_operations::Session;
use automation_store::dead_letters::{self, DeadLetterFilter, DeadLetterGroup, GroupChange};
use clap::Args;
use serde_json::{Value, json};

/// Columns of a list of groups.
pub const COLUMNS: [&str; 10] = [
    "signature",
    "count",
    "state",
    "owner",
    "action",
    "code",
    "workflows",
    "first_seen_at",
    "last_seen_at",
    "message",
];

/// Longest owner and note, in characters.
const LONGEST: usize = 1_000;

/// Arguments of `automation dead group`.
#[derive(Args, Debug)]
pub struct GroupArgs {
    /// Its signature, from dead list --group
    signature: String,
    /// Who looks after it; '' for nobody
    #[arg(long, value_name = "WHO")]
    owner: Option<String>,
    /// What is known of it; '' for nothing
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Changes what is to be changed, and shows the group.
pub async fn run(args: GroupArgs, output: &Output) -> anyhow::Result<()> {
    for text in [&args.owner, &args.note].into_iter().flatten() {
        if text.chars().count() > LONGEST || text.contains('\0') {
            return Err(exit::usage(
                format!("an owner and a note have {LONGEST} characters at most"),
                "shorten it",
            ));
        }
    }
    let session = args.tenant.open().await?;
    if args.owner.is_some() || args.note.is_some() {
        let change = GroupChange { owner: args.owner.as_deref(), note: args.note.as_deref() };
        let who = args.audit.auditor()?;
        let is_known = session
            .db
            .tx(session.scope(), async |connection| {
                dead_letters::look_after(connection, session.tenant, &args.signature, change, &who).await
            })
            .await?;
        if !is_known {
            return Err(missing(&args.signature));
        }
    }
    let filter = DeadLetterFilter { signature: Some(args.signature.clone()), ..DeadLetterFilter::default() };
    let group = groups(&session, &filter, 1).await?.pop().ok_or_else(|| missing(&args.signature))?;
    output.one(&json_of(&group), || text(&group));
    Ok(())
}

/// Groups as lines of a list.
pub async fn rows(session: &Session, filter: &DeadLetterFilter, limit: i64) -> anyhow::Result<Vec<Value>> {
    Ok(groups(session, filter, limit).await?.iter().map(json_of).collect())
}

async fn groups(
    session: &Session,
    filter: &DeadLetterFilter,
    limit: i64,
) -> anyhow::Result<Vec<DeadLetterGroup>> {
    Ok(session
        .db
        .tx(session.scope(), async |connection| {
            dead_letters::groups(connection, session.tenant, filter, limit).await
        })
        .await?)
}

fn json_of(group: &DeadLetterGroup) -> Value {
    json!({
        "signature": group.signature, "count": group.count, "open": group.open, "state": group.state.as_str(),
        "owner": group.owner, "note": group.note, "handled_at": group.handled_at.map(time),
        "workflows": group.workflows, "action": group.action, "code": group.code, "message": group.message,
        "first_seen_at": time(group.first_seen_at), "last_seen_at": time(group.last_seen_at), "latest": group.latest,
    })
}

fn text(group: &DeadLetterGroup) -> Vec<String> {
    let action = group.action.as_deref().map(|action| format!("{action}: ")).unwrap_or_default();
    let mut lines = vec![
        format!(
            "group {} is {}: {} of {} letters are open",
            group.signature,
            group.state.as_str(),
            group.open,
            group.count
        ),
        format!("{action}{} [{}]", group.message, group.code),
        format!(
            "first {}, last {}, {} workflows",
            time(group.first_seen_at),
            time(group.last_seen_at),
            group.workflows
        ),
    ];
    lines.extend(
        group.handled_at.map(|at| format!("letters of it were replayed or discarded last at {}", time(at))),
    );
    lines.push(format!("owner {}", group.owner.as_deref().unwrap_or("nobody")));
    lines.extend(group.note.as_deref().map(|note| format!("note: {note}")));
    lines.push(exit::as_typed(&format!(
        "next: automation dead list --signature {}; the latest: automation dead show {}",
        group.signature, group.latest
    )));
    lines
}

fn missing(signature: &str) -> anyhow::Error {
    exit::not_found(
        format!("no dead letter has the signature \"{signature}\""),
        "automation dead list --group --status all",
    )
}
