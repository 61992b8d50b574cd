//! Suspended parts of workflows: what is shown of them, and lifting a suspension.

use super::find;
use crate::exit;
use crate::output::{Output, note, time};
use automation_domain::id::VersionId;
use automation_domain::part::{Part, PartKind};
use automation_operations::Session;
use automation_store::audit::Auditor;
use automation_store::blame::suspended_parts::{self, Suspended};
use automation_store::{Error, PgConnection};
use serde_json::{Value, json};

/// The suspended parts of the tenant's workflows.
pub(super) async fn all(session: &Session) -> anyhow::Result<Vec<Suspended>> {
    let list = async |connection: &mut PgConnection| suspended_parts::list(connection).await;
    Ok(session.db.tx::<_, Error>(session.scope(), list).await?)
}

/// Those of a version, as `trigger/asked`, `node/tag` and `enrolment`.
pub(super) fn names(all: &[Suspended], version: VersionId) -> Vec<String> {
    of(all, version).map(|one| name(&one.part)).collect()
}

/// Says on standard error which parts of a version are suspended, since when, and what lifts it: standard output is the
/// definition's.
pub(super) fn warn(all: &[Suspended], key: &str, version: VersionId) {
    for one in of(all, version) {
        note(vec![
            format!(
                "warning: {} of {key} is suspended since {}: {} processes died or hung while they evaluated it",
                one.part,
                time(one.suspended_at),
                one.deaths
            ),
            format!(
                "  next: publish a version that mends it, or: automation workflow resume-part {key} {}",
                name(&one.part)
            ),
        ]);
    }
}

/// Lifts the suspension of a part of the published version.
pub(super) async fn resume(
    session: &Session,
    auditor: &Auditor,
    key: &str,
    name: &str,
    output: &Output,
) -> anyhow::Result<()> {
    let stored = find(session, key).await?;
    let Some((kind, id)) = parse(name) else {
        return Err(exit::usage(
            format!("\"{name}\" does not name a part"),
            "name trigger/<id>, node/<id> or enrolment, as automation workflow list shows it",
        ));
    };
    let part =
        Part { workflow_id: stored.workflow_id, version_id: stored.version_id, kind, id: id.to_owned() };
    let lift = async |connection: &mut PgConnection| {
        suspended_parts::lift(connection, session.tenant, &part, auditor).await
    };
    let changed = session.db.tx::<_, Error>(session.scope(), lift).await?;
    let value: Value = json!({ "key": key, "part": name, "changed": changed });
    output.one(&value, || match changed {
        true => format!("{part} of {key} is evaluated again"),
        false => format!("{part} of version {} of {key} was not suspended", stored.version),
    });
    Ok(())
}

fn of(all: &[Suspended], version: VersionId) -> impl Iterator<Item = &Suspended> {
    all.iter().filter(move |one| one.part.version_id == version)
}

fn name(part: &Part) -> String {
    match part.kind {
        PartKind::Enrolment => "enrolment".to_owned(),
        PartKind::Trigger | PartKind::Node => format!("{}/{}", part.kind.as_str(), part.id),
    }
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
