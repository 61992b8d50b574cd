//! Publishing parked events again.

use super::message::{Refusal, Speakers, message};
use super::select::SelectArgs;
use crate::commands::bulk::{BulkArgs, Pace};
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs};
use automation_broker::publisher::Publisher;
use automation_service_kit::config::BrokerConfig;
use automation_store::audit::{self, Auditor};
use automation_store::events::parked::{self, Change, Parked, ParkedStatus};
use automation_store::{Db, DbRole, Scope};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

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
///
/// An event that is published and not marked, because this process ended in between, can be published again: ingest
/// knows it.
pub async fn run(args: ReplayArgs, output: &Output) -> anyhow::Result<()> {
    let db = args.database.db(DbRole::Operator)?;
    let ids = args.select.snapshot(&db, ParkedStatus::Open, args.bulk.most()).await?;
    let who = args.audit.auditor()?;
    let user = args.broker.amqp_user();
    let speakers = Speakers { user: &user, users: &args.broker.users, stand_in: args.stand_in.as_deref() };
    if !args.bulk.dry_run {
        args.bulk.confirm(ids.len(), "publish again")?;
    }
    let publisher = match args.bulk.dry_run {
        true => None,
        false => Some(Publisher::connect(args.broker.amqp_url.expose(), "automation parked replay").await?),
    };
    let mut pace = Pace::new(args.rate);
    let (mut rows, mut refused) = (Vec::new(), 0);
    for id in &ids {
        if publisher.is_some() && !pace.next().await {
            break;
        }
        let found = super::find(&db, *id).await?;
        let outcome = match (message(&found, speakers), &publisher) {
            (Err(refusal), _) => Err(refusal),
            (Ok(_), None) => Ok("would be published"),
            (Ok((message, behalf)), Some(publisher)) => {
                // What is published cannot be taken back, so that it can be noted is made sure of first.
                let tenant = found.audited_under();
                db.tx(Scope::Tenant(tenant), async |connection| audit::check(connection, tenant, &who).await)
                    .await?;
                if let Err(error) = publisher.publish_all(vec![message]).await {
                    // What was done is shown before the failure is.
                    show(output, rows);
                    return Err(error.into());
                }
                let marked = mark(&db, &found, &who, behalf, args.note.as_deref()).await?;
                marked.then_some("replayed").ok_or(Refusal::Again)
            }
        };
        refused += usize::from(outcome.is_err());
        rows.push(row(*id, &found, &outcome));
        pace.show(rows.len(), ids.len());
    }
    if let Some(publisher) = publisher {
        publisher.close().await;
    }
    let done = rows.len();
    show(output, rows);
    let next = "automation parked list --status all; the codes are in docs/errors.md";
    if done < ids.len() {
        return Err(exit::wrong(format!("stopped: {} were not looked at", ids.len() - done), next));
    }
    match refused {
        0 => Ok(()),
        _ if args.bulk.dry_run => Ok(()),
        _ => Err(exit::wrong(format!("{refused} of {} were not replayed", ids.len()), next)),
    }
}

/// Whether it was still as it had been when it was read: one that was refused again meanwhile stays open.
async fn mark(
    db: &Db,
    found: &Parked,
    who: &Auditor,
    behalf: Option<String>,
    note: Option<&str>,
) -> anyhow::Result<bool> {
    let change = Change { from: ParkedStatus::Open, to: ParkedStatus::Replayed, who, note };
    let detail =
        json!({ "on_behalf_of": behalf, "type": found.routing_key, "reason": found.reason, "note": note });
    let marked = db
        .tx(Scope::Tenant(found.audited_under()), async |connection| {
            parked::change(connection, found, change, detail).await
        })
        .await?;
    Ok(marked)
}

fn show(output: &Output, rows: Vec<Value>) {
    output.list(&["id", "type", "result", "code", "message"], rows, None);
}

fn row(id: Uuid, found: &Parked, outcome: &Result<&str, Refusal>) -> Value {
    match outcome {
        Ok(result) => json!({ "id": id, "type": found.routing_key, "result": result }),
        Err(refusal) => json!({
            "id": id, "type": found.routing_key, "result": "refused", "code": refusal.code(),
            "message": refusal.to_string(),
        }),
    }
}
