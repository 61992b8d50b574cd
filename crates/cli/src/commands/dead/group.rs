//! A group of alike failures: what it is, who looks after it, and whether it is back.

use crate::exit;
use crate::output::{Output, time};
use crate::session::{AuditArgs, TenantArgs};
use automation_operations::dead_letters::{self, Change, Group};
use clap::Args;

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
    let session = args.tenant.open().await?;
    let change = Change { owner: args.owner, note: args.note };
    let group = match change == Change::default() {
        true => dead_letters::group(&session, &args.signature).await?,
        false => dead_letters::look_after(&session, &args.audit.auditor()?, &args.signature, &change).await?,
    };
    output.one(&group, || text(&group));
    Ok(())
}

fn text(group: &Group) -> Vec<String> {
    let action = group.action.as_deref().map(|action| format!("{action}: ")).unwrap_or_default();
    let mut lines = vec![
        format!(
            "group {} is {}: {} of {} letters are open",
            group.signature, group.state, group.open, group.count
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
