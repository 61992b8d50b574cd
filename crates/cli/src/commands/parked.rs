//! `automation parked`: events that were refused, with their reasons and original bytes.

mod handle;
mod replay;
mod select;

use crate::exit;
use crate::output::{Output, bytes, to_json, yaml};
use crate::session::DatabaseArgs;
use automation_operations::parked_events;
use automation_service_kit::config::{SpeakersConfig, rule};
use clap::Subcommand;
use select::FilterArgs;
use uuid::Uuid;

/// What to do with parked events.
#[derive(Subcommand, Debug)]
pub enum ParkedCommand {
    /// List parked events of all tenants and of none, the latest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// Only in this state: open, replayed, discarded, or all
        #[arg(long, default_value = "open")]
        status: String,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Go on after an earlier page
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        speakers: SpeakersConfig,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show one parked event
    Show {
        /// Its id
        #[arg(value_parser = rule(parse_id))]
        id: Uuid,
        /// Print the original bytes and nothing else
        #[arg(long)]
        body: bool,
        #[command(flatten)]
        speakers: SpeakersConfig,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Publish the original bytes again, on behalf of whoever published them
    Replay(Box<replay::ReplayArgs>),
    /// Put parked events into the archive: nothing is to be done about them
    Discard(Box<handle::HandleArgs>),
    /// Take parked events out of the archive
    Restore(Box<handle::HandleArgs>),
}

/// Runs the command.
pub async fn run(command: ParkedCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        ParkedCommand::List { filter, status, limit, cursor, speakers, database } => {
            let (operator, status) = (database.operator()?, select::status(&status)?);
            let (users, cursor) = (&speakers.users, cursor.as_deref());
            let listed =
                parked_events::list(&operator, users, &filter.filter(), status, limit, cursor).await?;
            output.page(
                &["id", "reason", "type", "user", "bytes", "occurrences", "last_seen_at", "status", "detail"],
                &listed,
            );
            Ok(())
        }
        ParkedCommand::Show { id, body, speakers, database } => {
            let shown = parked_events::show(&database.operator()?, &speakers.users, id).await?;
            if body {
                let Some(kept) = &shown.bytes else {
                    return Err(exit::wrong(
                        "the bytes were not kept: the tenant's quota of parked bytes was used up",
                        "automation tenant usage KEY says what the quota is; ask the publisher to send it again",
                    ));
                };
                return bytes(kept);
            }
            output.one(&shown, || yaml(&to_json(&shown)));
            Ok(())
        }
        ParkedCommand::Replay(args) => replay::run(*args, output).await,
        ParkedCommand::Discard(args) => handle::discard(*args, output).await,
        ParkedCommand::Restore(args) => handle::restore(*args, output).await,
    }
}

fn parse_id(text: &str) -> Result<Uuid, String> {
    automation_domain::id::parse(text).map_err(|bad| bad.to_string())
}
