//! Files that are kept elsewhere, mostly in Git: what applying them would change, and doing that, all of it or nothing.
//!
//! Each workflow remembers the version that a file last said ([`StoredWorkflow::file_version_id`]). When another one is published,
//! somebody changed it elsewhere (a draft, an earlier version brought back), and a file is not applied over that unasked.

use super::watched::watch;
use super::{Applied, deed, publish_in, published};
use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::id::TenantId;
use automation_domain::problem::Problem;
use automation_domain::workflow::{Change, Workflow, compare};
use automation_store::Conn;
use automation_store::role::Api;
use automation_store::workflows::{self, Origin, StoredWorkflow, history, lifecycle};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// A file that holds a workflow.
#[derive(Clone, Copy, Debug)]
pub struct InFile<'a> {
    /// As it is named.
    pub file: &'a str,
    /// What it holds.
    pub workflow: &'a Workflow,
}

/// What applying a file comes to.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Planned {
    /// The file.
    pub file: String,
    /// The workflow's key.
    pub key: String,
    /// `create`, `change` or `unchanged`; `conflict` where it was changed elsewhere, `archived` where it is.
    pub action: &'static str,
    /// The version that is published.
    pub version: Option<i32>,
    /// What the file changes of what is published.
    pub changes: Vec<Change>,
    /// What was changed elsewhere since a file was applied, as far as that is known.
    pub elsewhere: Vec<Change>,
}

/// A workflow that no file is about.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// Its key.
    pub key: String,
    /// `active` or `paused`.
    pub state: String,
    /// The version that is published.
    pub version: i32,
    /// Runs of it that are open.
    pub open_runs: i64,
}

/// What applying files comes to.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Plan {
    /// Of each file, in their order.
    pub files: Vec<Planned>,
    /// Workflows that none of them is about, but for archived ones. They stay as they are, unless told otherwise.
    pub others: Vec<Left>,
}

/// What becomes of changes that were made elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conflicts {
    /// Nothing is applied.
    Refuse,
    /// The files replace them.
    Replace,
}

/// What becomes of workflows that no file is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// They stay as they are.
    Leave,
    /// They are archived.
    Archive,
}

impl Plan {
    /// How many workflows it would change.
    pub fn to_do(&self, others: Others) -> usize {
        let archived = if others == Others::Archive { self.others.len() } else { 0 };
        self.files.iter().filter(|one| ["create", "change", "conflict"].contains(&one.action)).count()
            + archived
    }

    /// The keys of files with this action.
    pub fn keys(&self, action: &str) -> Vec<String> {
        self.files.iter().filter(|one| one.action == action).map(|one| one.key.clone()).collect()
    }
}

/// Files that are about the same workflow as one before them: a problem of each.
pub fn twice(files: &[InFile<'_>]) -> Vec<(String, Problem)> {
    let mut first = BTreeMap::new();
    let mut problems = Vec::new();
    for InFile { file, workflow } in files {
        let key = workflow.key.as_str();
        let earlier = *first.entry(key).or_insert(*file);
        if earlier != *file {
            let message = format!("{earlier} is about the workflow \"{key}\" already");
            problems.push(((*file).to_owned(), Problem::new("duplicate_workflow", "key", message)));
        }
    }
    problems
}

/// What applying these files would change. They are about different workflows ([`twice`]).
///
/// # Errors
///
/// [`Error::Store`].
pub async fn plan(session: &Session, files: &[InFile<'_>]) -> Result<Plan, Error> {
    session.read(async |connection| planned(connection, session.tenant, files).await).await
}

/// Publishes what files change, and nothing of it when one of them is in the way. They are about different workflows
/// ([`twice`]). `most_entry_bytes` is what triggers and entry rules of all of the tenant's workflows may take of memory.
///
/// # Errors
///
/// [`Refusal::ChangedElsewhere`], unless that is to be replaced; [`Refusal::Archived`]; [`Refusal::HeldRuns`] for a paused one
/// that is to be archived and has open runs; [`Error::Store`], of which quotas and that memory are a part.
pub async fn apply_files(
    session: &Session,
    auditor: &Auditor,
    files: &[InFile<'_>],
    (conflicts, others): (Conflicts, Others),
    most_entry_bytes: usize,
) -> Result<Page<Applied>, Error> {
    let tenant = session.tenant;
    let mut watched = Vec::with_capacity(files.len());
    for InFile { workflow, .. } in files {
        watched.push(watch(session, workflow).await?);
    }
    let applied = session
        .change(auditor, async |connection| {
            workflows::take_turns(connection, tenant).await?;
            let plan = planned(connection, tenant, files).await?;
            let changed = plan.keys("conflict");
            if conflicts == Conflicts::Refuse && !changed.is_empty() {
                return Err(Refusal::ChangedElsewhere(changed).into());
            }
            let (mut applied, mut deeds) = (Vec::new(), Vec::new());
            for workflow in &watched {
                let one = publish_in(connection, tenant, auditor, *workflow, Origin::File).await?;
                deeds.extend(published(&one));
                applied.push(one);
            }
            if others == Others::Archive {
                for left in plan.others {
                    deeds.push(archive(connection, tenant, &left).await?);
                    applied.push(Applied { key: left.key, result: "archived", version: left.version });
                }
            }
            workflows::check_entry_bytes(connection, tenant, most_entry_bytes).await?;
            Ok((applied, deeds))
        })
        .await?;
    Ok(Page::whole(applied))
}

async fn archive(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    left: &Left,
) -> Result<automation_store::audit::Deed, Error> {
    let Left { key, state, open_runs, .. } = left;
    if state == "paused" && *open_runs > 0 {
        return Err(Refusal::HeldRuns { key: key.clone(), runs: *open_runs }.into());
    }
    let stored = workflows::by_key(connection, tenant, key).await?;
    let workflow = stored.ok_or_else(|| Refusal::NoWorkflow(key.clone()))?.workflow_id;
    lifecycle::archive(connection, tenant, workflow).await?;
    Ok(deed("workflow.archive", key, json!({ "open_runs": open_runs })))
}

async fn planned(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    files: &[InFile<'_>],
) -> Result<Plan, automation_store::Error> {
    let all = workflows::list(connection, tenant).await?;
    let mut there: BTreeMap<&str, &StoredWorkflow> =
        all.iter().map(|stored| (stored.key.as_str(), stored)).collect();
    let mut plan = Plan { files: Vec::new(), others: Vec::new() };
    for InFile { file, workflow } in files {
        let stored = there.remove(workflow.key.as_str());
        let elsewhere = match stored {
            Some(stored) => changed_elsewhere(connection, tenant, stored).await?,
            None => None,
        };
        plan.files.push(of_file(file, workflow, stored, elsewhere));
    }
    for stored in there.into_values().filter(|stored| stored.state != "archived") {
        let open_runs = lifecycle::open_runs(connection, tenant, stored.workflow_id).await?;
        let (key, state) = (stored.key.clone(), stored.state.clone());
        plan.others.push(Left { key, state, version: stored.version, open_runs });
    }
    Ok(plan)
}

/// What was changed elsewhere since a file was applied; `None` where nothing was.
async fn changed_elsewhere(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    stored: &StoredWorkflow,
) -> Result<Option<Vec<Change>>, automation_store::Error> {
    let base = match stored.file_version_id {
        Some(base) if base == stored.version_id => return Ok(None),
        Some(base) => history::definition_by_id(connection, tenant, base).await?,
        None => None,
    };
    Ok(Some(base.map_or_else(Vec::new, |base| compare(&base, &stored.definition))))
}

fn of_file(
    file: &str,
    workflow: &Workflow,
    stored: Option<&StoredWorkflow>,
    elsewhere: Option<Vec<Change>>,
) -> Planned {
    let (file, key) = (file.to_owned(), workflow.key.clone());
    let Some(stored) = stored else {
        let (changes, elsewhere) = (Vec::new(), Vec::new());
        return Planned { file, key, action: "create", version: None, changes, elsewhere };
    };
    let action = match (stored.state.as_str(), stored.definition == workflow.definition, &elsewhere) {
        ("archived", ..) => "archived",
        (_, true, _) => "unchanged",
        (_, false, Some(_)) => "conflict",
        (_, false, None) => "change",
    };
    let changes = compare(&stored.definition, &workflow.definition);
    let elsewhere = elsewhere.filter(|_| action == "conflict").unwrap_or_default();
    Planned { file, key, action, version: Some(stored.version), changes, elsewhere }
}
