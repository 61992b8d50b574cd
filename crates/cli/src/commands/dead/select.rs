//! Which dead letters a command is about.

use crate::exit;
use crate::moment;
use automation_domain::id::{ContactId, DeadLetterId};
use automation_operations::Session;
use automation_service_kit::config::rule;
use automation_store::dead_letters::{self, DeadLetterFilter, DeadLetterStatus};
use automation_store::workflows;
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
    fn is_empty(&self) -> bool {
        let texts = [&self.workflow, &self.node, &self.code, &self.contact, &self.signature];
        texts.iter().all(|text| text.is_none()) && self.since.is_none() && self.until.is_none()
    }

    /// The filter, with names looked up.
    pub async fn resolve(
        &self,
        session: &Session,
        status: Option<DeadLetterStatus>,
    ) -> anyhow::Result<DeadLetterFilter> {
        let workflow = match &self.workflow {
            None => None,
            Some(key) => {
                let found = session
                    .db
                    .tx(session.scope(), async |connection| {
                        workflows::by_key(connection, session.tenant, key).await
                    })
                    .await?;
                let missing =
                    || exit::not_found(format!("there is no workflow \"{key}\""), "automation workflow list");
                Some(found.ok_or_else(missing)?.workflow_id)
            }
        };
        Ok(DeadLetterFilter {
            ids: None,
            run: None,
            workflow,
            node: self.node.clone(),
            code: self.code.clone(),
            contact: self.contact.as_deref().map(|subject| ContactId::derive(session.tenant, subject)),
            signature: self.signature.clone(),
            status,
            since: self.since,
            until: self.until,
        })
    }
}

impl SelectArgs {
    /// The ids as they are now, the oldest first: what fails later never joins them.
    ///
    /// Ids that are named are taken as they are, so that one which is in another state is reported; else those in state
    /// `status` are chosen.
    pub async fn snapshot(
        &self,
        session: &Session,
        status: DeadLetterStatus,
        most: i64,
    ) -> anyhow::Result<Vec<DeadLetterId>> {
        let named = !self.ids.is_empty();
        match (named, self.all || !self.filter.is_empty()) {
            (true, true) => {
                return Err(exit::usage("ids and filters cannot be combined", "give one or the other"));
            }
            (false, false) => {
                let next = "name ids, or give filters such as --signature, or --all";
                return Err(exit::usage("it is not said which dead letters", next));
            }
            (true, false) => {
                let mut ids = self.ids.clone();
                ids.sort_unstable();
                ids.dedup();
                return Ok(ids);
            }
            (false, true) => {}
        }
        let filter = self.filter.resolve(session, Some(status)).await?;
        let ids = session
            .db
            .tx(session.scope(), async |connection| {
                dead_letters::snapshot(connection, session.tenant, &filter, most).await
            })
            .await?;
        if ids.is_empty() {
            return Err(exit::not_found(
                format!("no dead letter that is {status} fits"),
                "automation dead list --status all",
            ));
        }
        Ok(ids)
    }
}
