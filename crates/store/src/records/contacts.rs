//! Contacts.

use super::Made;
use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::contact::Contact;
use automation_domain::id::{ContactId, TenantId};
use automation_domain::record::stamps::{Applied, Stamp, Stamps};
use automation_domain::record::{EmittedEvent, RecordChange};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use uuid::Uuid;

/// Contacts of several tenants.
pub type Contacts = BTreeMap<(TenantId, ContactId), Contact>;

const COLUMNS: &str =
    "c.tenant_id, c.contact_id, c.subject, c.email, c.phone, c.first_name, c.last_name, c.timezone,
    c.score, c.owner, c.tags, c.segments, c.fields, c.consent, c.set_by";

/// Reads contacts as they are; those that do not exist are left out.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn read(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    ids: &[(TenantId, ContactId)],
) -> Result<Contacts, Error> {
    select(connection, ids, "").await
}

/// Reads contacts and locks them until the end of the transaction, in the order of their keys.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn lock(connection: &mut Conn<Worker>, ids: &[(TenantId, ContactId)]) -> Result<Contacts, Error> {
    select(connection, ids, "ORDER BY c.tenant_id, c.contact_id FOR UPDATE OF c").await
}

async fn select(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    ids: &[(TenantId, ContactId)],
    suffix: &str,
) -> Result<Contacts, Error> {
    if ids.is_empty() {
        return Ok(Contacts::new());
    }
    let (tenants, contacts): (Vec<Uuid>, Vec<Uuid>) =
        ids.iter().map(|(tenant, contact)| (tenant.0, contact.0)).unzip();
    let sql = format!(
        "SELECT {COLUMNS} FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
           JOIN contacts c ON c.tenant_id = u.t AND c.contact_id = u.i {suffix}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&tenants)
        .bind(&contacts)
        .fetch_all(connection.sql())
        .await?;
    rows.iter().map(contact).collect()
}

/// Makes the contacts that do not exist yet, known by their subject alone. Each is `(tenant, contact, subject)`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn ensure(
    connection: &mut Conn<Worker>,
    contacts: &BTreeMap<(TenantId, ContactId), &str>,
) -> Result<(), Error> {
    if contacts.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = contacts.keys().map(|(tenant, id)| (tenant.0, id.0)).unzip();
    let subjects: Vec<&str> = contacts.values().copied().collect();
    sqlx::query(
        // Most exist: looking is cheaper than an attempt to insert.
        "INSERT INTO contacts (tenant_id, contact_id, subject)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (t, c, s)
          WHERE NOT EXISTS (SELECT FROM contacts k WHERE k.tenant_id = u.t AND k.contact_id = u.c)
             ON CONFLICT DO NOTHING",
    )
    .bind(&tenants)
    .bind(&ids)
    .bind(&subjects)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Writes contacts that this transaction, which began at `now`, has locked.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn update(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    contacts: &Contacts,
) -> Result<(), Error> {
    if contacts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = contacts
        .iter()
        .map(|((tenant, _), contact)| {
            json!({
                "t": tenant, "i": contact.contact_id, "email": contact.email, "phone": contact.phone,
                "first_name": contact.first_name, "last_name": contact.last_name, "timezone": contact.timezone,
                "score": contact.score, "owner": contact.owner, "tags": contact.tags,
                "segments": contact.segments, "fields": contact.fields, "consent": contact.consent,
                "set_by": bytea(&contact.set_by.to_bytes(now)),
            })
        })
        .collect();
    sqlx::query(
        "UPDATE contacts c
            SET email = u.email, phone = u.phone, first_name = u.first_name, last_name = u.last_name,
                timezone = u.timezone, score = u.score, owner = u.owner, tags = u.tags, segments = u.segments,
                fields = u.fields, consent = u.consent, set_by = u.set_by, updated_at = $2
           FROM jsonb_to_recordset($1) AS u (t uuid, i uuid, email text, phone text, first_name text, last_name text,
                timezone text, score double precision, owner text, tags text[], segments text[], fields jsonb,
                consent jsonb, set_by bytea)
          WHERE c.tenant_id = u.t AND c.contact_id = u.i",
    )
    .bind(Json(rows))
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Folds all changes to each contact, in order, into its locked row, and gives the events that they cause, each with the index
/// of its change.
pub(super) async fn apply(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    changes: &[Made<'_, RecordChange>],
) -> Result<Vec<(usize, EmittedEvent)>, Error> {
    let of_contacts: Vec<_> = changes
        .iter()
        .enumerate()
        .filter_map(|(index, made)| match made.record {
            RecordChange::Contact { contact_id, change } => {
                Some((index, (made.tenant_id, *contact_id), change, Stamp::of_run(made.run_id, now)))
            }
            RecordChange::CreateTask(_) | RecordChange::AddNote(_) => None,
        })
        .collect();
    let touched: BTreeSet<_> = of_contacts.iter().map(|(_, key, ..)| *key).collect();
    let mut locked = lock(connection, &touched.into_iter().collect::<Vec<_>>()).await?;
    let (mut changed, mut events) = (BTreeSet::new(), Vec::new());
    for (index, key, change, stamp) in of_contacts {
        let Some(contact) = locked.get_mut(&key) else { continue };
        let applied = change.apply(contact, stamp);
        if applied.is_to_be_written() {
            changed.insert(key);
        }
        match applied {
            Applied::Changed(event) => events.push((index, event)),
            Applied::Confirmed | Applied::Nothing => {}
        }
    }
    locked.retain(|key, _| changed.contains(key));
    update(connection, now, &locked).await?;
    Ok(events)
}

/// Finds one contact by subject, e-mail address or id.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn find(connection: &mut Conn<Api>, tenant: TenantId, who: &str) -> Result<Option<Contact>, Error> {
    let by_subject = ContactId::derive(tenant, who);
    let sql = format!(
        "SELECT {COLUMNS} FROM contacts c
          WHERE c.tenant_id = $1 AND (c.contact_id = ANY($2) OR lower(c.email) = lower($3))
          ORDER BY (c.contact_id = $4) DESC, c.contact_id LIMIT 1"
    );
    let candidates: Vec<Uuid> = who.parse().ok().into_iter().chain([by_subject.0]).collect();
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(candidates)
        .bind(who)
        .bind(by_subject.0)
        .fetch_optional(connection.sql())
        .await?;
    row.map(|row| contact(&row).map(|(_, contact)| contact)).transpose()
}

/// Bytes as Postgres reads them from a text.
fn bytea(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("\\x"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn contact(row: &PgRow) -> Result<((TenantId, ContactId), Contact), Error> {
    let tenant_id = TenantId(row.try_get("tenant_id")?);
    let contact_id = ContactId(row.try_get("contact_id")?);
    let set_by = Stamps::from_bytes(row.try_get("set_by")?).map_err(|unreadable| Error::Unreadable {
        table: "contacts",
        column: "set_by",
        id: contact_id.to_string(),
        reason: unreadable.to_string(),
    })?;
    let contact = Contact {
        contact_id,
        subject: row.try_get("subject")?,
        email: row.try_get("email")?,
        phone: row.try_get("phone")?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        timezone: row.try_get("timezone")?,
        score: row.try_get("score")?,
        owner: row.try_get("owner")?,
        tags: row.try_get("tags")?,
        segments: row.try_get("segments")?,
        fields: row.try_get::<Json<Map<String, Value>>, _>("fields")?.0,
        consent: row.try_get::<Json<Map<String, Value>>, _>("consent")?.0,
        set_by,
    };
    Ok(((tenant_id, contact_id), contact))
}
