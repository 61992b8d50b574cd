//! `automation parked`: events that were refused, with their reasons and original bytes.

use crate::exit;
use crate::output::{Output, time};
use crate::session::DatabaseArgs;
use automation_store::parked::{self, Parked};
use automation_store::{DbRole, Scope};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{Value, json};
use std::io::Write as _;
use uuid::Uuid;

/// What to do with parked events.
#[derive(Subcommand, Debug)]
pub enum ParkedCommand {
    /// List parked events of all tenants and of none, the latest first
    List {
        /// Only this reason
        #[arg(long)]
        reason: Option<String>,
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
        id: Uuid,
        /// Print the original bytes and nothing else
        #[arg(long)]
        body: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Runs the command.
pub async fn run(command: ParkedCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        ParkedCommand::List { reason, limit, cursor, database } => {
            let cursor = cursor.as_deref().map(decode).transpose()?;
            let mut rows = database
                .db(DbRole::Operator)?
                .tx(Scope::Unscoped, async |connection| {
                    parked::list(connection, reason.as_deref(), cursor, i64::from(limit) + 1).await
                })
                .await?;
            let more = rows.len() > usize::from(limit);
            rows.truncate(usize::from(limit));
            let next = rows.last().filter(|_| more).map(encode);
            output.list(
                &["id", "reason", "type", "user", "bytes", "occurrences", "last_seen_at", "detail"],
                rows.iter().map(summary).collect(),
                next,
            );
            Ok(())
        }
        ParkedCommand::Show { id, body, database } => {
            let found = database
                .db(DbRole::Operator)?
                .tx(Scope::Unscoped, async |connection| parked::by_id(connection, id).await)
                .await?;
            let Some(found) = found else {
                return Err(exit::not_found(
                    format!("there is no parked event {id}"),
                    "automation parked list",
                ));
            };
            if body {
                std::io::stdout().write_all(&found.body)?;
                return Ok(());
            }
            let mut value = summary(&found);
            value["queue"] = found.queue.clone().into();
            value["content_type"] = found.content_type.clone().into();
            value["tenant_id"] = json!(found.tenant_id);
            value["first_seen_at"] = time(found.first_seen_at).into();
            value["headers"] = found.headers.clone().into();
            value["body"] = String::from_utf8_lossy(&found.body).into();
            output.one(&value, || yaml_serde::to_string(&value).unwrap_or_else(|_| value.to_string()));
            Ok(())
        }
    }
}

fn summary(parked: &Parked) -> Value {
    json!({
        "id": parked.parked_id, "reason": parked.reason, "detail": parked.detail, "type": parked.routing_key,
        "user": parked.amqp_user, "bytes": parked.body.len(), "occurrences": parked.occurrences,
        "last_seen_at": time(parked.last_seen_at),
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
