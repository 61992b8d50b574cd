//! How replayed runs fare, for whoever tries a few before the rest; role api.

use crate::Error;
use crate::run_lists::RunStatus;
use automation_domain::id::{DeadLetterId, RunId, TenantId};
use automation_domain::interpreter::{RunState, Waits};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// What became of the step that a replay began at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trial {
    /// It is done: the run went on behind it, or completed.
    Passed,
    /// The run failed again, or was cancelled.
    Failed,
    /// It is under way, or waits to be tried again.
    Pending,
}

/// What became of each of these replayed letters' steps, in the order of their ids.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn trials(
    connection: &mut PgConnection,
    tenant: TenantId,
    ids: &[DeadLetterId],
) -> Result<Vec<Trial>, Error> {
    let rows = sqlx::query(
        "SELECT d.run_id, d.node, r.status, r.state
           FROM dead_letters d
           LEFT JOIN workflow_runs r ON r.tenant_id = d.tenant_id AND r.run_id = d.run_id
          WHERE d.tenant_id = $1 AND d.dead_letter_id = ANY($2)
          ORDER BY d.dead_letter_id",
    )
    .bind(tenant.0)
    .bind(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let run = RunId(row.try_get("run_id")?);
            let Some(word) = row.try_get::<Option<String>, _>("status")? else { return Ok(Trial::Failed) };
            let status = RunStatus::from_key(&word).ok_or_else(|| Error::Unreadable {
                table: "workflow_runs",
                column: "status",
                id: run.to_string(),
                reason: format!("{word} is not a state"),
            })?;
            Ok(match status {
                RunStatus::Completed => Trial::Passed,
                RunStatus::Failed | RunStatus::Cancelled => Trial::Failed,
                RunStatus::Queued | RunStatus::Running | RunStatus::Waiting | RunStatus::Paused => {
                    let state = row.try_get::<Option<Vec<u8>>, _>("state")?;
                    let state = state.map(|state| crate::runs::decode_state(&state, run)).transpose()?;
                    let node: Option<String> = row.try_get("node")?;
                    match (state, node) {
                        (Some(state), Some(node)) if !stands_at(&state, &node) => Trial::Passed,
                        _ => Trial::Pending,
                    }
                }
            })
        })
        .collect()
}

/// Whether a branch tries this node, or is about to.
fn stands_at(state: &RunState, node: &str) -> bool {
    state.tokens.values().any(|token| {
        token.node == node
            && match token.waits {
                Waits::Retry { .. } | Waits::Action { .. } | Waits::Turn => true,
                // The node is a delay, and has begun.
                Waits::Timer { .. } => false,
            }
    })
}
