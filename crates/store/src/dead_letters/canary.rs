//! How replayed runs fare, for whoever tries a few before the rest.

use crate::role::Api;
use crate::runs::lists::RunStatus;
use crate::{Conn, Error};
use automation_domain::id::{DeadLetterId, RunId, TenantId};
use automation_domain::interpreter::{End, RunState, Token, Waits};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What became of the step that a replay began at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trial {
    /// It is done: the run went on behind it, or completed.
    Passed,
    /// The run failed at it again, or elsewhere before it was done, or was cancelled.
    Failed,
    /// It is under way, or waits to be tried again.
    Pending,
}

/// What became of each of these replayed letters' steps at this moment: one that is done may be begun again later.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn trials(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ids: &[DeadLetterId],
) -> Result<BTreeMap<DeadLetterId, Trial>, Error> {
    let rows = sqlx::query(
        "SELECT d.dead_letter_id, d.run_id, d.node, r.status, r.state
           FROM dead_letters d
           LEFT JOIN workflow_runs r ON r.tenant_id = d.tenant_id AND r.run_id = d.run_id
          WHERE d.tenant_id = $1 AND d.dead_letter_id = ANY($2)",
    )
    .bind(tenant.0)
    .bind(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>())
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(|row| Ok((DeadLetterId(row.try_get("dead_letter_id")?), trial(row)?))).collect()
}

fn trial(row: &PgRow) -> Result<Trial, Error> {
    let run = RunId(row.try_get("run_id")?);
    let Some(word) = row.try_get::<Option<String>, _>("status")? else { return Ok(Trial::Failed) };
    let status = RunStatus::from_key(&word).ok_or_else(|| Error::Unreadable {
        table: "workflow_runs",
        column: "status",
        id: run.to_string(),
        reason: format!("{word} is not a state"),
    })?;
    let node: Option<String> = row.try_get("node")?;
    let state = || -> Result<Option<RunState>, Error> {
        let state = row.try_get::<Option<Vec<u8>>, _>("state")?;
        state.map(|state| crate::runs::decode_state(&state, run)).transpose()
    };
    Ok(match status {
        RunStatus::Completed => Trial::Passed,
        RunStatus::Cancelled => Trial::Failed,
        RunStatus::Failed => match (state()?.and_then(|state| state.end), node) {
            (Some(End::Failed { node: at, tokens, .. }), Some(node))
                if at.as_deref() != Some(&*node) && !stands_at(&tokens, &node) =>
            {
                Trial::Passed
            }
            _ => Trial::Failed,
        },
        RunStatus::Queued | RunStatus::Running | RunStatus::Waiting | RunStatus::Paused => {
            match (state()?, node) {
                (Some(state), Some(node)) if !stands_at(&state.tokens, &node) => Trial::Passed,
                (Some(state), Some(node)) if died_at(&state.tokens, &node) => Trial::Failed,
                _ => Trial::Pending,
            }
        }
    })
}

/// Whether a branch died of this node.
fn died_at(tokens: &BTreeMap<u16, Token>, node: &str) -> bool {
    tokens.values().any(|token| token.node == node && matches!(token.waits, Waits::Dead { .. }))
}

/// Whether a branch tries this node, is about to, or died of it.
fn stands_at(tokens: &BTreeMap<u16, Token>, node: &str) -> bool {
    tokens.values().any(|token| {
        token.node == node
            && match token.waits {
                Waits::Retry { .. } | Waits::Action { .. } | Waits::Turn | Waits::Dead { .. } => true,
                // The node is a delay or a wait, and has begun.
                Waits::Timer { .. } | Waits::Event(_) => false,
            }
    })
}
