//! Archiving parked events, and the way back.

use super::select::SelectArgs;
use crate::commands::bulk::BulkArgs;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_operations::Page;
use automation_operations::parked_events::{self, ParkedStatus};
use automation_service_kit::config::SpeakersConfig;
use clap::Args;
use serde_json::{Value, json};

/// Arguments of `automation parked discard` and `restore`.
#[derive(Args, Debug)]
pub struct HandleArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    speakers: SpeakersConfig,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Which way.
#[derive(Clone, Copy)]
enum Way {
    Discard,
    Restore,
}

impl Way {
    /// The state before and the state after.
    fn states(self) -> (ParkedStatus, ParkedStatus) {
        match self {
            Self::Discard => (ParkedStatus::Open, ParkedStatus::Discarded),
            Self::Restore => (ParkedStatus::Discarded, ParkedStatus::Open),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Discard => "discard",
            Self::Restore => "restore",
        }
    }
}

/// Puts parked events into the archive.
pub async fn discard(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, Way::Discard, output).await
}

/// Takes parked events out of the archive.
pub async fn restore(args: HandleArgs, output: &Output) -> anyhow::Result<()> {
    run(args, Way::Restore, output).await
}

async fn run(args: HandleArgs, way: Way, output: &Output) -> anyhow::Result<()> {
    let operator = args.database.operator()?;
    let (from, to) = way.states();
    let selection = args.select.selection()?;
    let (users, most) = (&args.speakers.users, args.bulk.most());
    let ids = parked_events::choose(&operator, users, selection, from, most).await?;
    let columns = ["id", "result"];
    if args.bulk.dry_run {
        let result = format!("would be {to}");
        let rows = ids.iter().map(|id| json!({ "id": id, "result": result })).collect();
        output.page(&columns, &Page::<Value>::whole(rows));
        return Ok(());
    }
    args.bulk.confirm(ids.len(), way.verb())?;
    let (who, note) = (args.audit.auditor()?, args.note.as_deref());
    let handled = match way {
        Way::Discard => parked_events::discard(&operator, &who, &ids, note).await?,
        Way::Restore => parked_events::restore(&operator, &who, &ids, note).await?,
    };
    output.page(&columns, &handled);
    match handled.data.iter().filter(|one| !one.changed).count() {
        0 => Ok(()),
        unchanged => Err(exit::wrong(
            format!("{unchanged} of {} were not {from}", ids.len()),
            "automation parked list --status all",
        )),
    }
}
