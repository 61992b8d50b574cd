//! Publishing parked events again.

use super::select::SelectArgs;
use crate::commands::bulk::{BulkArgs, Told, until_stopped};
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_broker::publisher::Publisher;
use automation_operations::parked_events::{self, How, ParkedStatus, Speakers};
use automation_operations::{Bulk, Gone};
use automation_service_kit::config::BrokerConfig;
use clap::Args;

const COLUMNS: [&str; 5] = ["id", "type", "result", "code", "message"];

/// Arguments of `automation parked replay`.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// The user on whose behalf events are published that nobody vouched for; its grants count
    #[arg(long = "as", value_name = "USER")]
    stand_in: Option<String>,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// At most this many a second
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    #[command(flatten)]
    bulk: BulkArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerConfig,
}

/// Publishes them one by one: confirmed first, then marked.
pub async fn run(args: ReplayArgs, output: &Output) -> anyhow::Result<()> {
    let operator = args.database.operator()?;
    let selection = args.select.selection()?;
    let (users, most) = (&args.broker.users, args.bulk.most());
    let ids = parked_events::choose(&operator, users, selection, ParkedStatus::Open, most).await?;
    let who = args.audit.auditor()?;
    let user = args.broker.amqp_user();
    let speakers = Speakers { user: &user, users, stand_in: args.stand_in.as_deref() };
    if args.bulk.dry_run {
        output.page(&COLUMNS, &parked_events::would_replay(&operator, speakers, &ids).await?);
        return Ok(());
    }
    args.bulk.confirm(ids.len(), "publish again")?;
    let publisher = Publisher::connect(args.broker.amqp_url.expose(), "automation parked replay").await?;
    let mut told = Told::default();
    let mut told = |progress| told.hear(&progress);
    let bulk = Bulk { rate: args.rate, stop: until_stopped(), told: &mut told };
    let how = How { speakers, note: args.note.as_deref() };
    let gone = parked_events::replay(&operator, &who, &publisher, &ids, how, bulk).await;
    publisher.close().await;
    let Gone { rows, ended } = gone?;
    // What was done is shown before a failure is.
    output.page(&COLUMNS, &rows);
    ended?;
    let next = "automation parked list --status all; the codes are in docs/errors.md";
    let done = rows.data.len();
    if done < ids.len() {
        return Err(exit::wrong(format!("stopped: {} were not looked at", ids.len() - done), next));
    }
    match rows.data.iter().filter(|row| row.code.is_some()).count() {
        0 => Ok(()),
        refused => Err(exit::wrong(format!("{refused} of {} were not replayed", ids.len()), next)),
    }
}
