//! The versions of a workflow: looked at, held against each other, and brought back.

use super::watched::watch;
use super::{Applied, compile_value, deed, find, publish_in};
use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::id::{TenantId, VersionId};
use automation_domain::limits::Limits;
use automation_domain::workflow::{Change, compare};
use automation_store::Conn;
use automation_store::role::Api;
use automation_store::workflows::{self, Origin, StoredWorkflow, history};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

/// A version of a workflow.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Its number, from 1.
    pub version: i32,
    /// Whether it is the one that new runs are pinned to.
    pub published: bool,
    /// Since when it is there.
    #[serde(serialize_with = "crate::time::one")]
    pub published_at: DateTime<Utc>,
    /// Who published it; nobody, when that is not known.
    pub published_by: Option<String>,
    /// Runs that are open and pinned to it.
    pub open_runs: i64,
    /// SHA-256 of its definition: alike definitions have the same.
    pub hash: String,
    /// Its id.
    pub id: VersionId,
}

/// A definition of a workflow.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Side<'a> {
    /// The version that is published.
    Published,
    /// The version before the published one.
    Before,
    /// The version with this number.
    Version(i32),
    /// Another one, with the name that it is told by.
    Given(&'a str, &'a Value),
}

/// What differs between two definitions.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Diff {
    /// The workflow's key.
    pub key: String,
    /// The one: `version/<n>`, or the name that was given.
    pub from: String,
    /// The other.
    pub to: String,
    /// Whether the same runs, whatever is said to people.
    pub runs_alike: bool,
    /// What differs.
    pub changes: Vec<Change>,
}

/// Up to `limit` versions, the latest first, older than `before` if it is given.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`]; [`Error::Store`].
pub async fn versions(
    session: &Session,
    key: &str,
    limit: u16,
    before: Option<i32>,
) -> Result<Page<Version>, Error> {
    let (stored, all) = session
        .read(async |connection| {
            let Some(stored) = workflows::by_key(connection, session.tenant, key).await? else {
                return Ok(Err(Refusal::NoWorkflow(key.to_owned())));
            };
            let most = i64::from(limit) + 1;
            let all = history::list(connection, session.tenant, stored.workflow_id, most, before).await?;
            Ok(Ok((stored, all)))
        })
        .await??;
    let version = |one: history::Published| Version {
        published: one.version_id == stored.version_id,
        version: one.number,
        published_at: one.published_at,
        published_by: one.published_by,
        open_runs: one.open_runs,
        hash: one.hash,
        id: one.version_id,
    };
    Ok(Page::cut(all, limit, |one| one.number.to_string()).map(version))
}

/// The definition of a version, of the published one if none is named: applied, it makes no new version.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::NoVersion`]; [`Error::Store`].
pub async fn export(session: &Session, key: &str, version: Option<i32>) -> Result<Value, Error> {
    let side = version.map_or(Side::Published, Side::Version);
    Ok(session
        .read(async |connection| match workflows::by_key(connection, session.tenant, key).await? {
            Some(stored) => definition(connection, session.tenant, &stored, side).await,
            None => Ok(Err(Refusal::NoWorkflow(key.to_owned()))),
        })
        .await??
        .1)
}

/// What differs between two definitions of a workflow.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::NoVersion`]; [`Error::Store`].
pub async fn diff(session: &Session, key: &str, from: Side<'_>, to: Side<'_>) -> Result<Diff, Error> {
    let tenant = session.tenant;
    let (from, to) = session
        .read(async |connection| {
            let Some(stored) = workflows::by_key(connection, tenant, key).await? else {
                return Ok(Err(Refusal::NoWorkflow(key.to_owned())));
            };
            let from = definition(connection, tenant, &stored, from).await?;
            let to = definition(connection, tenant, &stored, to).await?;
            Ok(from.and_then(|from| Ok((from, to?))))
        })
        .await??;
    let changes = compare(&from.1, &to.1);
    let runs_alike = changes.iter().all(|change| change.for_people);
    Ok(Diff { key: key.to_owned(), from: from.0, to: to.0, runs_alike, changes })
}

/// Publishes the definition of an earlier version as the next one.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::NoVersion`]; [`Refusal::Unchanged`] when the published version says the same;
/// [`Refusal::Definition`] when this version of the engine cannot run it; [`Error::Store`].
pub async fn restore(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    version: i32,
    limits: &Limits,
) -> Result<Applied, Error> {
    let id = find(session, key).await?.workflow_id;
    let workflow = compile_value(&export(session, key, Some(version)).await?, limits)?;
    let workflow = watch(session, &workflow).await?;
    session
        .change(auditor, async |connection| {
            workflows::take_turns(connection, session.tenant).await?;
            let there = workflows::by_key(connection, session.tenant, key).await?;
            if there.is_none_or(|stored| stored.workflow_id != id) {
                return Err(Refusal::NoWorkflow(key.to_owned()).into());
            }
            let applied =
                publish_in(connection, session.tenant, auditor, workflow, Origin::Elsewhere).await?;
            workflows::check_entry_bytes(connection, session.tenant, limits.cache_bytes).await?;
            if applied.result == "unchanged" {
                return Err(Refusal::Unchanged(key.to_owned()).into());
            }
            let detail = json!({ "version": applied.version, "restored": version });
            let deed = deed("workflow.restore", key, detail);
            Ok((applied, Some(deed)))
        })
        .await
}

/// A side's name and definition.
async fn definition(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    stored: &StoredWorkflow,
    side: Side<'_>,
) -> Result<Result<(String, Value), Refusal>, automation_store::Error> {
    let number = match side {
        Side::Given(name, definition) => return Ok(Ok((name.to_owned(), definition.clone()))),
        Side::Published => stored.version,
        Side::Before => stored.version - 1,
        Side::Version(number) => number,
    };
    let found = history::definition(connection, tenant, stored.workflow_id, number).await?;
    let missing = || Refusal::NoVersion { key: stored.key.clone(), version: number };
    Ok(found.map(|definition| (format!("version/{number}"), definition)).ok_or_else(missing))
}
