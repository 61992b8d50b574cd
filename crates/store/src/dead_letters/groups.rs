//! Dead letters with the same signature: counted, looked after by somebody, handled, and back again.

use super::DeadLetterFilter;
use super::lists::push_filter;
use crate::audit::{self, Auditor, Deed};
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::{DeadLetterId, TenantId};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

/// Dead letters with the same signature.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetterGroup {
    /// The signature.
    pub signature: String,
    /// How many there are that fit.
    pub count: i64,
    /// How many of the group are open, whether they fit or not.
    pub open: i64,
    /// Where it stands.
    pub state: GroupState,
    /// Who looks after it.
    pub owner: Option<String>,
    /// What is known of it.
    pub note: Option<String>,
    /// When a letter of it was replayed or discarded last.
    pub handled_at: Option<DateTime<Utc>>,
    /// Of how many workflows.
    pub workflows: i64,
    /// The action's key, or the kind of the node.
    pub action: Option<String>,
    /// Stable code.
    pub code: String,
    /// The sentence of the latest.
    pub message: String,
    /// When the first one died.
    pub first_seen_at: DateTime<Utc>,
    /// When the latest one died.
    pub last_seen_at: DateTime<Utc>,
    /// Its id.
    pub latest: DeadLetterId,
}

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// Nobody has dealt with the letters that are open.
    Open,
    /// Runs have failed in this way again since letters of it were replayed or discarded.
    Returned,
    /// No letter of it is open.
    Handled,
}

impl GroupState {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Returned => "returned",
            Self::Handled => "handled",
        }
    }
}

/// What to remember of a group; `None` leaves it as it is, and an empty text clears it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupChange<'a> {
    /// Who looks after it.
    pub owner: Option<&'a str>,
    /// What is known of it.
    pub note: Option<&'a str>,
}

/// Counts dead letters by signature, the largest group first.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn groups(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &DeadLetterFilter,
    limit: i64,
) -> Result<Vec<DeadLetterGroup>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "WITH counted AS (
         SELECT d.tenant_id, d.signature, count(*) AS letters, count(DISTINCT d.workflow_id) AS workflows,
                (array_agg(d.action ORDER BY d.dead_letter_id DESC))[1] AS action,
                (array_agg(d.code ORDER BY d.dead_letter_id DESC))[1] AS code,
                (array_agg(d.message ORDER BY d.dead_letter_id DESC))[1] AS message,
                (array_agg(d.dead_letter_id ORDER BY d.dead_letter_id DESC))[1] AS latest,
                min(d.died_at) AS first_seen_at, max(d.died_at) AS last_seen_at
           FROM dead_letters d",
    );
    push_filter(&mut query, tenant, filter);
    query
        .push(" GROUP BY d.tenant_id, d.signature ORDER BY letters DESC, d.signature LIMIT ")
        .push_bind(limit);
    query.push(
        ")
         SELECT c.*, g.owner, g.note, a.open, a.handled_at, coalesce(a.last_open_at > a.handled_at, false) AS returned
           FROM counted c
           LEFT JOIN dead_letter_groups g ON g.tenant_id = c.tenant_id AND g.signature = c.signature
           CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE d.status = 'open') AS open,
                       max(d.died_at) FILTER (WHERE d.status = 'open') AS last_open_at,
                       max(d.changed_at) FILTER (WHERE d.status <> 'open') AS handled_at
                  FROM dead_letters d WHERE d.tenant_id = c.tenant_id AND d.signature = c.signature) a
          ORDER BY c.letters DESC, c.signature",
    );
    query.build().fetch_all(connection.sql()).await?.iter().map(read).collect()
}

/// Remembers who looks after a group and what is known of it; `false` when no letter has the signature. The deed goes to
/// the audit log.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn look_after(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    signature: &str,
    change: GroupChange<'_>,
    who: &Auditor,
) -> Result<bool, Error> {
    let changed = sqlx::query(
        "INSERT INTO dead_letter_groups AS g (tenant_id, signature, owner, note, changed_by)
         SELECT $1, $2, nullif($3, ''), nullif($4, ''), $5
          WHERE EXISTS (SELECT FROM dead_letters d WHERE d.tenant_id = $1 AND d.signature = $2)
         ON CONFLICT (tenant_id, signature) DO UPDATE
            SET owner = CASE WHEN $3 IS NULL THEN g.owner ELSE excluded.owner END,
                note = CASE WHEN $4 IS NULL THEN g.note ELSE excluded.note END,
                changed_at = now(), changed_by = $5",
    )
    .bind(tenant.0)
    .bind(signature)
    .bind(change.owner)
    .bind(change.note)
    .bind(who.actor())
    .execute(connection.sql())
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    let deed = Deed {
        action: "dead_letter.look_after",
        subject: format!("dead_letter_group {signature}"),
        detail: json!({ "owner": change.owner, "note": change.note }),
    };
    audit::append(connection, tenant, who, &[deed]).await?;
    Ok(true)
}

fn read(row: &PgRow) -> Result<DeadLetterGroup, Error> {
    let open: i64 = row.try_get("open")?;
    Ok(DeadLetterGroup {
        signature: row.try_get("signature")?,
        count: row.try_get("letters")?,
        open,
        state: match (open, row.try_get("returned")?) {
            (0, _) => GroupState::Handled,
            (_, true) => GroupState::Returned,
            (_, false) => GroupState::Open,
        },
        owner: row.try_get("owner")?,
        note: row.try_get("note")?,
        handled_at: row.try_get("handled_at")?,
        workflows: row.try_get("workflows")?,
        action: row.try_get("action")?,
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        first_seen_at: row.try_get("first_seen_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
        latest: DeadLetterId(row.try_get("latest")?),
    })
}
