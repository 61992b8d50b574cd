//! Runs that failed for good, and what a person does about them.

mod canary;
mod groups;
mod handle;
mod replay;
mod shown;

pub use automation_domain::interpreter::ReplayKey;
pub use automation_store::dead_letters::{DeadLetter, DeadLetterStatus, ReplayVersion};
pub use groups::{Change, Group, group, groups, look_after};
pub use handle::{Handled, discard, restore};
pub use replay::{How, Outcome, edited, replay, would_replay};
pub use shown::{Attempt, Letter, Line};

use crate::{Error, Page, Refusal, Session, workflows};
use automation_domain::id::{ContactId, DeadLetterId};
use automation_store::dead_letters::{self, DeadLetterFilter};
use chrono::{DateTime, Utc};

/// What dead letters are looked for by; every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// Key of the workflow.
    pub workflow: Option<String>,
    /// The node at which they failed.
    pub node: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// Subject of the contact.
    pub contact: Option<String>,
    /// The group of alike failures.
    pub signature: Option<String>,
    /// Only of runs that failed since.
    pub since: Option<DateTime<Utc>>,
    /// Only of runs that failed before.
    pub until: Option<DateTime<Utc>>,
}

/// Dead letters that something is to be done to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// These.
    Ids(Vec<DeadLetterId>),
    /// All that fit.
    Fitting(Filter),
}

/// Up to `limit` dead letters, the latest first, behind `before` if it is given.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Error::Store`].
pub async fn list(
    session: &Session,
    filter: &Filter,
    status: Option<DeadLetterStatus>,
    limit: u16,
    before: Option<DeadLetterId>,
) -> Result<Page<Line>, Error> {
    let by = resolve(session, filter, status).await?;
    let most = i64::from(limit) + 1;
    let letters = session
        .read(async |connection| dead_letters::list(connection, session.tenant, &by, before, most).await)
        .await?;
    let page = Page::cut(letters, limit, |letter| letter.dead_letter_id.to_string());
    Ok(page.map(|letter| Line::from(&letter)))
}

/// Everything about one.
///
/// # Errors
///
/// [`Refusal::NoDeadLetter`]; [`Error::Store`].
pub async fn show(session: &Session, id: DeadLetterId) -> Result<Letter, Error> {
    let by_id = async |connection: &mut _| dead_letters::by_id(connection, session.tenant, id).await;
    Ok(Letter(session.read(by_id).await?.ok_or(Refusal::NoDeadLetter(id))?))
}

/// The ids as they are now, at most `most`, the oldest first: what fails later never joins them.
///
/// Ids that are named are taken as they are, so that one which is in another state is reported; else those in state
/// `status` are chosen.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::NoDeadLetterFits`]; [`Error::Store`].
pub async fn choose(
    session: &Session,
    selection: Selection,
    status: DeadLetterStatus,
    most: i64,
) -> Result<Vec<DeadLetterId>, Error> {
    let filter = match selection {
        Selection::Ids(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            return Ok(ids);
        }
        Selection::Fitting(filter) => resolve(session, &filter, Some(status)).await?,
    };
    let ids = session
        .read(async |connection| dead_letters::snapshot(connection, session.tenant, &filter, most).await)
        .await?;
    if ids.is_empty() { Err(Refusal::NoDeadLetterFits(status.as_str()).into()) } else { Ok(ids) }
}

/// The filter, with names looked up.
async fn resolve(
    session: &Session,
    filter: &Filter,
    status: Option<DeadLetterStatus>,
) -> Result<DeadLetterFilter, Error> {
    let workflow = match &filter.workflow {
        Some(key) => Some(workflows::find(session, key).await?.workflow_id),
        None => None,
    };
    Ok(DeadLetterFilter {
        ids: None,
        run: None,
        workflow,
        node: filter.node.clone(),
        code: filter.code.clone(),
        contact: filter.contact.as_deref().map(|subject| ContactId::derive(session.tenant, subject)),
        signature: filter.signature.clone(),
        status,
        since: filter.since,
        until: filter.until,
    })
}
