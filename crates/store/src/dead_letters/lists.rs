//! Dead letters as people look for them.

use super::DeadAttempt;
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::{
    ContactId, DeadLetterId, EventId, RunId, TenantId, VersionId, WorkflowId, lower_bound,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

/// What became of a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeadLetterStatus {
    /// Nobody decided yet.
    Open,
    /// Its run was brought back.
    Replayed,
    /// Somebody decided that nothing is to be done.
    Discarded,
}

impl DeadLetterStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Replayed, Self::Discarded];

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == key)
    }
}

impl std::fmt::Display for DeadLetterStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which dead letters are looked for. Every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeadLetterFilter {
    /// With one of these ids.
    pub ids: Option<Vec<DeadLetterId>>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this workflow.
    pub workflow: Option<WorkflowId>,
    /// That failed at this node.
    pub node: Option<String>,
    /// With this code.
    pub code: Option<String>,
    /// About this contact.
    pub contact: Option<ContactId>,
    /// With this signature.
    pub signature: Option<String>,
    /// In this state.
    pub status: Option<DeadLetterStatus>,
    /// Died at or after this moment.
    pub since: Option<DateTime<Utc>>,
    /// Died before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// A dead letter with everything that is known.
#[derive(Clone, PartialEq, Debug)]
pub struct DeadLetter {
    /// Its id.
    pub dead_letter_id: DeadLetterId,
    /// The run that failed.
    pub run_id: RunId,
    /// The claim that gave up.
    pub epoch: i32,
    /// The run's workflow.
    pub workflow_id: WorkflowId,
    /// That workflow's key; its id once it is gone.
    pub workflow: String,
    /// The version that the run is pinned to.
    pub version_id: VersionId,
    /// That version's number, unless it is gone.
    pub version: Option<i32>,
    /// The node that failed.
    pub node: Option<String>,
    /// Which visit of it.
    pub visit: Option<i32>,
    /// The action's key, or the kind of the node.
    pub action: Option<String>,
    /// Stable code of the last error.
    pub code: String,
    /// Its sentence.
    pub message: String,
    /// Alike failures have the same.
    pub signature: String,
    /// Every attempt, in order.
    pub attempts: Vec<DeadAttempt>,
    /// What was sent.
    pub request: Option<Value>,
    /// What came back last.
    pub response: Option<Value>,
    /// The recorded event that started the run.
    pub event_id: EventId,
    /// Its source, publisher's id and type, if it was kept then.
    pub event: Option<(String, String, String)>,
    /// The contact.
    pub contact_id: Option<ContactId>,
    /// The contact's id in the publisher's words.
    pub contact: Option<String>,
    /// What the run is unique by.
    pub run_key: String,
    /// When the run failed.
    pub died_at: DateTime<Utc>,
    /// What became of it.
    pub status: DeadLetterStatus,
    /// Since when, if anybody did something.
    pub changed_at: Option<DateTime<Utc>>,
    /// Who did it.
    pub changed_by: Option<String>,
    /// Why.
    pub note: Option<String>,
}

/// Lists dead letters, the latest first, from before `before`.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &DeadLetterFilter,
    before: Option<DeadLetterId>,
    limit: i64,
) -> Result<Vec<DeadLetter>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(SELECT);
    push_filter(&mut query, tenant, filter);
    if let Some(before) = before {
        query.push(" AND d.dead_letter_id < ").push_bind(before.0);
    }
    query.push(" ORDER BY d.dead_letter_id DESC LIMIT ").push_bind(limit);
    query.build().fetch_all(connection.sql()).await?.iter().map(letter).collect()
}

/// Reads one dead letter.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn by_id(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    id: DeadLetterId,
) -> Result<Option<DeadLetter>, Error> {
    let filter = DeadLetterFilter { ids: Some(vec![id]), ..DeadLetterFilter::default() };
    Ok(list(connection, tenant, &filter, None, 1).await?.pop())
}

/// The ids of dead letters, the oldest first, `limit` at most: what comes later never joins them.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn snapshot(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &DeadLetterFilter,
    limit: i64,
) -> Result<Vec<DeadLetterId>, Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT d.dead_letter_id FROM dead_letters d");
    push_filter(&mut query, tenant, filter);
    query.push(" ORDER BY d.dead_letter_id LIMIT ").push_bind(limit);
    let ids: Vec<Uuid> = query.build_query_scalar().fetch_all(connection.sql()).await?;
    Ok(ids.into_iter().map(DeadLetterId).collect())
}

/// How many dead letters there are.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn count(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &DeadLetterFilter,
) -> Result<i64, Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT count(*) FROM dead_letters d");
    push_filter(&mut query, tenant, filter);
    Ok(query.build_query_scalar().fetch_one(connection.sql()).await?)
}

const SELECT: &str =
    "SELECT d.*, coalesce(w.key, d.workflow_id::text) AS workflow, v.number, c.subject AS contact
        FROM dead_letters d
        LEFT JOIN workflows w ON w.tenant_id = d.tenant_id AND w.workflow_id = d.workflow_id
        LEFT JOIN workflow_versions v ON v.tenant_id = d.tenant_id AND v.version_id = d.version_id
        LEFT JOIN contacts c ON c.tenant_id = d.tenant_id AND c.contact_id = d.contact_id";

pub(super) fn push_filter(query: &mut QueryBuilder<Postgres>, tenant: TenantId, filter: &DeadLetterFilter) {
    query.push(" WHERE d.tenant_id = ").push_bind(tenant.0);
    if let Some(ids) = &filter.ids {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        query.push(" AND d.dead_letter_id = ANY(").push_bind(ids).push(")");
    }
    if let Some(run) = filter.run {
        query.push(" AND d.run_id = ").push_bind(run.0);
    }
    if let Some(workflow) = filter.workflow {
        query.push(" AND d.workflow_id = ").push_bind(workflow.0);
    }
    if let Some(contact) = filter.contact {
        query.push(" AND d.contact_id = ").push_bind(contact.0);
    }
    let status = filter.status.map(|status| status.as_str().to_owned());
    for (column, value) in [
        ("node", &filter.node),
        ("code", &filter.code),
        ("signature", &filter.signature),
        ("status", &status),
    ] {
        if let Some(value) = value {
            query.push(format_args!(" AND d.{column} = ")).push_bind(value.clone());
        }
    }
    // Ids begin with the time of death, in milliseconds; the column has it exactly.
    if let Some(since) = filter.since {
        query.push(" AND d.dead_letter_id >= ").push_bind(lower_bound(since));
        query.push(" AND d.died_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND d.died_at < ").push_bind(until);
    }
}

fn letter(row: &PgRow) -> Result<DeadLetter, Error> {
    let dead_letter_id = DeadLetterId(row.try_get("dead_letter_id")?);
    let unreadable = |column, reason| Error::Unreadable {
        table: "dead_letters",
        column,
        id: dead_letter_id.to_string(),
        reason,
    };
    let word: String = row.try_get("status")?;
    let status = DeadLetterStatus::from_key(&word)
        .ok_or_else(|| unreadable("status", format!("{word} is not a state")))?;
    let Json(attempts): Json<Value> = row.try_get("attempts")?;
    let attempts =
        serde_json::from_value(attempts).map_err(|error| unreadable("attempts", error.to_string()))?;
    let event = match row.try_get::<Option<String>, _>("event_source")? {
        Some(source) => Some((source, row.try_get("event_name")?, row.try_get("event_type")?)),
        None => None,
    };
    Ok(DeadLetter {
        dead_letter_id,
        run_id: RunId(row.try_get("run_id")?),
        epoch: row.try_get("epoch")?,
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        workflow: row.try_get("workflow")?,
        version_id: VersionId(row.try_get("version_id")?),
        version: row.try_get("number")?,
        node: row.try_get("node")?,
        visit: row.try_get("visit")?,
        action: row.try_get("action")?,
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        signature: row.try_get("signature")?,
        attempts,
        request: row.try_get::<Option<Json<Value>>, _>("request")?.map(|json| json.0),
        response: row.try_get::<Option<Json<Value>>, _>("response")?.map(|json| json.0),
        event_id: EventId(row.try_get("event_id")?),
        event,
        contact_id: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
        contact: row.try_get("contact")?,
        run_key: row.try_get("run_key")?,
        died_at: row.try_get("died_at")?,
        status,
        changed_at: row.try_get("changed_at")?,
        changed_by: row.try_get("changed_by")?,
        note: row.try_get("note")?,
    })
}
