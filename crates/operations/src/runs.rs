//! Runs and their history.

mod explain;
mod go_on;
mod handle;
mod shown;
mod stats;

pub use automation_store::runs::effects::{StoredEffect, Try};
pub use automation_store::runs::lists::{RunDetail, RunStatus, RunSummary};
pub use explain::{Story, Trace, explain};
pub use go_on::{GoesOn, go_on};
pub use handle::{
    Act, AllHandled, Chosen, Handled, Selection, StatusSet, cancel, cancel_many, choose, pause, pause_many,
    resume, resume_many,
};
pub use shown::{EventName, Failure, Run, Summary};
pub use stats::{OfAction, OfWorkflow, Percentiles, Stats, settled, stats};

use crate::{Error, Page, Refusal, Session, events};
use automation_domain::id::{ContactId, RunId, TenantId};
use automation_store::Conn;
use automation_store::role::Api;
use automation_store::runs::lists::{self, RunFilter};
use automation_store::workflows::lifecycle;
use chrono::{DateTime, Utc};

/// What runs are looked for by; every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// Key of the workflow.
    pub workflow: Option<String>,
    /// The event that started them, as `<source>/<id>`.
    pub event: Option<String>,
    /// How they stand.
    pub status: Option<RunStatus>,
    /// Subject of the contact.
    pub contact: Option<String>,
    /// Only of events received since.
    pub since: Option<DateTime<Utc>>,
}

/// Up to `limit` runs, the latest first, behind `before` if it is given.
///
/// # Errors
///
/// [`Refusal::EventName`], [`Refusal::NoWorkflow`], [`Refusal::EventGone`]; [`Error::Store`].
pub async fn list(
    session: &Session,
    filter: &Filter,
    limit: u16,
    before: Option<RunId>,
) -> Result<Page<Summary>, Error> {
    let runs = session
        .read(async |connection| {
            let by = match resolve(connection, session.tenant, filter).await? {
                Ok(by) => RunFilter { before, ..by },
                Err(refusal) => return Ok(Err(refusal)),
            };
            lists::list(connection, session.tenant, &by, i64::from(limit) + 1).await.map(Ok)
        })
        .await??;
    let page = Page::cut(runs, limit, |run| run.run_id.to_string());
    Ok(page.map(|run| Summary::from(&run)))
}

/// One run with its steps.
///
/// # Errors
///
/// [`Refusal::NoRun`]; [`Error::Store`].
pub async fn show(session: &Session, id: RunId) -> Result<Run, Error> {
    let by_id = async |connection: &mut _| lists::by_id(connection, session.tenant, id).await;
    Ok(Run(session.read(by_id).await?.ok_or(Refusal::NoRun(id))?))
}

/// The filter, with names looked up.
async fn resolve(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &Filter,
) -> Result<Result<RunFilter, Refusal>, automation_store::Error> {
    let mut by = RunFilter {
        status: filter.status,
        contact: filter.contact.as_deref().map(|subject| ContactId::derive(tenant, subject)),
        since: filter.since,
        ..RunFilter::default()
    };
    if let Some(key) = &filter.workflow {
        // What is kept of a workflow that was deleted is found by its key.
        let workflows = lifecycle::of_key(connection, tenant, key).await?;
        if workflows.is_empty() {
            return Ok(Err(Refusal::NoWorkflow(key.clone())));
        }
        by.workflows = Some(workflows);
    }
    let Some(event) = &filter.event else { return Ok(Ok(by)) };
    if !event.contains('/') {
        return Ok(Err(Refusal::EventName(event.clone())));
    }
    for (source, id) in events::names(event) {
        by.ids = lists::ids_of_event(connection, tenant, source, id).await?;
        if by.ids.is_some() {
            return Ok(Ok(by));
        }
    }
    Ok(Err(Refusal::EventGone(event.clone())))
}
