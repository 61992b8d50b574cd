//! Which parked events a command is about.

use super::parse_id;
use crate::exit;
use crate::moment;
use automation_service_kit::config::rule;
use automation_store::events::parked::{self, ParkedFilter, ParkedStatus};
use automation_store::{Db, Scope};
use chrono::{DateTime, Utc};
use clap::Args;
use uuid::Uuid;

/// What parked events are looked for by; every part that is given has to fit.
#[derive(Args, Debug)]
pub struct FilterArgs {
    /// Only with this reason
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only of this broker user
    #[arg(long)]
    user: Option<String>,
    /// Only with this type, or routing key
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only last parked since
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    since: Option<DateTime<Utc>>,
    /// Only last parked before
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    until: Option<DateTime<Utc>>,
}

/// Parked events to be handled: by id, by what they have in common, or all.
#[derive(Args, Debug)]
pub struct SelectArgs {
    /// Their ids
    #[arg(value_name = "ID", value_parser = rule(parse_id))]
    ids: Vec<Uuid>,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Reads a state; `None` for all of them.
pub fn status(word: &str) -> anyhow::Result<Option<ParkedStatus>> {
    match word {
        "all" => Ok(None),
        word => ParkedStatus::from_key(word).map(Some).ok_or_else(|| {
            exit::usage(format!("\"{word}\" is not a state"), "use open, replayed, discarded or all")
        }),
    }
}

impl FilterArgs {
    fn is_empty(&self) -> bool {
        let texts = [&self.reason, &self.user, &self.event_type];
        texts.iter().all(|text| text.is_none()) && self.since.is_none() && self.until.is_none()
    }

    /// The filter for this state.
    pub fn with_status(&self, status: Option<ParkedStatus>) -> ParkedFilter {
        ParkedFilter {
            ids: None,
            reason: self.reason.clone(),
            user: self.user.clone(),
            event_type: self.event_type.clone(),
            status,
            since: self.since,
            until: self.until,
        }
    }
}

impl SelectArgs {
    /// The ids as they are now, the oldest first: what is parked later never joins them.
    pub async fn snapshot(&self, db: &Db, status: ParkedStatus, most: i64) -> anyhow::Result<Vec<Uuid>> {
        let named = !self.ids.is_empty();
        match (named, self.all || !self.filter.is_empty()) {
            (true, true) => {
                return Err(exit::usage("ids and filters cannot be combined", "give one or the other"));
            }
            (false, false) => {
                let next = "name ids, or give filters such as --reason, or --all";
                return Err(exit::usage("it is not said which parked events", next));
            }
            (true, false) => {
                let mut ids = self.ids.clone();
                ids.sort_unstable();
                ids.dedup();
                return Ok(ids);
            }
            (false, true) => {}
        }
        let filter = self.filter.with_status(Some(status));
        let ids = db
            .tx(Scope::Unscoped, async |connection| parked::snapshot(connection, &filter, most).await)
            .await?;
        if ids.is_empty() {
            return Err(exit::not_found(
                format!("no parked event that is {status} fits"),
                "automation parked list --status all",
            ));
        }
        Ok(ids)
    }
}
