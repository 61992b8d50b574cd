//! What is in hand of those who handle with care what came back, and how often a process died of it.

use crate::db::Access;
use crate::role::{Scheduler, Worker};
use crate::{Conn, Db, Error, Scope};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::part::{Part, PartKind, PartRef};
use sqlx::{Postgres, Row, Transaction};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Whose a message is that has not been read.
pub const UNREAD: TenantId = TenantId(Uuid::nil());

/// So many processes die of something with one event or run, and no more.
pub const MOST_DEATHS: i32 = 3;

/// A message, event or run that came back.
pub type Subject = (TenantId, Uuid);

/// What is in hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InHand<'a> {
    /// A message that is being read.
    Message,
    /// An event, and none of the parts that it meets.
    Event,
    /// A part that an event or run meets.
    Part(PartRef<'a>),
}

/// Something of which a process died.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspect {
    /// What it was handled for.
    pub subject: Subject,
    /// The part that was in hand; `None` for the message or event itself.
    pub part: Option<Part>,
    /// How many processes died of the two together.
    pub deaths: i32,
}

impl Suspect {
    /// Whether [`MOST_DEATHS`] processes died of it.
    pub fn is_deadly(&self) -> bool {
        self.deaths >= MOST_DEATHS
    }
}

/// Subjects that nobody else handles with care as long as this is kept.
#[derive(Debug)]
pub struct Hold(
    #[expect(dead_code, reason = "it holds locks until it is dropped")] Transaction<'static, Postgres>,
);

/// Keeps others from taking the marks of these subjects for those of somebody who died; gives those of them that nobody who
/// lives has. The process's death ends it.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn hold(db: &Db<Worker>, subjects: &[Uuid]) -> Result<(Hold, BTreeSet<Uuid>), Error> {
    let mut transaction = db.begin(Access::Write, Scope::Unscoped).await?;
    let held: Vec<(Uuid, bool)> = sqlx::query_as(
        "SELECT i, pg_try_advisory_xact_lock(hashtextextended('automation.suspects ' || i::text, 0))
           FROM unnest($1::uuid[]) AS u (i)",
    )
    .bind(subjects)
    .fetch_all(&mut *transaction)
    .await?;
    let held = held.into_iter().filter(|(_, held)| *held).map(|(subject, _)| subject).collect();
    Ok((Hold(transaction), held))
}

/// Charges what was left in hand when a process died with one death each, and gives everything that was ever charged to
/// these subjects. Their tenants are in scope.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn charge(connection: &mut Conn<Worker>, subjects: &[Subject]) -> Result<Vec<Suspect>, Error> {
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let (tenants, ids) = columns(subjects);
    sqlx::query(
        "UPDATE suspects s SET deaths = s.deaths + 1, in_hand = false FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          WHERE s.tenant_id = u.t AND s.subject = u.i AND s.in_hand",
    )
    .bind(&tenants)
    .bind(&ids)
    .execute(connection.sql())
    .await?;
    let rows = sqlx::query(
        "SELECT s.* FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
           JOIN suspects s ON s.tenant_id = u.t AND s.subject = u.i AND s.deaths > 0",
    )
    .bind(&tenants)
    .bind(&ids)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let subject = (TenantId(row.try_get("tenant_id")?), row.try_get("subject")?);
            let kind: String = row.try_get("kind")?;
            let part = PartKind::parse(&kind).map(|kind| {
                Ok::<_, Error>(Part {
                    workflow_id: WorkflowId(row.try_get("workflow_id")?),
                    version_id: VersionId(row.try_get("version_id")?),
                    kind,
                    id: row.try_get("part_id")?,
                })
            });
            Ok(Suspect { subject, part: part.transpose()?, deaths: row.try_get("deaths")? })
        })
        .collect()
}

/// Marks what is in hand from here on, in place of what was. The tenant is in scope.
///
/// The commit waits for no disk: a mark need not outlive the database, only this process.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn mark(
    connection: &mut Conn<Worker>,
    (tenant, subject): Subject,
    in_hand: InHand<'_>,
) -> Result<(), Error> {
    let nothing = (WorkflowId(Uuid::nil()), VersionId(Uuid::nil()), "");
    let (kind, (workflow, version, part)) = match in_hand {
        InHand::Message => ("message", nothing),
        InHand::Event => ("event", nothing),
        InHand::Part(part) => (part.kind.as_str(), (part.workflow_id, part.version_id, part.id)),
    };
    put_down(connection, (tenant, subject)).await?;
    sqlx::query(
        "INSERT INTO suspects (tenant_id, subject, kind, workflow_id, version_id, part_id, in_hand)
         SELECT $1, $2, $3, $4, $5, $6, set_config('synchronous_commit', 'off', true) = 'off'
             ON CONFLICT (tenant_id, subject, kind, version_id, part_id)
             DO UPDATE SET in_hand = EXCLUDED.in_hand, marked_at = now()",
    )
    .bind(tenant.0)
    .bind(subject)
    .bind(kind)
    .bind(workflow.0)
    .bind(version.0)
    .bind(part)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Marks messages as in hand that nothing is charged to, many at once. [`UNREAD`] is in scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn mark_messages(connection: &mut Conn<Worker>, messages: &[Uuid]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO suspects (tenant_id, subject, kind, workflow_id, version_id, part_id, in_hand)
         SELECT $1, i, 'message', $1, $1, '', true FROM unnest($2::uuid[]) AS u (i)
             ON CONFLICT (tenant_id, subject, kind, version_id, part_id)
             DO UPDATE SET in_hand = true, marked_at = now()",
    )
    .bind(UNREAD.0)
    .bind(messages)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Nothing is in hand for the subject any more, and what was charged stays. The tenant is in scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn put_down(connection: &mut Conn<Worker>, (tenant, subject): Subject) -> Result<(), Error> {
    sqlx::query(
        "WITH survived AS (DELETE FROM suspects WHERE tenant_id = $1 AND subject = $2 AND in_hand AND deaths = 0)
         UPDATE suspects SET in_hand = false
          WHERE tenant_id = $1 AND subject = $2 AND in_hand AND deaths > 0
            AND set_config('synchronous_commit', 'off', true) = 'off'",
    )
    .bind(tenant.0)
    .bind(subject)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Forgets everything about subjects that are through. Their tenants are in scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn acquit(connection: &mut Conn<Worker>, subjects: &[Subject]) -> Result<(), Error> {
    let (tenants, ids) = columns(subjects);
    sqlx::query(
        "DELETE FROM suspects s USING unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          WHERE s.tenant_id = u.t AND s.subject = u.i",
    )
    .bind(tenants)
    .bind(ids)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Forgets marks of a day ago, and suspensions of 90 days ago of versions that are not published any more; gives the number
/// of marks.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT blame_expire()").fetch_one(connection.sql()).await?)
}

fn columns(subjects: &[Subject]) -> (Vec<Uuid>, Vec<Uuid>) {
    let mut sorted = subjects.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into_iter().map(|(tenant, id)| (tenant.0, id)).unzip()
}
