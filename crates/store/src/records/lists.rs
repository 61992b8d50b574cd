//! Pages of records as people look for them: of a contact, of a run.

use crate::Error;
use automation_domain::id::{ContactId, RecordId, RunId, TenantId, id_bounds};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

/// Which records are listed. Every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordFilter {
    /// About this contact.
    pub contact: Option<ContactId>,
    /// Made by this run.
    pub run: Option<RunId>,
    /// Older than this one: the page after it.
    pub before: Option<RecordId>,
}

/// A record as it is, and where it is from.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed<T> {
    /// The record.
    pub record: T,
    /// The contact's subject.
    pub contact: Option<String>,
    /// The run that made it.
    pub run_id: RunId,
    /// When.
    pub created_at: DateTime<Utc>,
    /// `open` or `completed`; a note is neither.
    pub status: Option<String>,
}

/// Appends what a page is: the caller has selected `r` and the subject of `c`.
pub(super) fn page(
    query: &mut QueryBuilder<Postgres>,
    id: &'static str,
    tenant: TenantId,
    filter: &RecordFilter,
    limit: i64,
) {
    query.push(" WHERE r.tenant_id = ").push_bind(tenant.0);
    if let Some(contact) = filter.contact {
        // The index by contact begins with the contact's bucket.
        query.push(" AND r.contact_bucket = contact_bucket(").push_bind(contact.0);
        query.push(") AND r.contact_id = ").push_bind(contact.0);
    }
    if let Some(run) = filter.run {
        query.push(" AND r.run_id = ").push_bind(run.0);
        // A record's id begins with its run's time: the key finds it.
        let (low, high) = id_bounds(run.0);
        query.push(format_args!(" AND {id} >= ")).push_bind(low);
        query.push(format_args!(" AND {id} < ")).push_bind(high);
    }
    if let Some(before) = filter.before {
        query.push(format_args!(" AND {id} < ")).push_bind(before.0);
    }
    query.push(format_args!(" ORDER BY {id} DESC LIMIT ")).push_bind(limit);
    query.push(") r LEFT JOIN contacts c ON c.tenant_id = r.tenant_id AND c.contact_id = r.contact_id");
    query.push(format_args!(" ORDER BY {id} DESC"));
}

/// A row of such a page.
pub(super) fn listed<T>(row: &PgRow, record: T, status: Option<String>) -> Result<Listed<T>, Error> {
    Ok(Listed {
        record,
        contact: row.try_get("subject")?,
        run_id: RunId(row.try_get("run_id")?),
        created_at: row.try_get("created_at")?,
        status,
    })
}
