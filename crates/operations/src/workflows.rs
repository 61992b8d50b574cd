//! Workflows: published, paused, and parts of them suspended.

mod credentials;
mod drafts;
mod folder;
mod goals;
mod lifecycle;
mod parts;
mod runnable;
mod versions;
mod watched;

pub use credentials::missing_credentials;
pub use drafts::{
    Base, DiscardedDraft, DraftLine, Outdated, SavedDraft, ShownDraft, discard_draft, draft, drafts,
    publish_draft, save_draft,
};
pub use folder::{Conflicts, InFile, Left, Others, Plan, Planned, apply_files, plan, twice};
pub use goals::{Conversion, goals};
pub use lifecycle::{Archived, Deleted, OpenRuns, archive, delete, duplicate, open_runs, unarchive};
pub use parts::{PartResumed, Suspended, resume_part};
pub use runnable::{Runnable, Which, runnable};
pub use versions::{Diff, Side, Version, diff, export, restore, versions};

use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::{self, Workflow};
use automation_service_kit::ids;
use automation_store::Conn;
use automation_store::audit::Deed;
use automation_store::role::Api;
use automation_store::workflows::{self, Origin, Publication, StoredWorkflow};
use serde::Serialize;
use serde_json::{Value, json};
use watched::Watched;

/// What publishing came to.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The workflow's key.
    pub key: String,
    /// `created`, `published`, `unchanged` or `archived`.
    pub result: &'static str,
    /// The version that is published now, or was.
    pub version: i32,
}

/// A workflow in a list.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// For people.
    pub name: String,
    /// `active`, `paused` or `archived`.
    pub state: String,
    /// The version that is published.
    pub version: i32,
    /// For each trigger the event that it listens for, or when it fires by itself.
    pub events: Vec<Value>,
    /// Parts of that version which are suspended: `trigger/<id>`, `node/<id>`, `enrolment`.
    pub suspended: Vec<String>,
    /// Its id.
    pub id: WorkflowId,
}

/// The definition of a workflow that is published.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(transparent)]
pub struct Definition {
    /// The definition as it was published.
    pub definition: Value,
    /// Parts of it that are suspended.
    #[serde(skip)]
    pub suspended: Vec<Suspended>,
}

/// What pausing, resuming or taking out of the archive came to.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct StateSet {
    /// The workflow's key.
    pub key: String,
    /// `active`, `paused` or `archived`.
    pub state: &'static str,
    /// Whether it was in another state.
    pub changed: bool,
}

/// Reads a workflow from YAML or JSON.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn compile(text: &str, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    workflow::parse(text, automation_actions::node_types(), limits)
}

/// Compiles a definition that is kept here: another version of the engine may have published it.
fn compile_value(definition: &Value, limits: &Limits) -> Result<Workflow, Refusal> {
    workflow::parse_value(definition, automation_actions::node_types(), limits).map_err(Refusal::Definition)
}

/// Publishes a workflow; one that is published as it is stays. `most_entry_bytes` is what triggers and entry rules of all
/// of the tenant's workflows may take of memory.
///
/// # Errors
///
/// [`Refusal::Archived`]; [`Error::Store`], of which quotas and that memory are a part.
pub async fn apply(
    session: &Session,
    auditor: &Auditor,
    workflow: &Workflow,
    most_entry_bytes: usize,
) -> Result<Applied, Error> {
    let workflow = watched::watch(session, workflow).await?;
    session
        .change(auditor, async |connection| {
            let applied = publish_in(connection, session.tenant, auditor, workflow, Origin::File).await?;
            workflows::check_entry_bytes(connection, session.tenant, most_entry_bytes).await?;
            let deed = published(&applied);
            Ok((applied, deed))
        })
        .await
}

/// The deed of publishing from a file, if that changed anything.
fn published(applied: &Applied) -> Option<Deed> {
    let detail = json!({ "result": applied.result, "version": applied.version });
    (applied.result != "unchanged").then(|| deed("workflow.publish", &applied.key, detail))
}

/// Publishes a workflow within a transaction, which notes it, and checks what all of them take of memory.
async fn publish_in(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    auditor: &Auditor,
    workflow: Watched<'_>,
    origin: Origin,
) -> Result<Applied, Error> {
    let workflow = workflow.workflow();
    let publication = Publication {
        workflow_id: WorkflowId(ids::new_id()),
        version_id: VersionId(ids::new_id()),
        published_by: Some(auditor.actor()),
        origin,
    };
    let key = workflow.key.clone();
    let (result, version) = match workflows::publish(connection, tenant, workflow, publication).await? {
        workflows::Applied::Created => ("created", 1),
        workflows::Applied::Published { version } => ("published", version),
        workflows::Applied::Unchanged { version } => ("unchanged", version),
        workflows::Applied::Archived => return Err(Refusal::Archived(key).into()),
    };
    Ok(Applied { key, result, version })
}

/// Which workflows are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// Those that are not archived.
    Current,
    /// All.
    All,
}

/// The tenant's workflows.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session, listing: Listing) -> Result<Page<Listed>, Error> {
    let (all, suspended) = session
        .read(async |connection| {
            let all = workflows::list(connection, session.tenant).await?;
            Ok((all, parts::all(connection).await?))
        })
        .await?;
    let listed = |stored: StoredWorkflow| Listed {
        events: events(&stored.definition),
        suspended: parts::of(&suspended, stored.version_id).map(|one| one.name()).collect(),
        key: stored.key,
        name: stored.name,
        state: stored.state,
        version: stored.version,
        id: stored.workflow_id,
    };
    let is_listed = |stored: &StoredWorkflow| listing == Listing::All || stored.state != "archived";
    Ok(Page::whole(all.into_iter().filter(is_listed).map(listed).collect()))
}

/// The definition that is published under this key.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Error::Store`].
pub async fn show(session: &Session, key: &str) -> Result<Definition, Error> {
    let found = session
        .read(async |connection| {
            let Some(stored) = workflows::by_key(connection, session.tenant, key).await? else {
                return Ok(None);
            };
            Ok(Some((stored, parts::all(connection).await?)))
        })
        .await?;
    let (stored, suspended) = found.ok_or_else(|| Refusal::NoWorkflow(key.to_owned()))?;
    let suspended = parts::of(&suspended, stored.version_id).cloned().collect();
    Ok(Definition { definition: stored.definition, suspended })
}

/// Starts no new runs of a workflow, and holds open ones before their next step.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::Archived`]; [`Error::Store`].
pub async fn pause(session: &Session, auditor: &Auditor, key: &str) -> Result<StateSet, Error> {
    Ok(set_state(session, auditor, key, "paused", "workflow.pause").await?.0)
}

/// Starts runs of a workflow again, and lets held ones go on.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::Archived`]; [`Error::Store`]: then some runs may still be held, and resuming again lets them go on.
pub async fn resume(session: &Session, auditor: &Auditor, key: &str) -> Result<StateSet, Error> {
    let (set, workflow) = set_state(session, auditor, key, "active", "workflow.resume").await?;
    // Also when it was active already: an earlier resume may have been interrupted here.
    release_held(session, workflow).await?;
    Ok(set)
}

async fn set_state(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    state: &'static str,
    action: &'static str,
) -> Result<(StateSet, WorkflowId), Error> {
    let stored = find(session, key).await?;
    if stored.state == "archived" {
        return Err(Refusal::Archived(key.to_owned()).into());
    }
    let workflow = stored.workflow_id;
    let changed = session
        .change(auditor, async |connection| {
            let changed = workflows::set_state(connection, session.tenant, workflow, state).await?;
            Ok((changed, changed.then(|| deed(action, key, json!({})))))
        })
        .await?;
    Ok((StateSet { key: key.to_owned(), state, changed }, workflow))
}

/// Wakes the runs that were held, a bounded number in each transaction. It is a part of what the entry of resuming says.
async fn release_held(session: &Session, workflow: WorkflowId) -> Result<(), Error> {
    let mut after = None;
    loop {
        let last = session
            .change_noted(async |connection| {
                workflows::release_held(connection, session.tenant, workflow, after, 1_000).await
            })
            .await?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

pub(crate) async fn find(session: &Session, key: &str) -> Result<StoredWorkflow, Error> {
    let by_key = async |connection: &mut _| workflows::by_key(connection, session.tenant, key).await;
    Ok(session.read(by_key).await?.ok_or_else(|| Refusal::NoWorkflow(key.to_owned()))?)
}

fn deed(action: &'static str, key: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("workflow {key}"), detail }
}

fn events(definition: &Value) -> Vec<Value> {
    definition["triggers"].as_array().into_iter().flatten().map(event_of).collect()
}

/// The event that a trigger listens for, or when it fires by itself.
fn event_of(trigger: &Value) -> Value {
    let schedule = &trigger["schedule"];
    match (schedule["cron"].as_str(), schedule["every"].as_str()) {
        (Some(expression), _) => {
            format!("cron {expression} {}", schedule["timezone"].as_str().unwrap_or("UTC")).into()
        }
        (None, Some(interval)) => format!("every {interval}").into(),
        (None, None) => trigger["event"].clone(),
    }
}
