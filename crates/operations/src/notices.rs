//! What the engine tells whoever owns a workflow.

use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::id::NoticeId;
use automation_domain::notice;
use automation_store::audit::Deed;
use automation_store::notices::{self, Filter, Kept};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

/// A notice.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// `loop_stopped` or `part_suspended`.
    pub kind: String,
    /// What it is about: what happens again about the same is counted.
    pub about: String,
    /// In a sentence; `None` for one of a newer version of the engine.
    pub message: Option<String>,
    /// The workflows whose owners are told.
    pub workflows: Vec<Owned>,
    /// How often it happened since `first_at`.
    pub occurrences: i64,
    /// When it happened first, or first after it was dismissed.
    #[serde(serialize_with = "crate::time::one")]
    pub first_at: DateTime<Utc>,
    /// When it happened last.
    #[serde(serialize_with = "crate::time::one")]
    pub last_at: DateTime<Utc>,
    /// When somebody dismissed it.
    #[serde(serialize_with = "crate::time::maybe")]
    pub dismissed_at: Option<DateTime<Utc>>,
    /// Who.
    pub dismissed_by: Option<String>,
    /// What is known of the latest time.
    pub detail: Value,
}

/// A workflow and whose it is.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Owned {
    /// Its key.
    pub workflow: String,
    /// As the published version names him.
    pub owner: Option<String>,
}

/// Which notices are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// Those that nobody dismissed.
    Open,
    /// Those that were dismissed too.
    All,
}

/// The tenant's notices, the latest first.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session, which: Which, workflow: Option<&str>) -> Result<Page<Notice>, Error> {
    let filter =
        Filter { all: which == Which::All, workflow: workflow.map(str::to_owned), ..Filter::default() };
    Ok(Page::whole(read(session, &filter).await?))
}

/// A notice.
///
/// # Errors
///
/// [`Refusal::NoNotice`]; [`Error::Store`].
pub async fn show(session: &Session, id: NoticeId) -> Result<Notice, Error> {
    let found = read(session, &Filter { all: true, id: Some(id), ..Filter::default() }).await?.pop();
    Ok(found.ok_or(Refusal::NoNotice(id))?)
}

/// Puts a notice away. Should it happen again, it is there again, and told again.
///
/// # Errors
///
/// [`Refusal::NoNotice`], [`Refusal::NoticeDismissed`]; [`Error::Store`].
pub async fn dismiss(session: &Session, auditor: &Auditor, id: NoticeId) -> Result<Notice, Error> {
    let notice = show(session, id).await?;
    let dismissed = session
        .change(auditor, async |connection| {
            let dismissed = notices::dismiss(connection, session.tenant, id, auditor.actor()).await?;
            let deed = dismissed.then(|| Deed {
                action: "notice.dismiss",
                subject: format!("notice {id}"),
                detail: json!({ "kind": notice.kind, "about": notice.about }),
            });
            Ok((dismissed, deed))
        })
        .await?;
    if dismissed { show(session, id).await } else { Err(Refusal::NoticeDismissed(id).into()) }
}

async fn read(session: &Session, filter: &Filter) -> Result<Vec<Notice>, Error> {
    let kept =
        session.read(async |connection| notices::list(connection, session.tenant, filter).await).await?;
    Ok(kept.into_iter().map(Notice::from).collect())
}

impl From<Kept> for Notice {
    fn from(kept: Kept) -> Self {
        let known = serde_json::from_value::<notice::Notice>(kept.detail.clone()).ok();
        Self {
            id: kept.notice_id,
            kind: kept.kind,
            about: kept.subject,
            message: known.map(|notice| notice.sentence()),
            workflows: kept
                .workflows
                .into_iter()
                .map(|(workflow, owner)| Owned { workflow, owner })
                .collect(),
            occurrences: kept.occurrences,
            first_at: kept.first_at,
            last_at: kept.last_at,
            dismissed_at: kept.dismissed_at,
            dismissed_by: kept.dismissed_by,
            detail: kept.detail,
        }
    }
}
