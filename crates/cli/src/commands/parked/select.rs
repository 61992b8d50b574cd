//! Which parked events a command is about.

use super::parse_id;
use crate::exit;
use crate::moment;
use automation_operations::parked_events::{self, Filter, ParkedStatus, Selection};
use automation_service_kit::config::rule;
use chrono::{DateTime, Utc};
use clap::Args;
use uuid::Uuid;

/// What parked events are looked for by; every part that is given has to fit.
#[derive(Args, Debug)]
pub struct FilterArgs {
    /// Only with this reason
    #[arg(long, value_name = "CODE", value_parser = rule(parked_events::reason))]
    reason: Option<String>,
    /// Only of this publisher: a user of the broker, apikey:NAME or hook:ID
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
    /// The filter.
    pub fn filter(&self) -> Filter {
        Filter {
            reason: self.reason.clone(),
            user: self.user.clone(),
            event_type: self.event_type.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

impl SelectArgs {
    /// Which are meant.
    pub fn selection(&self) -> anyhow::Result<Selection> {
        let filter = self.filter.filter();
        match (self.ids.is_empty(), self.all || filter != Filter::default()) {
            (false, true) => Err(exit::usage("ids and filters cannot be combined", "give one or the other")),
            (true, false) => {
                let next = "name ids, or give filters such as --reason, or --all";
                Err(exit::usage("it is not said which parked events", next))
            }
            (false, false) => Ok(Selection::Ids(self.ids.clone())),
            (true, true) => Ok(Selection::Fitting(filter)),
        }
    }
}
