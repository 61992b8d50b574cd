//! Runs that wait for events of their contact: a row for each run and type, written and removed with its checkpoints.

use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ContactId, RunId, TenantId};
use sqlx::Row;

/// A run that waits for events of a type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wait {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Whose events.
    pub contact_id: ContactId,
    /// Which.
    pub event_type: String,
    /// The run.
    pub run_id: RunId,
}

/// Something that happened to a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Happened<'a> {
    /// Whose contact.
    pub tenant_id: TenantId,
    /// The contact.
    pub contact_id: ContactId,
    /// The type of the event.
    pub event_type: &'a str,
}

/// Keeps that these runs wait, and no longer that those others do.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn change(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    begun: &[Wait],
    over: &[Wait],
) -> Result<(), Error> {
    if !over.is_empty() {
        let Columns { tenants, contacts, types, runs } = Columns::of(over);
        sqlx::query(
            "DELETE FROM waits w USING (
                 SELECT l.place FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) AS u (t, c, e, r)
                  CROSS JOIN LATERAL (SELECT k.ctid AS place FROM waits k
                                       WHERE k.tenant_id = u.t AND k.contact_id = u.c AND k.event_type = u.e
                                         AND k.run_id = u.r OFFSET 0) AS l) AS x
              WHERE w.ctid = x.place",
        )
        .bind(tenants)
        .bind(contacts)
        .bind(types)
        .bind(runs)
        .execute(connection.sql())
        .await?;
    }
    if !begun.is_empty() {
        let Columns { tenants, contacts, types, runs } = Columns::of(begun);
        sqlx::query(
            "INSERT INTO waits (tenant_id, contact_id, event_type, run_id)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) ON CONFLICT DO NOTHING",
        )
        .bind(tenants)
        .bind(contacts)
        .bind(types)
        .bind(runs)
        .execute(connection.sql())
        .await?;
    }
    Ok(())
}

/// Keeps that an open run waits again for events of these types.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn begin_again(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    run: RunId,
    types: &[&str],
) -> Result<(), Error> {
    if types.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO waits (tenant_id, contact_id, event_type, run_id)
         SELECT r.tenant_id, r.contact_id, t, r.run_id FROM runs_open r CROSS JOIN unnest($3::text[]) AS u (t)
          WHERE r.tenant_id = $1 AND r.run_id = $2 AND r.contact_id IS NOT NULL ORDER BY t
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(types)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// The runs that wait for any of these, each with which one it was, by its place in `happened`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn of(
    connection: &mut Conn<Worker>,
    happened: &[Happened<'_>],
) -> Result<Vec<(usize, TenantId, RunId)>, Error> {
    let rows = sqlx::query(
        "SELECT u.n, u.t AS tenant_id, l.run_id
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY AS u (t, c, e, n)
          CROSS JOIN LATERAL (SELECT w.run_id FROM waits w
                               WHERE w.tenant_id = u.t AND w.contact_id = u.c AND w.event_type = u.e OFFSET 0) AS l
          ORDER BY u.n",
    )
    .bind(happened.iter().map(|one| one.tenant_id.0).collect::<Vec<_>>())
    .bind(happened.iter().map(|one| one.contact_id.0).collect::<Vec<_>>())
    .bind(happened.iter().map(|one| one.event_type).collect::<Vec<_>>())
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let number = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or_default();
            Ok((number, TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?)))
        })
        .collect()
}

#[derive(Default)]
struct Columns<'a> {
    tenants: Vec<uuid::Uuid>,
    contacts: Vec<uuid::Uuid>,
    types: Vec<&'a str>,
    runs: Vec<uuid::Uuid>,
}

impl<'a> Columns<'a> {
    /// In the order of the key.
    fn of(waits: &'a [Wait]) -> Self {
        let mut sorted: Vec<&Wait> = waits.iter().collect();
        sorted.sort_unstable();
        let mut columns = Self::default();
        for wait in sorted {
            columns.tenants.push(wait.tenant_id.0);
            columns.contacts.push(wait.contact_id.0);
            columns.types.push(&wait.event_type);
            columns.runs.push(wait.run_id.0);
        }
        columns
    }
}
