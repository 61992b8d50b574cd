//! What workflows left for people.

use crate::{Error, Page, Session, contacts};
use automation_domain::id::{RecordId, RunId};
use automation_store::records::{Listed, RecordFilter, notes, tasks};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// What records are looked for by; every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// The contact, by subject, e-mail address or id.
    pub contact: Option<String>,
    /// The run that made them.
    pub run: Option<RunId>,
}

/// A task.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// Its id.
    pub id: RecordId,
    /// Subject of the contact that it is about.
    pub contact: Option<String>,
    /// What is to be done.
    pub title: String,
    /// More of that.
    pub description: Option<String>,
    /// Until when.
    #[serde(serialize_with = "crate::time::maybe")]
    pub due_at: Option<DateTime<Utc>>,
    /// By whom.
    pub assignee: Option<String>,
    /// How it stands.
    pub status: Option<String>,
    /// The run that made it.
    pub run: RunId,
    /// When it was made.
    #[serde(serialize_with = "crate::time::one")]
    pub created_at: DateTime<Utc>,
}

/// A note.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Its id.
    pub id: RecordId,
    /// Subject of the contact that it is about.
    pub contact: Option<String>,
    /// What it says.
    pub text: String,
    /// The run that made it.
    pub run: RunId,
    /// When it was made.
    #[serde(serialize_with = "crate::time::one")]
    pub created_at: DateTime<Utc>,
}

/// Up to `limit` tasks, those of the latest runs first, behind `before` if it is given.
///
/// # Errors
///
/// [`crate::Refusal::NoContact`]; [`Error::Store`].
pub async fn tasks(
    session: &Session,
    filter: &Filter,
    limit: u16,
    before: Option<RecordId>,
) -> Result<Page<Task>, Error> {
    let (by, most) = (resolve(session, filter, before).await?, i64::from(limit) + 1);
    let found =
        session.read(async |connection| tasks::list(connection, session.tenant, &by, most).await).await?;
    Ok(Page::cut(found.into_iter().map(task).collect(), limit, |task: &Task| task.id.to_string()))
}

/// Up to `limit` notes, those of the latest runs first, behind `before` if it is given.
///
/// # Errors
///
/// [`crate::Refusal::NoContact`]; [`Error::Store`].
pub async fn notes(
    session: &Session,
    filter: &Filter,
    limit: u16,
    before: Option<RecordId>,
) -> Result<Page<Note>, Error> {
    let (by, most) = (resolve(session, filter, before).await?, i64::from(limit) + 1);
    let found =
        session.read(async |connection| notes::list(connection, session.tenant, &by, most).await).await?;
    Ok(Page::cut(found.into_iter().map(note).collect(), limit, |note: &Note| note.id.to_string()))
}

async fn resolve(
    session: &Session,
    filter: &Filter,
    before: Option<RecordId>,
) -> Result<RecordFilter, Error> {
    let contact = match &filter.contact {
        Some(who) => Some(contacts::show(session, who).await?.contact_id),
        None => None,
    };
    Ok(RecordFilter { contact, run: filter.run, before })
}

fn task(found: Listed<automation_domain::record::Task>) -> Task {
    let task = found.record;
    Task {
        id: task.task_id,
        contact: found.contact,
        title: task.title,
        description: task.description,
        due_at: task.due_at,
        assignee: task.assignee,
        status: found.status,
        run: found.run_id,
        created_at: found.created_at,
    }
}

fn note(found: Listed<automation_domain::record::Note>) -> Note {
    Note {
        id: found.record.note_id,
        contact: found.contact,
        text: found.record.text,
        run: found.run_id,
        created_at: found.created_at,
    }
}
