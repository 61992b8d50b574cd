//! Discarding dead letters, which is an archive, and taking them out of it again.

use super::DeadLetterStatus;
use crate::audit::{self, Auditor, Deed};
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::{DeadLetterId, TenantId};
use serde_json::json;
use uuid::Uuid;

/// What handling dead letters came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Handled {
    /// Those that were changed; the others do not exist or are in another state.
    pub changed: Vec<DeadLetterId>,
}

/// Archives open dead letters; the deed goes to the audit log.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn discard(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ids: &[DeadLetterId],
    who: &Auditor,
    note: Option<&str>,
) -> Result<Handled, Error> {
    let (from, to) = (DeadLetterStatus::Open, DeadLetterStatus::Discarded);
    change(connection, tenant, ids, (from, to), who, note).await
}

/// Opens archived dead letters again; the deed goes to the audit log.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn restore(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ids: &[DeadLetterId],
    who: &Auditor,
    note: Option<&str>,
) -> Result<Handled, Error> {
    let (from, to) = (DeadLetterStatus::Discarded, DeadLetterStatus::Open);
    change(connection, tenant, ids, (from, to), who, note).await
}

async fn change(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    ids: &[DeadLetterId],
    (from, to): (DeadLetterStatus, DeadLetterStatus),
    who: &Auditor,
    note: Option<&str>,
) -> Result<Handled, Error> {
    let mut sorted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sorted.sort_unstable();
    let mut changed: Vec<Uuid> = sqlx::query_scalar(
        "WITH chosen AS (
             SELECT dead_letter_id FROM dead_letters
              WHERE tenant_id = $1 AND dead_letter_id = ANY($2) AND status = $3
              ORDER BY dead_letter_id FOR UPDATE)
         UPDATE dead_letters d SET status = $4, changed_at = now(), changed_by = $5, note = coalesce($6, d.note)
           FROM chosen WHERE d.tenant_id = $1 AND d.dead_letter_id = chosen.dead_letter_id
      RETURNING d.dead_letter_id",
    )
    .bind(tenant.0)
    .bind(sorted)
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(who.actor())
    .bind(note)
    .fetch_all(connection.sql())
    .await?;
    changed.sort_unstable();
    let action = match to {
        DeadLetterStatus::Open => "dead_letter.restore",
        DeadLetterStatus::Replayed => "dead_letter.replay",
        DeadLetterStatus::Discarded => "dead_letter.discard",
    };
    let deeds: Vec<Deed> = changed
        .iter()
        .map(|id| Deed { action, subject: format!("dead_letter {id}"), detail: json!({ "note": note }) })
        .collect();
    audit::append(connection, tenant, who, &deeds).await?;
    Ok(Handled { changed: changed.into_iter().map(DeadLetterId).collect() })
}
