//! Parts of workflows that are suspended, because processes died or hung over them; and lifting that.

use super::find;
use crate::{Auditor, Error, Refusal, Session};
use automation_domain::id::VersionId;
use automation_domain::part::{Part, PartKind};
use automation_store::Conn;
use automation_store::blame::suspended_parts;
use automation_store::role::Api;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// A part that is suspended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspended {
    /// The part.
    pub part: Part,
    /// How many processes died or hung over it.
    pub deaths: i32,
    /// Since when.
    pub suspended_at: DateTime<Utc>,
}

/// What lifting a suspension came to.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct PartResumed {
    /// The workflow's key.
    pub key: String,
    /// The part's name.
    #[serde(rename = "part")]
    pub name: String,
    /// Whether it was suspended.
    pub changed: bool,
    /// The part.
    #[serde(skip)]
    pub part: Part,
    /// The version that it is a part of: the one that is published.
    #[serde(skip)]
    pub version: i32,
}

impl Suspended {
    /// `trigger/<id>`, `node/<id>` or `enrolment`.
    pub fn name(&self) -> String {
        match self.part.kind {
            PartKind::Enrolment => "enrolment".to_owned(),
            PartKind::Trigger | PartKind::Node => format!("{}/{}", self.part.kind.as_str(), self.part.id),
        }
    }
}

/// Lifts the suspension of a part of the published version: `trigger/<id>`, `node/<id>` or `enrolment`.
///
/// # Errors
///
/// [`Refusal::NoWorkflow`], [`Refusal::PartName`]; [`Error::Store`].
pub async fn resume_part(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    name: &str,
) -> Result<PartResumed, Error> {
    let stored = find(session, key).await?;
    let (kind, id) = parse(name).ok_or_else(|| Refusal::PartName(name.to_owned()))?;
    let part =
        Part { workflow_id: stored.workflow_id, version_id: stored.version_id, kind, id: id.to_owned() };
    let changed = session
        .change_noted(async |connection| {
            suspended_parts::lift(connection, session.tenant, &part, auditor).await
        })
        .await?;
    let (key, name) = (key.to_owned(), name.to_owned());
    Ok(PartResumed { key, name, changed, part, version: stored.version })
}

/// The suspended parts of the tenant in scope.
pub(super) async fn all(connection: &mut Conn<Api>) -> Result<Vec<Suspended>, automation_store::Error> {
    let suspended = |one: suspended_parts::Suspended| Suspended {
        part: one.part,
        deaths: one.deaths,
        suspended_at: one.suspended_at,
    };
    Ok(suspended_parts::list(connection).await?.into_iter().map(suspended).collect())
}

/// Those of a version.
pub(super) fn of(all: &[Suspended], version: VersionId) -> impl Iterator<Item = &Suspended> {
    all.iter().filter(move |one| one.part.version_id == version)
}

fn parse(name: &str) -> Option<(PartKind, &str)> {
    let (kind, id) = name.split_once('/').unwrap_or((name, ""));
    let kind = PartKind::parse(kind)?;
    ((kind == PartKind::Enrolment) == id.is_empty()).then_some((kind, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_they_are_shown() {
        assert_eq!(parse("trigger/asked"), Some((PartKind::Trigger, "asked")));
        assert_eq!(parse("node/a/b"), Some((PartKind::Node, "a/b")));
        assert_eq!(parse("enrolment"), Some((PartKind::Enrolment, "")));
        for wrong in ["trigger", "node/", "enrolment/x", "asked", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
