//! Drafts: one beside each workflow, or for a key that none has yet. A draft may have problems; what is published may not.

use super::watched::watch;
use super::{Applied, compile_value, deed, publish_in};
use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::limits::Limits;
use automation_domain::problem::Problem;
use automation_domain::workflow::{self, is_key};
use automation_store::workflows::drafts::{self, Draft, NewDraft};
use automation_store::workflows::{self, Origin, StoredWorkflow};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// What somebody had before him who saves a draft.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Neither a workflow nor a draft.
    Nothing,
    /// This published version, and no draft.
    Version(i32),
    /// This revision of the draft.
    Draft(i64),
}

/// Whether a draft is published over a version that it was not begun from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outdated {
    /// It is refused.
    Refuse,
    /// It replaces that version.
    Replace,
}

/// A draft without its text.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct DraftLine {
    /// The workflow's key.
    pub key: String,
    /// What a save names that is based on it: `draft/<n>`.
    #[serde(serialize_with = "as_base")]
    pub revision: i64,
    /// The version that was published when it was begun; none where nothing was.
    pub base_version: Option<i32>,
    /// When it was saved.
    #[serde(serialize_with = "crate::time::one")]
    pub saved_at: DateTime<Utc>,
    /// By whom.
    pub saved_by: String,
}

/// A draft that was saved.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct SavedDraft {
    /// The draft.
    #[serde(flatten)]
    pub draft: DraftLine,
    /// What keeps it from being published.
    pub problems: Vec<Problem>,
    /// What is worth saying of it, where nothing does.
    pub warnings: Vec<Problem>,
}

/// Everything about a draft.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct ShownDraft {
    /// The draft, and what is wrong with it.
    #[serde(flatten)]
    pub saved: SavedDraft,
    /// As it was written.
    pub source: String,
    /// What that says, where it can be read.
    pub definition: Option<Value>,
}

/// A draft that was thrown away.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct DiscardedDraft {
    /// The workflow's key.
    pub key: String,
    /// `discarded`.
    pub result: &'static str,
}

/// All drafts of the tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn drafts(session: &Session) -> Result<Page<DraftLine>, Error> {
    let all = session.read(async |connection| drafts::list(connection, session.tenant).await).await?;
    Ok(Page::whole(all.iter().map(DraftLine::from).collect()))
}

/// A draft, with what is wrong with it.
///
/// # Errors
///
/// [`Refusal::NoDraft`]; [`Error::Store`].
pub async fn draft(session: &Session, key: &str, limits: &Limits) -> Result<ShownDraft, Error> {
    let draft = find_draft(session, key).await?;
    let definition = workflow::read(&draft.source, limits);
    let (problems, warnings) = match &definition {
        Ok(definition) => checked(definition, limits),
        Err(problem) => (vec![problem.clone()], Vec::new()),
    };
    let saved = SavedDraft { draft: DraftLine::from(&draft), problems, warnings };
    Ok(ShownDraft { saved, source: draft.source, definition: definition.ok() })
}

/// Keeps a file as the draft of its key, in place of the one there was. With a base, only where that is still what is there.
///
/// # Errors
///
/// [`Refusal::Definition`] for a text that is no document, or has no key; [`Refusal::DraftChanged`]; [`Error::Store`].
pub async fn save_draft(
    session: &Session,
    auditor: &Auditor,
    source: &str,
    base: Option<Base>,
    limits: &Limits,
) -> Result<SavedDraft, Error> {
    let definition = workflow::read(source, limits).map_err(|problem| Refusal::Definition(vec![problem]))?;
    let (problems, warnings) = checked(&definition, limits);
    let Some(key) = definition["key"].as_str().filter(|key| is_key(key)) else {
        return Err(Refusal::Definition(problems).into());
    };
    let draft = session
        .change(auditor, async |connection| {
            let tenant = session.tenant;
            workflows::take_turns(connection, tenant).await?;
            let published = workflows::by_key(connection, tenant, key).await?;
            let there = drafts::by_key(connection, tenant, key).await?;
            check_base(key, base, published.as_ref(), there.as_ref())?;
            let base_version = published.map(|published| published.version);
            let new = NewDraft { key, source, base_version, saved_by: auditor.actor() };
            let draft = drafts::save(connection, tenant, new).await?;
            let detail = json!({ "revision": draft.revision, "problems": problems.len() });
            let deed = deed("workflow.draft_save", key, detail);
            Ok((draft, Some(deed)))
        })
        .await?;
    Ok(SavedDraft { draft: DraftLine::from(&draft), problems, warnings })
}

/// Throws a draft away.
///
/// # Errors
///
/// [`Refusal::NoDraft`]; [`Error::Store`].
pub async fn discard_draft(session: &Session, auditor: &Auditor, key: &str) -> Result<DiscardedDraft, Error> {
    session
        .change(auditor, async |connection| match drafts::discard(connection, session.tenant, key).await? {
            true => Ok(((), Some(deed("workflow.draft_discard", key, json!({}))))),
            false => Err(Refusal::NoDraft(key.to_owned()).into()),
        })
        .await?;
    Ok(DiscardedDraft { key: key.to_owned(), result: "discarded" })
}

/// Publishes a draft, which is gone afterwards.
///
/// # Errors
///
/// [`Refusal::NoDraft`]; [`Refusal::Definition`] for one with problems; [`Refusal::DraftOutdated`] where another version was
/// published since it was begun; [`Refusal::DraftChanged`] when somebody saves it at the same time; [`Refusal::Unchanged`];
/// [`Error::Store`].
pub async fn publish_draft(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    outdated: Outdated,
    limits: &Limits,
) -> Result<Applied, Error> {
    let draft = find_draft(session, key).await?;
    let definition =
        workflow::read(&draft.source, limits).map_err(|problem| Refusal::Definition(vec![problem]))?;
    let compiled = compile_value(&definition, limits)?;
    let compiled = watch(session, &compiled).await?;
    session
        .change(auditor, async |connection| {
            let tenant = session.tenant;
            workflows::take_turns(connection, tenant).await?;
            let published = workflows::by_key(connection, tenant, key).await?;
            let there = drafts::by_key(connection, tenant, key).await?;
            check_base(key, Some(Base::Draft(draft.revision)), published.as_ref(), there.as_ref())?;
            let version = published.map(|published| published.version);
            if outdated == Outdated::Refuse && version != draft.base_version {
                let base = draft.base_version.map_or(Base::Nothing, Base::Version).to_string();
                return Err(Refusal::DraftOutdated { key: key.to_owned(), base }.into());
            }
            let applied = publish_in(connection, tenant, auditor, compiled, Origin::Elsewhere).await?;
            workflows::check_entry_bytes(connection, tenant, limits.cache_bytes).await?;
            if applied.result == "unchanged" {
                return Err(Refusal::Unchanged(key.to_owned()).into());
            }
            drafts::discard(connection, tenant, key).await?;
            let detail = json!({
                "result": applied.result, "version": applied.version, "draft": draft.revision,
            });
            let deed = deed("workflow.publish", key, detail);
            Ok((applied, Some(deed)))
        })
        .await
}

async fn find_draft(session: &Session, key: &str) -> Result<Draft, Error> {
    let found =
        session.read(async |connection| drafts::by_key(connection, session.tenant, key).await).await?;
    Ok(found.ok_or_else(|| Refusal::NoDraft(key.to_owned()))?)
}

/// What keeps a definition from being published, or else what is worth saying of it.
fn checked(definition: &Value, limits: &Limits) -> (Vec<Problem>, Vec<Problem>) {
    match workflow::parse_value(definition, automation_actions::node_types(), limits) {
        Ok(workflow) => (Vec::new(), workflow.warnings),
        Err(problems) => (problems, Vec::new()),
    }
}

fn check_base(
    key: &str,
    expected: Option<Base>,
    published: Option<&StoredWorkflow>,
    draft: Option<&Draft>,
) -> Result<(), Refusal> {
    let found = match (draft, published) {
        (Some(draft), _) => Base::Draft(draft.revision),
        (None, Some(published)) => Base::Version(published.version),
        (None, None) => Base::Nothing,
    };
    match expected {
        Some(expected) if expected != found => Err(Refusal::DraftChanged {
            key: key.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }),
        Some(_) | None => Ok(()),
    }
}

fn as_base<S: serde::Serializer>(revision: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base::Draft(*revision))
}

impl From<&Draft> for DraftLine {
    fn from(draft: &Draft) -> Self {
        Self {
            key: draft.key.clone(),
            revision: draft.revision,
            base_version: draft.base_version,
            saved_at: draft.saved_at,
            saved_by: draft.saved_by.clone(),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Version(number) => write!(f, "version/{number}"),
            Self::Draft(revision) => write!(f, "draft/{revision}"),
        }
    }
}

impl FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a base is nothing, version/<number> or draft/<number>".to_owned();
        match text.split_once('/') {
            None if text == "nothing" => Ok(Self::Nothing),
            Some(("version", number)) => number.parse().map(Self::Version).map_err(|_| wrong()),
            Some(("draft", number)) => number.parse().map(Self::Draft).map_err(|_| wrong()),
            Some(_) | None => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_read_as_it_is_shown() {
        for base in [Base::Nothing, Base::Version(3), Base::Draft(7)] {
            assert_eq!(base.to_string().parse(), Ok(base));
        }
        for wrong in ["", "3", "version/", "version/x", "draft", "other/1", "draft/1/2"] {
            assert!(wrong.parse::<Base>().is_err(), "{wrong}");
        }
    }
}
