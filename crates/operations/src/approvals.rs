//! What runs ask people to approve.

use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::id::{ApprovalId, RunId};
use automation_domain::interpreter::Verdict;
use automation_store::runs::answers::{self, Decided};
use automation_store::runs::approvals;
pub use automation_store::runs::approvals::{ApprovalFilter as Filter, ApprovalState};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Longest comment, in characters.
pub const COMMENT: usize = 2_000;

/// Something that a run asks to be approved.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Its id: each visit of the node that asks has one of its own.
    pub id: ApprovalId,
    /// The run.
    pub run: RunId,
    /// Key of its workflow.
    pub workflow: String,
    /// The node.
    pub node: String,
    /// Which visit of it.
    pub visit: i32,
    /// `pending`, `approved`, `rejected`, `timed_out` or `cancelled`.
    pub state: &'static str,
    /// What is asked.
    pub question: String,
    /// Who is asked.
    pub approvers: Vec<String>,
    /// Since when.
    #[serde(serialize_with = "crate::time::one")]
    pub asked_at: DateTime<Utc>,
    /// When it is too late for an answer.
    #[serde(serialize_with = "crate::time::maybe")]
    pub due_at: Option<DateTime<Utc>>,
    /// Who said what is to be.
    pub decided_by: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// When it was decided, or came to nothing.
    #[serde(serialize_with = "crate::time::maybe")]
    pub closed_at: Option<DateTime<Utc>>,
}

impl From<approvals::Approval> for Approval {
    fn from(found: approvals::Approval) -> Self {
        Self {
            id: found.approval_id,
            run: found.run_id,
            workflow: found.workflow,
            node: found.node,
            visit: found.visit,
            state: found.state.as_str(),
            question: found.question,
            approvers: found.approvers,
            asked_at: found.asked_at,
            due_at: found.due_at,
            decided_by: found.decided_by,
            comment: found.comment,
            closed_at: found.closed_at,
        }
    }
}

/// Up to `limit` approvals, those of the latest runs first.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session, filter: &Filter, limit: u16) -> Result<Page<Approval>, Error> {
    let most = i64::from(limit) + 1;
    let found = session
        .read(async |connection| approvals::list(connection, session.tenant, filter, most).await)
        .await?;
    let page = Page::cut(found, limit, |approval| approval.approval_id.to_string());
    Ok(page.map(Approval::from))
}

/// One approval.
///
/// # Errors
///
/// [`Refusal::NoApproval`]; [`Error::Store`].
pub async fn show(session: &Session, id: ApprovalId) -> Result<Approval, Error> {
    let by_id = async |connection: &mut _| approvals::by_id(connection, session.tenant, id).await;
    Ok(session.read(by_id).await?.ok_or(Refusal::NoApproval(id))?.into())
}

/// Approves what a run asks; later steps can read the comment.
///
/// # Errors
///
/// [`Refusal::NoApproval`], [`Refusal::ApprovalClosed`], [`Refusal::ApprovalTooLate`], [`Refusal::CommentTooLong`];
/// [`Error::Store`].
pub async fn approve(
    session: &Session,
    auditor: &Auditor,
    id: ApprovalId,
    comment: Option<&str>,
) -> Result<Approval, Error> {
    decide(session, auditor, id, Verdict::Approved, comment).await
}

/// Rejects what a run asks; later steps can read the comment.
///
/// # Errors
///
/// As [`approve`].
pub async fn reject(
    session: &Session,
    auditor: &Auditor,
    id: ApprovalId,
    comment: Option<&str>,
) -> Result<Approval, Error> {
    decide(session, auditor, id, Verdict::Rejected, comment).await
}

async fn decide(
    session: &Session,
    auditor: &Auditor,
    id: ApprovalId,
    verdict: Verdict,
    comment: Option<&str>,
) -> Result<Approval, Error> {
    check_comment(comment)?;
    let said = (auditor, comment);
    let decided = session
        .change_noted(async |connection| answers::decide(connection, session.tenant, id, verdict, said).await)
        .await?;
    match decided {
        Decided::Now => show(session, id).await,
        Decided::NotFound => Err(Refusal::NoApproval(id).into()),
        Decided::TooLate(due) => Err(Refusal::ApprovalTooLate { id, due }.into()),
        Decided::Stands(found) => {
            let (state, by) = (found.state.as_str(), found.decided_by);
            Err(Refusal::ApprovalClosed { id, state, by, at: found.closed_at }.into())
        }
    }
}

/// Whether a comment may be kept.
pub(crate) fn check_comment(comment: Option<&str>) -> Result<(), Refusal> {
    match comment {
        Some(comment) if comment.chars().count() > COMMENT || comment.contains('\0') => {
            Err(Refusal::CommentTooLong { longest: COMMENT })
        }
        Some(_) | None => Ok(()),
    }
}
