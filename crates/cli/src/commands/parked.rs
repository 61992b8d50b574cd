//! `automation parked`: events that were refused, with their reasons and original bytes.

mod handle;
mod message;
mod replay;
mod select;

use crate::exit;
use crate::output::{Output, bytes, time, yaml};
use crate::session::DatabaseArgs;
use automation_service_kit::config::rule;
use automation_store::events::parked::{self, Parked, ParkedBody};
use automation_store::{Db, DbRole, Scope};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use select::FilterArgs;
use serde_json::{Value, json};
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
        ParkedCommand::List { filter, status, limit, cursor, database } => {
            let cursor = cursor.as_deref().map(decode).transpose()?;
            let filter = filter.with_status(select::status(&status)?);
            let mut rows = database
                .db(DbRole::Operator)?
                .tx(Scope::Unscoped, async |connection| {
                    parked::list(connection, &filter, cursor, i64::from(limit) + 1).await
                })
                .await?;
            let more = rows.len() > usize::from(limit);
            rows.truncate(usize::from(limit));
            let next = rows.last().filter(|_| more).map(encode);
            output.list(
                &["id", "reason", "type", "user", "bytes", "occurrences", "last_seen_at", "status", "detail"],
                rows.iter().map(summary).collect(),
                next,
            );
            Ok(())
        }
        ParkedCommand::Show { id, body, database } => {
            let found = find(&database.db(DbRole::Operator)?, id).await?;
            if body {
                let Some(kept) = found.body.bytes() else {
                    return Err(exit::wrong(
                        "the bytes were not kept: the tenant's quota of parked bytes was used up",
                        "automation tenant usage says what the quota is; ask the publisher to send it again",
                    ));
                };
                return bytes(kept);
            }
            let mut value = summary(&found);
            value["queue"] = found.queue.clone().into();
            value["content_type"] = found.content_type.clone().into();
            value["tenant_id"] = json!(found.tenant_id);
            value["first_seen_at"] = time(found.first_seen_at).into();
            value["headers"] = found.headers.clone().into();
            value["changed_at"] = json!(found.changed_at.map(time));
            value["changed_by"] = found.changed_by.clone().into();
            value["note"] = found.note.clone().into();
            match &found.body {
                ParkedBody::Kept(bytes) => value["body"] = String::from_utf8_lossy(bytes).into(),
                ParkedBody::Left { sha256, .. } => {
                    value["body_sha256"] =
                        sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
                }
            }
            output.one(&value, || yaml(&value));
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

async fn find(db: &Db, id: Uuid) -> anyhow::Result<Parked> {
    let found = db.tx(Scope::Unscoped, async |connection| parked::by_id(connection, id).await).await?;
    found.ok_or_else(|| {
        exit::not_found(format!("there is no parked event {id}"), "automation parked list --status all")
    })
}

fn summary(parked: &Parked) -> Value {
    json!({
        "id": parked.parked_id, "reason": parked.reason, "detail": parked.detail, "type": parked.routing_key,
        "user": parked.amqp_user, "bytes": parked.body.size(), "occurrences": parked.occurrences,
        "last_seen_at": time(parked.last_seen_at), "status": parked.status.as_str(),
    })
}

fn encode(parked: &Parked) -> String {
    format!("{}_{}", parked.last_seen_at.timestamp_micros(), parked.parked_id)
}

fn decode(cursor: &str) -> anyhow::Result<(DateTime<Utc>, Uuid)> {
    let parts = cursor.split_once('_').and_then(|(micros, id)| {
        Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
    });
    parts.ok_or_else(|| {
        exit::usage("the cursor cannot be read", "give the cursor that the page before ended with")
    })
}
