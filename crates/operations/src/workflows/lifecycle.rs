//! Putting workflows away and taking them out again; and beginning another like one.

use super::{DraftLine, StateSet, compile_value, deed, find};
use crate::{Auditor, Error, Refusal, Session};
use automation_domain::limits::Limits;
use automation_domain::workflow::{Readable, is_key};
use automation_store::workflows::drafts::{self, NewDraft};
use automation_store::workflows::{self, lifecycle};
use serde::Serialize;
use serde_json::{Value, json};

/// What becomes of the open runs of a workflow that is archived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenRuns {
    /// They go on to their ends. Where the workflow holds them, because it is paused, it is not archived.
    Finish,
    /// Whoever archives it cancels them afterwards.
    Cancel,
}

/// What archiving came to.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// The workflow, and whether it was not archived before.
    #[serde(flatten)]
    pub set: StateSet,
    /// Runs that were open at that moment. No more begin.
    pub open_runs: i64,
}

/// What deleting came to.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// The key, which is free.
    pub key: String,
    /// `deleted`.
    pub result: &'static str,
}

/// How many runs of a workflow are open.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Error::Store`].
pub async fn open_runs(session: &Session, key: &str) -> Result<i64, Error> {
    let workflow = find(session, key).await?.workflow_id;
    session.read(async |connection| lifecycle::open_runs(connection, session.tenant, workflow).await).await
}

/// Lets a workflow start no more runs.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Refusal::HeldRuns`] where it is paused and holds runs; [`Error::Store`].
pub async fn archive(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    open: OpenRuns,
) -> Result<Archived, Error> {
    let tenant = session.tenant;
    session
        .change(auditor, async |connection| {
            workflows::take_turns(connection, tenant).await?;
            let stored = workflows::by_key(connection, tenant, key).await?;
            let stored = stored.ok_or_else(|| Refusal::NoWorkflow(key.to_owned()))?;
            let open_runs = lifecycle::open_runs(connection, tenant, stored.workflow_id).await?;
            if open == OpenRuns::Finish && stored.state == "paused" && open_runs > 0 {
                return Err(Refusal::HeldRuns { key: key.to_owned(), runs: open_runs }.into());
            }
            let changed = lifecycle::archive(connection, tenant, stored.workflow_id).await?;
            let set = StateSet { key: key.to_owned(), state: "archived", changed };
            let deed = deed("workflow.archive", key, json!({ "open_runs": open_runs }));
            Ok((Archived { set, open_runs }, changed.then_some(deed)))
        })
        .await
}

/// Lets an archived workflow start runs again. Slots of its schedules that were meanwhile are none.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Refusal::NotArchived`]; [`Refusal::Definition`] when this version of the engine cannot run it;
/// [`Error::Store`], of which the memory of triggers is a part.
pub async fn unarchive(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    limits: &Limits,
) -> Result<StateSet, Error> {
    let stored = find(session, key).await?;
    let compiled = compile_value(&stored.definition, limits)?;
    let ids = (stored.workflow_id, stored.version_id);
    session
        .change(auditor, async |connection| {
            if !lifecycle::unarchive(connection, session.tenant, ids, &compiled).await? {
                return Err(Refusal::NotArchived(key.to_owned()).into());
            }
            workflows::check_entry_bytes(connection, session.tenant, limits.cache_bytes).await?;
            let set = StateSet { key: key.to_owned(), state: "active", changed: true };
            Ok((set, Some(deed("workflow.unarchive", key, json!({})))))
        })
        .await
}

/// Deletes an archived workflow of which no run is open, with its draft. What is kept of its runs can be read until their
/// retention is over.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::NotArchived`], [`Refusal::RunsOpen`]; [`Error::Store`].
pub async fn delete(session: &Session, auditor: &Auditor, key: &str) -> Result<Deleted, Error> {
    let tenant = session.tenant;
    session
        .change(auditor, async |connection| {
            workflows::take_turns(connection, tenant).await?;
            let stored = workflows::by_key(connection, tenant, key).await?;
            let workflow = stored.ok_or_else(|| Refusal::NoWorkflow(key.to_owned()))?.workflow_id;
            let runs = lifecycle::open_runs(connection, tenant, workflow).await?;
            if runs > 0 {
                return Err(Refusal::RunsOpen { key: key.to_owned(), runs }.into());
            }
            if !lifecycle::delete(connection, tenant, workflow).await? {
                return Err(Refusal::NotArchived(key.to_owned()).into());
            }
            let deleted = Deleted { key: key.to_owned(), result: "deleted" };
            Ok((deleted, Some(deed("workflow.delete", key, json!({})))))
        })
        .await
}

/// Begins a draft under another key that says what a workflow does. Nothing of it runs until it is published.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::WorkflowKey`], [`Refusal::WorkflowExists`]; [`Error::Store`].
pub async fn duplicate(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    new_key: &str,
    name: Option<&str>,
) -> Result<DraftLine, Error> {
    if !is_key(new_key) {
        return Err(Refusal::WorkflowKey(new_key.to_owned()).into());
    }
    let stored = find(session, key).await?;
    let mut definition = stored.definition;
    definition["key"] = Value::from(new_key);
    definition["name"] = name.map_or_else(|| Value::from(format!("{} (copy)", stored.name)), Value::from);
    let source = Readable(&definition).to_yaml();
    session
        .change(auditor, async |connection| {
            let tenant = session.tenant;
            workflows::take_turns(connection, tenant).await?;
            let is_taken = workflows::by_key(connection, tenant, new_key).await?.is_some()
                || drafts::by_key(connection, tenant, new_key).await?.is_some();
            if is_taken {
                return Err(Refusal::WorkflowExists(new_key.to_owned()).into());
            }
            let new =
                NewDraft { key: new_key, source: &source, base_version: None, saved_by: auditor.actor() };
            let draft = drafts::save(connection, tenant, new).await?;
            let deed = deed("workflow.duplicate", new_key, json!({ "of": key, "revision": draft.revision }));
            Ok((DraftLine::from(&draft), Some(deed)))
        })
        .await
}
