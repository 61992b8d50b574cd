//! A workflow as it would run: for trying it out.

use super::{compile_value, draft, export, find};
use crate::{Error, Refusal, Session};
use automation_domain::id::WorkflowId;
use automation_domain::limits::Limits;
use automation_domain::workflow::Workflow;

/// Which definition of a workflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// The published one.
    Published,
    /// That of a version.
    Version(i32),
    /// The draft.
    Draft,
}

/// A definition, compiled.
#[derive(Clone, Debug)]
pub struct Runnable {
    /// The workflow.
    pub workflow: Workflow,
    /// Its id, of one that is published.
    pub workflow_id: Option<WorkflowId>,
    /// The number of the version; of a draft, that which it would be published as.
    pub version: i32,
}

/// Compiles what is kept here; nothing is changed.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::NoVersion`], [`Refusal::NoDraft`]; [`Refusal::Definition`] where it cannot be run, as a
/// draft with problems; [`Error::Store`].
pub async fn runnable(
    session: &Session,
    key: &str,
    which: Which,
    limits: &Limits,
) -> Result<Runnable, Error> {
    let published = match (find(session, key).await, which) {
        (Ok(stored), _) => Some(stored),
        // A draft may be there before there is a workflow.
        (Err(Error::Refused(Refusal::NoWorkflow(_))), Which::Draft) => None,
        (Err(error), _) => return Err(error),
    };
    let published_version = published.as_ref().map_or(0, |stored| stored.version);
    let (definition, version) = match which {
        Which::Published => (export(session, key, None).await?, published_version),
        Which::Version(version) => (export(session, key, Some(version)).await?, version),
        Which::Draft => {
            let shown = draft(session, key, limits).await?;
            let problems = || Refusal::Definition(shown.saved.problems.clone());
            (shown.definition.clone().ok_or_else(problems)?, published_version + 1)
        }
    };
    let workflow = compile_value(&definition, limits)?;
    Ok(Runnable { workflow, workflow_id: published.map(|stored| stored.workflow_id), version })
}
