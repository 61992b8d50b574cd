//! Dead letters: runs that failed for good, with what a person needs to decide about them.

mod canary;
mod current;
mod groups;
mod handle;
mod lists;
mod replay;

pub use canary::{Trial, trials};
pub use current::Missing;
pub use groups::{DeadLetterGroup, GroupChange, GroupState, groups, look_after};
pub use handle::{Handled, discard, restore};
pub use lists::{DeadLetter, DeadLetterFilter, DeadLetterStatus, by_id, count, list, snapshot};
pub use replay::{Obstacle, Replay, ReplayVersion, Replayed, obstacle, replay};

use crate::role::{Scheduler, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ContactId, DeadLetterId, EventId, RunId, TenantId, VersionId, WorkflowId};
use automation_domain::signature;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;

/// A run that failed for good, to be written with the checkpoint that ends it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewDeadLetter {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// The epoch of the claim that gave up: a claim gives up once.
    pub epoch: i32,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The version that the run is pinned to.
    pub version_id: VersionId,
    /// The step that failed; `None` when no step is at fault.
    pub step: Option<FailedStep>,
    /// Stable code of the last error.
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// Every attempt of the step, in order.
    pub attempts: Vec<DeadAttempt>,
    /// What was sent, as stored before its first try; it names credentials and holds none.
    pub request: Option<Value>,
    /// What came back last.
    pub response: Option<Value>,
    /// The event that started the run.
    pub event_id: EventId,
    /// The contact.
    pub contact_id: Option<ContactId>,
    /// What the run is unique by.
    pub run_key: String,
}

/// The step at which a run failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedStep {
    /// The node.
    pub node: String,
    /// Which visit of it.
    pub visit: u32,
    /// The action's key, or the kind of the node; `None` when that is not known.
    pub action: Option<String>,
}

impl FailedStep {
    fn visit_of(&self) -> (&str, u32) {
        (&self.node, self.visit)
    }
}

/// One attempt of a step that failed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadAttempt {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Stable code of its error.
    pub code: String,
    /// The error's sentence.
    pub message: String,
    /// Status of the response, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Writes dead letters, in the transaction of the checkpoints that end their runs.
///
/// A letter for a claim that has one is left out. Alike failures get the same signature; the event's names are copied
/// from its record, if it is still kept. U+0000, which the database cannot hold, is replaced.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    letters: &[NewDeadLetter],
) -> Result<(), Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&NewDeadLetter> = letters.iter().collect();
    sorted.sort_unstable_by_key(|letter| (letter.tenant_id, letter.run_id, letter.epoch));
    macro_rules! column {
        ($letter:ident => $value:expr) => {
            sorted.iter().map(|$letter| $value).collect::<Vec<_>>()
        };
    }
    let visit = |step: &FailedStep| i32::try_from(step.visit).unwrap_or(i32::MAX);
    sqlx::query(
        "INSERT INTO dead_letters (tenant_id, dead_letter_id, run_id, epoch, workflow_id, version_id, node, visit,
                                   action, code, message, signature, attempts, request, response, event_id,
                                   contact_id, run_key, event_source, event_name, event_type, died_at)
         SELECT u.*, e.source, e.id, e.event_type, $19
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int4[], $5::uuid[], $6::uuid[], $7::text[], $8::int4[],
                       $9::text[], $10::text[], $11::text[], $12::text[], $13::jsonb[], $14::jsonb[], $15::jsonb[],
                       $16::uuid[], $17::uuid[], $18::text[])
                AS u (t, d, r, p, w, v, n, i, a, c, m, s, tries, sent, came, event, contact, k)
           LEFT JOIN LATERAL (SELECT e.source, e.id, e.event_type FROM events e
                               WHERE e.tenant_id = u.t AND e.event_id = u.event OFFSET 0) AS e ON true
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(letter => letter.tenant_id.0))
    .bind(column!(letter => DeadLetterId::derive(now, letter.run_id, letter.epoch, letter.step.as_ref().map(FailedStep::visit_of)).0))
    .bind(column!(letter => letter.run_id.0))
    .bind(column!(letter => letter.epoch))
    .bind(column!(letter => letter.workflow_id.0))
    .bind(column!(letter => letter.version_id.0))
    .bind(column!(letter => letter.step.as_ref().map(|step| step.node.as_str())))
    .bind(column!(letter => letter.step.as_ref().map(visit)))
    .bind(column!(letter => letter.step.as_ref().and_then(|step| step.action.as_deref())))
    .bind(column!(letter => letter.code.as_str()))
    .bind(column!(letter => storable(&letter.message)))
    .bind(column!(letter => signature_of(letter)))
    .bind(column!(letter => Json(clean(attempts(&letter.attempts)))))
    .bind(column!(letter => letter.request.clone().map(clean).map(Json)))
    .bind(column!(letter => letter.response.clone().map(clean).map(Json)))
    .bind(column!(letter => letter.event_id.0))
    .bind(column!(letter => letter.contact_id.map(|id| id.0)))
    .bind(column!(letter => letter.run_key.as_str()))
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Forgets up to `most` dead letters older than `keep_days` days (7 at least); returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>, keep_days: i32, most: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT dead_letters_expire($1, $2)")
        .bind(PgInterval { months: 0, days: keep_days, microseconds: 0 })
        .bind(most)
        .fetch_one(connection.sql())
        .await?)
}

fn signature_of(letter: &NewDeadLetter) -> String {
    let action = letter.step.as_ref().and_then(|step| step.action.as_deref());
    let status = letter.attempts.last().and_then(|attempt| attempt.status);
    signature::of(action, &letter.code, status, &letter.message)
}

fn attempts(attempts: &[DeadAttempt]) -> Value {
    let attempt = |attempt: &DeadAttempt| {
        serde_json::json!({
            "at": attempt.at, "code": attempt.code, "message": attempt.message, "status": attempt.status,
        })
    };
    attempts.iter().map(attempt).collect()
}

fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn clean(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => storable(&text).into(),
        Value::Array(items) => items.into_iter().map(clean).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (storable(&name), clean(value))).collect()
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

fn encode(value: &(impl serde::Serialize + ?Sized), run: RunId) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Unreadable {
        table: "runs_open",
        column: "state",
        id: run.to_string(),
        reason: error.to_string(),
    })
}
