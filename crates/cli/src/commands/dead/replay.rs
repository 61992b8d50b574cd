//! Bringing runs back to the step that failed.

use super::edit;
use super::select::SelectArgs;
use crate::commands::bulk::{BulkArgs, Told, until_stopped};
use crate::exit;
use crate::output::{Output, note};
use crate::session::{AuditArgs, TenantArgs};
use automation_broker::publisher::Publisher;
use automation_operations::dead_letters::{self, DeadLetterStatus, How, Outcome, ReplayKey, ReplayVersion};
use automation_operations::{Bulk, Gone};
use automation_service_kit::config::BrokerConfig;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

const COLUMNS: [&str; 5] = ["id", "result", "run", "code", "message"];

/// Arguments of `automation dead replay`.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Send under a new idempotency key: to the receiver it is another request, and what it did before it may do again
    ///
    /// Needs --yes and --reason, also for a single one.
    #[arg(long)]
    new_key: bool,
    /// Go on with the version of the workflow that is published now, where it has the failed step
    ///
    /// A request that is stored is sent as it is; with --new-key it is rendered by the current version.
    #[arg(long)]
    current_version: bool,
    /// Send the request in this file instead of the stored one: one letter at a time, under a new key
    ///
    /// JSON, as dead show --request prints it. Needs --new-key.
    #[arg(long, value_name = "FILE", requires = "new_key")]
    edit: Option<PathBuf>,
    /// Why, for the run's history and the audit log
    #[arg(long)]
    reason: Option<String>,
    /// At most this many a second
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Replay three first, and the rest only when these got past the step that had failed
    #[arg(long)]
    canary: bool,
    /// With --canary: how long the three may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    canary_wait: u64,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Brings them back, one by one, each in a transaction of its own.
pub async fn run(args: ReplayArgs, output: &Output) -> anyhow::Result<()> {
    let key = if args.new_key { ReplayKey::New } else { ReplayKey::Same };
    if args.new_key && !args.bulk.dry_run && !(args.bulk.yes && args.reason.is_some()) {
        return Err(exit::usage(
            "under a new key a receiver does again what it did before",
            "if that is what you want, give --yes and --reason",
        ));
    }
    let version = if args.current_version { ReplayVersion::Current } else { ReplayVersion::Pinned };
    let edited = args.edit.as_deref().map(edit::read).transpose()?;
    let session = args.tenant.open().await?;
    let selection = args.select.selection()?;
    let ids = dead_letters::choose(&session, selection, DeadLetterStatus::Open, args.bulk.most()).await?;
    let who = args.audit.auditor()?;
    let canary = args.canary.then(|| Duration::from_secs(args.canary_wait));
    let how = How { key, version, edited: edited.as_ref(), note: args.reason.as_deref(), canary };
    if args.bulk.dry_run {
        output.page(&COLUMNS, &dead_letters::would_replay(&session, &who, &ids, how).await?);
        return Ok(());
    }
    args.bulk.confirm(ids.len(), "replay")?;
    let publisher = match Publisher::connect(args.broker.amqp_url.expose(), "automation dead replay").await {
        Ok(publisher) => Some(publisher),
        Err(error) => {
            note(format!("the broker cannot be reached, so the scheduler will wake the runs: {error}"));
            None
        }
    };
    let mut told = Told::default();
    let mut told = |progress| told.hear(&progress);
    let bulk = Bulk { rate: args.rate, stop: until_stopped(), told: &mut told };
    let gone = dead_letters::replay(&session, &who, publisher.as_ref(), &ids, how, bulk).await;
    if let Some(publisher) = publisher {
        publisher.close().await;
    }
    let Gone { rows, ended } = gone?;
    // What was done is shown before a failure is.
    output.page(&COLUMNS, &rows);
    ended?;
    conclude(ids.len(), &rows.data)
}

fn conclude(chosen: usize, rows: &[Outcome]) -> anyhow::Result<()> {
    if rows.len() < chosen {
        let left = chosen - rows.len();
        return Err(exit::wrong(
            format!("stopped: {left} of {chosen} were not looked at"),
            "repeat the command: what was replayed is left out",
        ));
    }
    let refused: Vec<_> =
        rows.iter().filter_map(|row| Some((row.code?, row.message.as_deref().unwrap_or_default()))).collect();
    match refused[..] {
        [] => Ok(()),
        [("dead_letter_not_found", what)] if chosen == 1 => {
            Err(exit::not_found(what, "automation dead list --status all"))
        }
        [(code, only)] if chosen == 1 => Err(exit::wrong(
            format!("not replayed: {only} [{code}]"),
            "docs/runbooks/dead-letters.md says what each code means",
        )),
        _ => Err(exit::wrong(
            format!("{} of {chosen} were not replayed", refused.len()),
            "the codes beside them are in docs/errors.md",
        )),
    }
}
