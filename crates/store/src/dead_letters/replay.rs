//! Bringing a failed run back: one transaction moves it to the open runs, wakes it, and keeps who did it.

use super::DeadLetterStatus;
use super::current::{Missing, missing_in};
use crate::audit::{self, Auditor, Deed};
use crate::role::Api;
use crate::runs::approvals;
use crate::runs::effects::{self, EffectKey, NewEffect};
use crate::runs::goals;
use crate::runs::lists::RunStatus;
use crate::runs::moves;
use crate::runs::waits;
use crate::{Conn, Error};
use automation_domain::effect::Request;
use automation_domain::id::{DeadLetterId, IdempotencyKey, RunId, TenantId};
use automation_domain::interpreter::{
    End, NotRevivable, Owed, OwedFor, ReplayKey, RunState, Step, StepOutcome, Token, Waits,
};
use automation_domain::priority::Priority;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::time::Duration;
use uuid::Uuid;

/// On which version of its workflow a run goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplayVersion {
    /// The one that it is pinned to.
    Pinned,
    /// The one that is published now, to which it is pinned from then on.
    Current,
}

/// How a run is to be brought back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Replay<'a> {
    /// Under which idempotency key the failed step is sent again.
    pub key: ReplayKey,
    /// On which version it goes on.
    pub version: ReplayVersion,
    /// What is sent in place of the stored request: only under a new key, since the bytes differ.
    pub edited: Option<&'a Request>,
    /// Who brings it back.
    pub who: &'a Auditor,
    /// Why.
    pub note: Option<&'a str>,
    /// How long after the commit the sweep looks whether the nudge was lost.
    pub look_again: Duration,
}

/// What a replay came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// The run is open again: to be nudged after the commit.
    Now {
        /// The run.
        run_id: RunId,
        /// Its queue.
        priority: Priority,
    },
    /// Nothing was changed.
    Refused(Obstacle),
}

/// Why a run is not brought back.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Obstacle {
    /// There is no such dead letter.
    #[error("there is no such dead letter")]
    NotFound,
    /// Somebody else was faster, or it is in the archive.
    #[error("the dead letter is {0}")]
    NotOpen(DeadLetterStatus),
    /// The run is open: it was brought back already.
    #[error("the run is open, and {0}")]
    RunOpen(RunStatus),
    /// The run ended otherwise, or failed again since: then a later dead letter stands for it.
    #[error("the run ended later, as {0}")]
    RunMovedOn(RunStatus),
    /// The run is past its retention.
    #[error("the run is no longer kept")]
    RunGone,
    /// The event that started it is past its retention: steps would see nothing of it.
    #[error("the event that started the run is no longer kept")]
    EventGone,
    /// The workflow was deleted, or the version that the run is pinned to is not there.
    #[error("the workflow, or its version that the run is pinned to, is gone")]
    WorkflowGone,
    /// There is no request to put another one in the place of.
    #[error("the step that failed has no stored request, or would be sent under the same key")]
    NothingToEdit,
    /// The current version does not have what the run stands at.
    #[error("the current version has no {0}")]
    NotInCurrent(Missing),
    /// The workflow's entry rules let one run in at a time, and another one is in.
    #[error("another run for the same key is open: {0}")]
    OtherRunOpen(RunId),
    /// The run's state cannot be brought back.
    #[error(transparent)]
    State(#[from] NotRevivable),
}

impl Obstacle {
    /// Stable code, listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "dead_letter_not_found",
            Self::NotOpen(_) => "dead_letter_not_open",
            Self::RunOpen(_) => "run_open",
            Self::RunMovedOn(_) => "run_moved_on",
            Self::RunGone => "run_gone",
            Self::EventGone => "event_gone",
            Self::WorkflowGone => "workflow_gone",
            Self::NothingToEdit => "nothing_to_edit",
            Self::NotInCurrent(_) => "not_in_current_version",
            Self::OtherRunOpen(_) => "other_run_open",
            Self::State(_) => "run_not_revivable",
        }
    }
}

/// A run as it ended.
struct Ended {
    run_id: RunId,
    workflow_id: Uuid,
    /// The version it was pinned to, and the one it goes on with.
    pinned_id: Uuid,
    version_id: Uuid,
    version: i32,
    trigger_id: String,
    run_key: String,
    epoch: i32,
    priority: Priority,
    node: Option<String>,
    visit: Option<u32>,
    state: RunState,
    /// Whether the workflow lets one run of a key in at a time.
    is_exclusive: bool,
}

/// Whether what is found has to stay like this until the end of the transaction.
#[derive(Clone, Copy)]
enum Look {
    /// It does not: nothing is done about it.
    Ahead,
    /// It does.
    Locking,
}

/// Why a dead letter could not be replayed like this at this moment, if so; nothing is changed.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn obstacle(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: DeadLetterId,
    replay: Replay<'_>,
) -> Result<Option<Obstacle>, Error> {
    let now = crate::events::receipts::now(connection).await?;
    Ok(revived(connection, tenant, id, replay, (now, Look::Ahead)).await?.err())
}

/// Brings the run of an open dead letter back to where it failed: the same id, the next epoch.
///
/// Of several at once one wins. Everything before the failed step stays done. A refusal changes nothing.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn replay(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: DeadLetterId,
    replay: Replay<'_>,
) -> Result<Replayed, Error> {
    let now = crate::events::receipts::now(connection).await?;
    // Whoever replays the same letter waits here, and finds it replayed. Nobody who holds another lock waits for it:
    // executors only add letters.
    sqlx::query("SELECT 1 FROM dead_letters WHERE tenant_id = $1 AND dead_letter_id = $2 FOR UPDATE")
        .bind(tenant.0)
        .bind(id.0)
        .execute(connection.sql())
        .await?;
    let (ended, edited) = match revived(connection, tenant, id, replay, (now, Look::Locking)).await? {
        Ok(revived) => revived,
        Err(refusal) => return Ok(Replayed::Refused(refusal)),
    };
    if !reopen(connection, tenant, &ended).await? {
        return Ok(Replayed::Refused(Obstacle::RunGone));
    }
    goals::tell_again(connection, tenant, ended.run_id).await?;
    enrol_again(connection, tenant, &ended).await?;
    wake(connection, tenant, &ended, now, replay.look_again).await?;
    let types: Vec<&str> = ended.state.awaited_types().into_iter().collect();
    waits::begin_again(connection, tenant, ended.run_id, &types).await?;
    approvals::resume(connection, (tenant, ended.run_id), &ended.state).await?;
    if let Some(edited) = &edited {
        effects::insert(connection, now, &[edited]).await?;
    }
    let edited = edited.map(|edited| json!({ "visit": edited.key.visit, "key": edited.idempotency_key }));
    remember(connection, tenant, id, &ended, replay, (now, edited)).await?;
    Ok(Replayed::Now { run_id: ended.run_id, priority: ended.priority })
}

/// The run as it would go on, and the effect of the edited request; or why it does not. Writes nothing.
async fn revived(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: DeadLetterId,
    replay: Replay<'_>,
    (now, look): (DateTime<Utc>, Look),
) -> Result<Result<(Ended, Option<NewEffect>), Obstacle>, Error> {
    let mut ended = match ended(connection, tenant, id, replay.version).await? {
        Ok(ended) => ended,
        Err(refusal) => return Ok(Err(refusal)),
    };
    // Under a new key the branch gets another visit.
    let branch = failed_branch(&ended);
    if let Err(reason) = ended.state.revive(replay.key, now) {
        return Ok(Err(reason.into()));
    }
    if ended.version_id != ended.pinned_id {
        ended.state.wait_anew();
    }
    if let Some(missing) = missing(connection, tenant, &ended).await? {
        return Ok(Err(Obstacle::NotInCurrent(missing)));
    }
    if let Some(other) = other_open_run(connection, tenant, &ended, look).await? {
        return Ok(Err(Obstacle::OtherRunOpen(other)));
    }
    let Some(request) = replay.edited else { return Ok(Ok((ended, None))) };
    let edited = match branch {
        Some(branch) => edit(connection, tenant, &mut ended, (replay.key, branch), request).await?,
        None => None,
    };
    Ok(match edited {
        Some(edited) => Ok((ended, Some(edited))),
        None => Err(Obstacle::NothingToEdit),
    })
}

/// The branch whose visit of the node the letter is about: others may stand at the same node.
fn failed_branch(ended: &Ended) -> Option<u16> {
    let Some(End::Failed { tokens, .. }) = &ended.state.end else { return None };
    if tokens.is_empty() {
        // Of a run that kept no branches: it had one.
        return Some(0);
    }
    let is_failed =
        |token: &Token| Some(&token.node) == ended.node.as_ref() && Some(token.visit) == ended.visit;
    tokens.iter().find(|(_, token)| is_failed(token)).map(|(number, _)| *number)
}

/// Reads what a letter stands for, and whether it still does.
async fn ended(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: DeadLetterId,
    version: ReplayVersion,
) -> Result<Result<Ended, Obstacle>, Error> {
    let row = sqlx::query(
        "SELECT d.status AS letter_status, d.run_id, d.epoch AS letter_epoch, d.node, d.visit, r.status, r.epoch,
                r.workflow_id, r.trigger_id, r.run_key, r.priority, r.state, d.version_id AS pinned_id,
                v.version_id, v.number,
                EXISTS (SELECT 1 FROM events e WHERE e.tenant_id = d.tenant_id AND e.event_id = d.event_id) AS has_event,
                c.state <> 'deleted' AND v.version_id IS NOT NULL AS has_version,
                coalesce(v.is_exclusive, true) AS is_exclusive
           FROM dead_letters d
           LEFT JOIN workflow_runs r ON r.tenant_id = d.tenant_id AND r.run_id = d.run_id
           LEFT JOIN workflows c ON c.tenant_id = d.tenant_id AND c.workflow_id = d.workflow_id
           LEFT JOIN workflow_versions v ON v.tenant_id = d.tenant_id
                AND v.version_id = CASE WHEN $3 THEN c.version_id ELSE d.version_id END
          WHERE d.tenant_id = $1 AND d.dead_letter_id = $2",
    )
    .bind(tenant.0)
    .bind(id.0)
    .bind(version == ReplayVersion::Current)
    .fetch_optional(connection.sql())
    .await?;
    match row {
        Some(row) => read_ended(&row, id),
        None => Ok(Err(Obstacle::NotFound)),
    }
}

fn read_ended(row: &PgRow, id: DeadLetterId) -> Result<Result<Ended, Obstacle>, Error> {
    let unreadable = |column, word: &str| Error::Unreadable {
        table: "dead_letters",
        column,
        id: id.to_string(),
        reason: format!("{word} is not a state"),
    };
    let word: String = row.try_get("letter_status")?;
    match DeadLetterStatus::from_key(&word).ok_or_else(|| unreadable("status", &word))? {
        DeadLetterStatus::Open => {}
        other @ (DeadLetterStatus::Replayed | DeadLetterStatus::Discarded) => {
            return Ok(Err(Obstacle::NotOpen(other)));
        }
    }
    let Some(word) = row.try_get::<Option<String>, _>("status")? else { return Ok(Err(Obstacle::RunGone)) };
    let status = RunStatus::from_key(&word).ok_or_else(|| unreadable("run_id", &word))?;
    if status.is_open() {
        return Ok(Err(Obstacle::RunOpen(status)));
    }
    let epoch: i32 = row.try_get("epoch")?;
    if status != RunStatus::Failed || epoch != row.try_get::<i32, _>("letter_epoch")? {
        return Ok(Err(Obstacle::RunMovedOn(status)));
    }
    if !row.try_get::<Option<bool>, _>("has_version")?.unwrap_or_default() {
        return Ok(Err(Obstacle::WorkflowGone));
    }
    if !row.try_get::<bool, _>("has_event")? {
        return Ok(Err(Obstacle::EventGone));
    }
    let run_id = RunId(row.try_get("run_id")?);
    Ok(Ok(Ended {
        run_id,
        workflow_id: row.try_get("workflow_id")?,
        pinned_id: row.try_get("pinned_id")?,
        version_id: row.try_get("version_id")?,
        version: row.try_get("number")?,
        trigger_id: row.try_get("trigger_id")?,
        run_key: row.try_get("run_key")?,
        epoch,
        priority: crate::runs::priority(row, "runs_finished", run_id)?,
        node: row.try_get("node")?,
        visit: row.try_get::<Option<i32>, _>("visit")?.and_then(|visit| u32::try_from(visit).ok()),
        state: crate::runs::decode_state(&row.try_get::<Vec<u8>, _>("state")?, run_id)?,
        is_exclusive: row.try_get("is_exclusive")?,
    }))
}

/// Puts another request in the place of the one that the failed step stored: as the effect of another visit, under that
/// one's key. The request that failed stays in the ledger, and in the letter.
async fn edit(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ended: &mut Ended,
    (key, branch): (ReplayKey, u16),
    request: &Request,
) -> Result<Option<NewEffect>, Error> {
    let (ReplayKey::New, Some(node), Some(visit)) = (key, ended.node.clone(), ended.visit) else {
        return Ok(None);
    };
    let failed = EffectKey { tenant_id: tenant, run_id: ended.run_id, node: node.clone(), visit };
    let mut stored = effects::read(connection, std::slice::from_ref(&failed)).await?;
    let Some(stored) = stored.remove(&failed) else { return Ok(None) };
    let Some(token) = ended.state.tokens.get_mut(&branch) else { return Ok(None) };
    let Waits::Retry { stored: is_stored, .. } = &mut token.waits else { return Ok(None) };
    *is_stored = true;
    let idempotency_key = IdempotencyKey::derive(ended.run_id, &node, token.visit);
    Ok(Some(NewEffect {
        key: EffectKey { visit: token.visit, ..failed },
        action: stored.action,
        idempotency_key,
        delivery: stored.delivery,
        request: under(request, idempotency_key),
        starts: false,
    }))
}

/// The same request under another key.
fn under(request: &Request, key: IdempotencyKey) -> Request {
    const HEADER: &str = "Idempotency-Key";
    let Request::Http(mut http) = request.clone();
    http.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(HEADER));
    http.headers.push((HEADER.to_owned(), key.to_string()));
    Request::Http(http)
}

/// What the run stands at and the version that it goes on with does not have.
async fn missing(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ended: &Ended,
) -> Result<Option<Missing>, Error> {
    if ended.version_id == ended.pinned_id {
        return Ok(None);
    }
    let nodes: Vec<&str> = ended.state.tokens.values().map(|token| token.node.as_str()).collect();
    let versions = (ended.pinned_id, ended.version_id);
    missing_in(connection, tenant, versions, &nodes, &ended.trigger_id).await
}

/// The other run of the same key that is open where only one may be, by what the entry rules know of the key.
async fn other_open_run(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ended: &Ended,
    look: Look,
) -> Result<Option<RunId>, Error> {
    let sql = match look {
        Look::Ahead => {
            "SELECT run_id, open FROM enrolments WHERE tenant_id = $1 AND workflow_id = $2 AND run_key = $3"
        }
        Look::Locking => {
            "SELECT run_id, open FROM enrolments WHERE tenant_id = $1 AND workflow_id = $2 AND run_key = $3 FOR UPDATE"
        }
    };
    let row = sqlx::query(sql)
        .bind(tenant.0)
        .bind(ended.workflow_id)
        .bind(&ended.run_key)
        .fetch_optional(connection.sql())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let latest = row.try_get::<Option<Uuid>, _>("run_id")?.map(RunId);
    let is_other = ended.is_exclusive && row.try_get("open")? && latest != Some(ended.run_id);
    Ok(latest.filter(|_| is_other))
}

/// Moves the run back; `false` when it went past its retention this moment.
async fn reopen(connection: &mut Conn<Api>, tenant: TenantId, ended: &Ended) -> Result<bool, Error> {
    // A run that never began has no state: it is started, not woken.
    let state = match ended.state.tokens.is_empty() {
        true => None,
        false => Some(super::encode(&ended.state, ended.run_id)?),
    };
    moves::reopen(connection, (tenant, ended.run_id), ended.epoch, ended.version_id, state).await
}

/// For entry rules the run is open again: as the latest of its key, unless a later one is open.
async fn enrol_again(connection: &mut Conn<Api>, tenant: TenantId, ended: &Ended) -> Result<(), Error> {
    sqlx::query(
        "UPDATE enrolments SET open = true, run_id = $4
          WHERE tenant_id = $1 AND workflow_id = $2 AND run_key = $3 AND (run_id = $4 OR NOT open)",
    )
    .bind(tenant.0)
    .bind(ended.workflow_id)
    .bind(&ended.run_key)
    .bind(ended.run_id.0)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// A wakeup for each branch: the failed step at once, a delay beside it when it is over.
async fn wake(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ended: &Ended,
    now: DateTime<Utc>,
    look_again: Duration,
) -> Result<(), Error> {
    let ready = |owed: Owed| {
        let at = match owed.waits_for {
            OwedFor::Timer { until } | OwedFor::Retry { until } => until.max(now),
            OwedFor::Outcome | OwedFor::Others => now,
        };
        (i16::try_from(owed.token).unwrap_or(i16::MAX), at)
    };
    let mut tokens: Vec<(i16, DateTime<Utc>)> = ended.state.owed(now).into_iter().map(ready).collect();
    if tokens.is_empty() {
        tokens.push((0, now));
    }
    sqlx::query(
        "INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
         SELECT $1, $2, u.k, u.a, u.a + $6, $5, CASE WHEN u.a > $7 THEN 'timer' ELSE 'replay' END
           FROM unnest($3::int2[], $4::timestamptz[]) AS u (k, a)",
    )
    .bind(tenant.0)
    .bind(ended.run_id.0)
    .bind(tokens.iter().map(|(number, _)| *number).collect::<Vec<_>>())
    .bind(tokens.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    .bind(ended.priority.as_i16())
    .bind(look_again)
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Keeps who did it: on the letter, in the run's history, in the audit log.
async fn remember(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: DeadLetterId,
    ended: &Ended,
    replay: Replay<'_>,
    (now, edited): (DateTime<Utc>, Option<Value>),
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE dead_letters SET status = 'replayed', changed_at = $3, changed_by = $4, note = coalesce($5, note)
          WHERE tenant_id = $1 AND dead_letter_id = $2",
    )
    .bind(tenant.0)
    .bind(id.0)
    .bind(now)
    .bind(replay.who.actor())
    .bind(replay.note)
    .execute(connection.sql())
    .await?;
    let key = match replay.key {
        ReplayKey::Same => "same",
        ReplayKey::New => "new",
    };
    let version = (replay.version == ReplayVersion::Current).then_some(ended.version);
    let detail = json!({ "dead_letter": id, "run": ended.run_id, "key": key, "note": replay.note, "version": version, "edited": edited });
    let step = Step {
        node: ended.node.clone().unwrap_or_default(),
        action: "replay".to_owned(),
        visit: ended.visit.unwrap_or(1),
        outcome: StepOutcome::Completed,
        detail: json!({ "dead_letter": id, "key": key, "note": replay.note, "version": version, "edited": edited }),
    };
    sqlx::query(
        "INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.0)
    .bind(ended.run_id.0)
    .bind(ended.epoch + 1)
    .bind(now)
    .bind(replay.who.actor())
    .bind(super::encode(&[step], ended.run_id)?)
    .execute(connection.sql())
    .await?;
    let deed = Deed { action: "dead_letter.replay", subject: format!("dead_letter {id}"), detail };
    audit::append(connection, tenant, replay.who, &[deed]).await
}
