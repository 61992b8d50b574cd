//! Runs and their history.

mod explain;
mod shown;
mod stats;

pub use automation_store::runs::effects::{StoredEffect, Try};
pub use automation_store::runs::lists::{RunDetail, RunStatus, RunSummary};
pub use explain::{Story, Trace, explain};
pub use shown::{EventName, Failure, Run, Summary};
pub use stats::{OfAction, OfWorkflow, Percentiles, Stats, settled, stats};

use crate::{Auditor, Error, Page, Refusal, Session, events};
use automation_domain::id::{ContactId, RunId};
use automation_store::runs::cancel;
use automation_store::runs::lists::{self, RunFilter};
use automation_store::workflows;
use chrono::{DateTime, Utc};
use serde::Serialize;

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

/// A run that was ended.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Cancelled {
    /// The run.
    pub id: RunId,
    /// `cancelled`.
    pub status: &'static str,
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
    if let Some(event) = filter.event.as_ref().filter(|event| !event.contains('/')) {
        return Err(Refusal::EventName(event.clone()).into());
    }
    let tenant = session.tenant;
    let runs = session
        .read(async |connection| {
            let mut by = RunFilter {
                status: filter.status,
                contact: filter.contact.as_deref().map(|subject| ContactId::derive(tenant, subject)),
                since: filter.since,
                before,
                ..RunFilter::default()
            };
            if let Some(key) = &filter.workflow {
                match workflows::by_key(connection, tenant, key).await? {
                    Some(stored) => by.workflow = Some(stored.workflow_id),
                    None => return Ok(Err(Refusal::NoWorkflow(key.clone()))),
                }
            }
            if let Some(event) = &filter.event {
                for (source, id) in events::names(event) {
                    by.ids = lists::ids_of_event(connection, tenant, source, id).await?;
                    if by.ids.is_some() {
                        break;
                    }
                }
                if by.ids.is_none() {
                    return Ok(Err(Refusal::EventGone(event.clone())));
                }
            }
            lists::list(connection, tenant, &by, i64::from(limit) + 1).await.map(Ok)
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

/// Ends an open run, and says why in its history.
///
/// # Errors
///
/// [`Refusal::NoRun`], [`Refusal::RunEnded`]; [`Error::Store`].
pub async fn cancel(
    session: &Session,
    auditor: &Auditor,
    id: RunId,
    reason: &str,
) -> Result<Cancelled, Error> {
    let cancelled = session
        .change_noted(async |connection| {
            cancel::cancel(connection, session.tenant, id, auditor, reason).await
        })
        .await?;
    match cancelled {
        cancel::Cancelled::Now => Ok(Cancelled { id, status: RunStatus::Cancelled.as_str() }),
        cancel::Cancelled::AlreadyEnded(status) => {
            Err(Refusal::RunEnded { id, status: status.as_str() }.into())
        }
        cancel::Cancelled::NotFound => Err(Refusal::NoRun(id).into()),
    }
}
