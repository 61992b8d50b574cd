//! Which dead letters a command is about.

use crate::exit;
use crate::moment;
use automation_domain::id::DeadLetterId;
use automation_operations::dead_letters::{Filter, Selection};
use automation_service_kit::config::rule;
use chrono::{DateTime, Utc};
use clap::Args;

/// What dead letters are looked for by; every part that is given has to fit.
#[derive(Args, Debug)]
pub struct FilterArgs {
    /// Only of this workflow
    #[arg(long, value_name = "KEY")]
    workflow: Option<String>,
    /// Only those that failed at this node
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Only with this code
    #[arg(long)]
    code: Option<String>,
    /// Only about this contact, by subject
    #[arg(long, value_name = "SUBJECT")]
    contact: Option<String>,
    /// Only of this group of alike failures
    #[arg(long)]
    signature: Option<String>,
    /// Only of runs that failed since
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    since: Option<DateTime<Utc>>,
    /// Only of runs that failed before
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    until: Option<DateTime<Utc>>,
}

/// Dead letters to be handled: by id, by what they have in common, or all.
#[derive(Args, Debug)]
pub struct SelectArgs {
    /// Their ids
    #[arg(value_name = "ID")]
    ids: Vec<DeadLetterId>,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl FilterArgs {
    /// The filter.
    pub fn filter(&self) -> Filter {
        Filter {
            workflow: self.workflow.clone(),
            node: self.node.clone(),
            code: self.code.clone(),
            contact: self.contact.clone(),
            signature: self.signature.clone(),
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
                let next = "name ids, or give filters such as --signature, or --all";
                Err(exit::usage("it is not said which dead letters", next))
            }
            (false, false) => Ok(Selection::Ids(self.ids.clone())),
            (true, true) => Ok(Selection::Fitting(filter)),
        }
    }
}
