//! Letting a run go on that stands at a pause of its workflow.

use crate::approvals::check_comment;
use crate::{Auditor, Error, Refusal, Session};
use automation_domain::id::RunId;
use automation_store::runs::answers::{self, WentOn};
use serde::Serialize;

/// A run that goes on.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct GoesOn {
    /// The run.
    pub id: RunId,
    /// `continued`.
    pub status: &'static str,
    /// The nodes at which it goes on.
    pub nodes: Vec<String>,
}

/// Lets a run go on at the pauses of its workflow that it stands at, or at that of one node. One that is held by hand, or whose
/// workflow is paused, goes on once it is resumed.
///
/// # Errors
///
/// [`Refusal::NoRun`], [`Refusal::RunEnded`], [`Refusal::NotPaused`], [`Refusal::PauseOver`], [`Refusal::CommentTooLong`];
/// [`Error::Store`].
pub async fn go_on(
    session: &Session,
    auditor: &Auditor,
    id: RunId,
    node: Option<&str>,
    comment: Option<&str>,
) -> Result<GoesOn, Error> {
    check_comment(comment)?;
    let (run, said) = ((session.tenant, id), (auditor, comment));
    let went_on =
        session.change_noted(async |connection| answers::go_on(connection, run, node, said).await).await?;
    match went_on {
        WentOn::Now(nodes) => Ok(GoesOn { id, status: "continued", nodes }),
        WentOn::NotPaused => Err(Refusal::NotPaused(id).into()),
        WentOn::TooLate(due) => Err(Refusal::PauseOver { id, due }.into()),
        WentOn::Ended(status) => Err(Refusal::RunEnded { id, status: status.as_str() }.into()),
        WentOn::NotFound => Err(Refusal::NoRun(id).into()),
    }
}
