//! Groups of alike failures: what each is, who looks after it, and whether it is back.

use super::{DeadLetterStatus, Filter, resolve};
use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::id::DeadLetterId;
use automation_store::dead_letters::{self, DeadLetterFilter, DeadLetterGroup, GroupChange};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Longest owner and note, in characters.
const LONGEST: usize = 1_000;

/// A group of alike failures.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// What they have in common.
    pub signature: String,
    /// How many letters there are.
    pub count: i64,
    /// How many of them are open.
    pub open: i64,
    /// Whether somebody has handled it, and whether it is back.
    pub state: &'static str,
    /// Who looks after it.
    pub owner: Option<String>,
    /// What is known of it.
    pub note: Option<String>,
    /// When letters of it were last replayed or discarded.
    #[serde(serialize_with = "crate::time::maybe")]
    pub handled_at: Option<DateTime<Utc>>,
    /// How many workflows it is of.
    pub workflows: i64,
    /// The action that failed.
    pub action: Option<String>,
    /// Stable code.
    pub code: String,
    /// Its sentence, of the latest letter.
    pub message: String,
    /// When it came first.
    #[serde(serialize_with = "crate::time::one")]
    pub first_seen_at: DateTime<Utc>,
    /// When it came last.
    #[serde(serialize_with = "crate::time::one")]
    pub last_seen_at: DateTime<Utc>,
    /// The latest letter.
    pub latest: DeadLetterId,
}

/// What is to be said of a group; what is `None` stays as it is, and an empty text takes it away.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Change {
    /// Who looks after it.
    pub owner: Option<String>,
    /// What is known of it.
    pub note: Option<String>,
}

/// Up to `limit` groups of the letters that fit.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Error::Store`].
pub async fn groups(
    session: &Session,
    filter: &Filter,
    status: Option<DeadLetterStatus>,
    limit: u16,
) -> Result<Page<Group>, Error> {
    let by = resolve(session, filter, status).await?;
    Ok(Page::whole(read(session, &by, i64::from(limit)).await?))
}

/// One group.
///
/// # Errors
///
/// [`Refusal::NoGroup`]; [`Error::Store`].
pub async fn group(session: &Session, signature: &str) -> Result<Group, Error> {
    let by = DeadLetterFilter { signature: Some(signature.to_owned()), ..DeadLetterFilter::default() };
    let found = read(session, &by, 1).await?.pop();
    Ok(found.ok_or_else(|| Refusal::NoGroup(signature.to_owned()))?)
}

/// Says who looks after a group, or what is known of it.
///
/// # Errors
///
/// [`Refusal::GroupText`], [`Refusal::NoGroup`]; [`Error::Store`].
pub async fn look_after(
    session: &Session,
    auditor: &Auditor,
    signature: &str,
    change: &Change,
) -> Result<Group, Error> {
    let texts = [&change.owner, &change.note];
    let is_bad = |text: &String| text.chars().count() > LONGEST || text.contains('\0');
    if texts.into_iter().flatten().any(is_bad) {
        return Err(Refusal::GroupText { longest: LONGEST }.into());
    }
    let change = GroupChange { owner: change.owner.as_deref(), note: change.note.as_deref() };
    let is_known = session
        .change_noted(async |connection| {
            dead_letters::look_after(connection, session.tenant, signature, change, auditor).await
        })
        .await?;
    if !is_known {
        return Err(Refusal::NoGroup(signature.to_owned()).into());
    }
    group(session, signature).await
}

async fn read(session: &Session, by: &DeadLetterFilter, limit: i64) -> Result<Vec<Group>, Error> {
    let found = session
        .read(async |connection| dead_letters::groups(connection, session.tenant, by, limit).await)
        .await?;
    Ok(found.into_iter().map(Group::from).collect())
}

impl From<DeadLetterGroup> for Group {
    fn from(group: DeadLetterGroup) -> Self {
        Self {
            signature: group.signature,
            count: group.count,
            open: group.open,
            state: group.state.as_str(),
            owner: group.owner,
            note: group.note,
            handled_at: group.handled_at,
            workflows: group.workflows,
            action: group.action,
            code: group.code,
            message: group.message,
            first_seen_at: group.first_seen_at,
            last_seen_at: group.last_seen_at,
            latest: group.latest,
        }
    }
}
