//! The audit log: what people did, appended in a chain for each tenant that is signed with a key.

mod erase;
pub mod legacy;
mod read;

pub use erase::{Erase, Portion, erase};
pub use read::{Entry, Verified, head, list, mac_at, verify};

use crate::role::{Api, OneOf, Operator};
use crate::upkeep::usage::{self, Grows};
use crate::{Conn, Error};
use automation_domain::audit::legacy::Head as LegacyHead;
use automation_domain::audit::{Broken, Hash, Head, Keys, Link, Proof, SALT_BYTES, Seal, Words};
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Something that a person did.
#[derive(Clone, PartialEq, Debug)]
pub struct Deed {
    /// What: `dead_letter.replay`.
    pub action: &'static str,
    /// To what: `dead_letter 0193…`.
    pub subject: String,
    /// More, as an object without secrets.
    pub detail: Value,
}

/// What sets up something that stays until somebody deletes it: a tenant over its quota of such things sets up none.
const SETS_UP: [&str; 8] = [
    "api_key.create",
    "credential.set",
    "grant.give",
    "hook.create",
    "workflow.draft_save",
    "workflow.duplicate",
    "workflow.publish",
    "workflow.restore",
];

/// Who acts, with the keys that sign what the audit log says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auditor {
    actor: String,
    keys: Keys,
}

/// A deed on its way into the chain.
struct Draft {
    action: &'static str,
    proof: Proof,
    actor: String,
    subject: String,
    detail: Value,
}

impl Auditor {
    /// Somebody who acts.
    pub fn new(actor: impl Into<String>, keys: Keys) -> Self {
        Self { actor: actor.into(), keys }
    }

    /// Who acts.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn draft(&self, deed: &Deed) -> Draft {
        let Deed { action, subject, detail } = deed.clone();
        Draft { action, proof: Proof::None, actor: self.actor.clone(), subject, detail }
    }
}

/// Appends deeds to a tenant's log, in the transaction that does them.
///
/// Writers of one tenant wait for each other: a chain has one end.
///
/// # Errors
///
/// [`Error::Audit`] when the log does not end as it was written: nothing is done that would hide that. [`Error::OverQuota`]
/// for a deed that sets something up, of a tenant that keeps more than its quota of what people write; what frees room, mends
/// or stops something is never refused for it. [`Error`] of the database.
pub async fn append(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    auditor: &Auditor,
    deeds: &[Deed],
) -> Result<(), Error> {
    if deeds.is_empty() {
        return Ok(());
    }
    if deeds.iter().any(|deed| SETS_UP.contains(&deed.action)) {
        check_quota(connection, tenant).await?;
    }
    lock(connection, tenant).await?;
    write(connection, tenant, auditor, deeds.iter().map(|deed| auditor.draft(deed)).collect()).await
}

/// Whether [`append`] would have a log to go on with: for deeds that reach further than the transaction that notes them, before
/// they are done.
///
/// # Errors
///
/// As [`append`].
pub async fn check(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    auditor: &Auditor,
) -> Result<(), Error> {
    lock(connection, tenant).await?;
    end(connection, tenant, &auditor.keys).await.map(drop)
}

/// Taken before anything of a chain is read or written.
async fn lock(connection: &mut Conn<impl OneOf<(Api, Operator)>>, tenant: TenantId) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('automation.audit ' || $1::uuid::text, 0))")
        .bind(tenant.0)
        .execute(connection.sql())
        .await?;
    Ok(())
}

async fn write(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    auditor: &Auditor,
    mut drafts: Vec<Draft>,
) -> Result<(), Error> {
    let End { mut head, legacy, now: at } = end(connection, tenant, &auditor.keys).await?;
    if legacy != head.legacy {
        drafts.insert(0, seal_legacy(&legacy));
    }
    let salts = salts(connection, drafts.len()).await?;
    let (mut links, mut all_words) = (Vec::new(), Vec::new());
    for (draft, salt) in drafts.into_iter().zip(salts) {
        let words =
            Words { salt, actor: draft.actor, subject: draft.subject, detail: draft.detail.to_string() };
        let link = Link {
            tenant_id: tenant,
            seq: head.seq + 1,
            at,
            action: draft.action.to_owned(),
            commitment: words.commitment(),
            proof: draft.proof.to_text(),
            key_id: auditor.keys.active().id.clone(),
        };
        head = Head { seq: link.seq, mac: link.mac(&auditor.keys, &head.mac)?, legacy };
        links.push((link, head.mac));
        all_words.push((head.seq, words));
    }
    insert_links(connection, tenant, at, &links).await?;
    insert_words(connection, tenant, &all_words).await?;
    meter(connection, tenant, &links, &all_words).await?;
    move_head(connection, tenant, &head, &head.seal(&auditor.keys, tenant)).await
}

async fn check_quota(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
) -> Result<(), Error> {
    let over = usage::over_quota(connection, tenant).await?;
    let tables: Vec<String> = usage::growing(&over, Grows::ByPeople).into_iter().map(str::to_owned).collect();
    if tables.is_empty() { Ok(()) } else { Err(Error::OverQuota(tables)) }
}

/// Every deed leaves an entry: as these are summed at once, whoever sets things up without end is stopped before the night's count.
async fn meter(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    links: &[(Link, Hash)],
    words: &[(i64, Words)],
) -> Result<(), Error> {
    const LINK: usize = 200;
    const WORDS: usize = 100;
    let links: usize = links.iter().map(|(link, _)| LINK + link.action.len() + link.proof.len()).sum();
    let words: usize = words
        .iter()
        .map(|(_, words)| WORDS + words.actor.len() + words.subject.len() + words.detail.len())
        .sum();
    let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    usage::add(connection, &[(tenant, "audit_links", bytes(links)), (tenant, "audit_words", bytes(words))])
        .await
}

fn seal_legacy(legacy: &LegacyHead) -> Draft {
    Draft {
        action: "audit.seal",
        proof: Proof::Legacy(*legacy),
        actor: "automation".to_owned(),
        subject: "audit_log".to_owned(),
        detail: json!({ "entries": legacy.seq }),
    }
}

/// Where the log ends.
struct End {
    head: Head,
    /// Of the log from before there was a key.
    legacy: LegacyHead,
    now: DateTime<Utc>,
}

/// Salts that nobody can guess, each of 244 random bits.
async fn salts(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    count: usize,
) -> Result<Vec<[u8; SALT_BYTES]>, Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let sql =
        "SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) FROM generate_series(1, $1)";
    let salts: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(count).fetch_all(connection.sql()).await?;
    let salt = |bytes: Vec<u8>| <[u8; SALT_BYTES]>::try_from(bytes).expect("a UUID has 16 bytes");
    Ok(salts.into_iter().map(salt).collect())
}

async fn end(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    keys: &Keys,
) -> Result<End, Error> {
    // Read under the lock, so that times ascend with the numbers.
    let row = sqlx::query(
        "SELECT clock_timestamp() AS now, h.*, l.seq AS last_legacy_seq, l.hash AS last_legacy_hash,
                (SELECT max(seq) FROM audit_links WHERE tenant_id = $1) AS last_seq
           FROM (SELECT $1::uuid AS of) t
           LEFT JOIN audit_heads h ON h.tenant_id = t.of
           LEFT JOIN LATERAL (SELECT seq, hash FROM audit_log WHERE tenant_id = t.of ORDER BY seq DESC LIMIT 1) l ON true",
    )
    .bind(tenant.0)
    .fetch_one(connection.sql())
    .await?;
    let last: Option<i64> = row.try_get("last_seq")?;
    let head = match stored_head(&row)? {
        None => Head::BEGINNING,
        Some((head, seal)) => {
            head.check(keys, tenant, &seal)?;
            head
        }
    };
    if last.unwrap_or_default() != head.seq {
        return Err(Broken::End { last: last.unwrap_or_default(), head: head.seq }.into());
    }
    let legacy = match row.try_get::<Option<i64>, _>("last_legacy_seq")? {
        None => LegacyHead::BEGINNING,
        Some(seq) => LegacyHead { seq, hash: hash(&row, "audit_log", "last_legacy_hash", seq)? },
    };
    if legacy.seq < head.legacy.seq {
        return Err(Broken::Sealed(head.seq).into());
    }
    Ok(End { head, legacy, now: row.try_get("now")? })
}

/// The head in a row of `audit_heads`, if there is one.
fn stored_head(row: &PgRow) -> Result<Option<(Head, Seal)>, Error> {
    let Some(seq) = row.try_get::<Option<i64>, _>("seq")? else { return Ok(None) };
    let hash = |column| hash(row, "audit_heads", column, seq);
    let legacy = LegacyHead { seq: row.try_get("legacy_seq")?, hash: hash("legacy_hash")? };
    let head = Head { seq, mac: hash("mac")?, legacy };
    Ok(Some((head, Seal { key_id: row.try_get("key_id")?, mac: hash("seal")? })))
}

async fn insert_links(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    at: DateTime<Utc>,
    links: &[(Link, Hash)],
) -> Result<(), Error> {
    let column = |read: fn(&(Link, Hash)) -> &str| links.iter().map(read).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO audit_links (tenant_id, at, seq, action, commitment, proof, key_id, mac)
         SELECT $1, $2, u.* FROM unnest($3::int8[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::bytea[]) AS u",
    )
    .bind(tenant.0)
    .bind(at)
    .bind(links.iter().map(|(link, _)| link.seq).collect::<Vec<_>>())
    .bind(column(|(link, _)| &link.action))
    .bind(links.iter().map(|(link, _)| link.commitment.as_slice()).collect::<Vec<_>>())
    .bind(column(|(link, _)| &link.proof))
    .bind(column(|(link, _)| &link.key_id))
    .bind(links.iter().map(|(_, mac)| mac.as_slice()).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    Ok(())
}

async fn insert_words(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    words: &[(i64, Words)],
) -> Result<(), Error> {
    let column = |read: fn(&(i64, Words)) -> &str| words.iter().map(read).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO audit_words (tenant_id, seq, salt, actor, subject, detail)
         SELECT $1, u.* FROM unnest($2::int8[], $3::bytea[], $4::text[], $5::text[], $6::text[]) AS u",
    )
    .bind(tenant.0)
    .bind(words.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
    .bind(words.iter().map(|(_, words)| words.salt.as_slice()).collect::<Vec<_>>())
    .bind(column(|(_, words)| &words.actor))
    .bind(column(|(_, words)| &words.subject))
    .bind(column(|(_, words)| &words.detail))
    .execute(connection.sql())
    .await?;
    Ok(())
}

async fn move_head(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    head: &Head,
    seal: &Seal,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO audit_heads (tenant_id, seq, mac, legacy_seq, legacy_hash, key_id, seal)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id) DO UPDATE
            SET seq = $2, mac = $3, legacy_seq = $4, legacy_hash = $5, key_id = $6, seal = $7",
    )
    .bind(tenant.0)
    .bind(head.seq)
    .bind(head.mac.as_slice())
    .bind(head.legacy.seq)
    .bind(head.legacy.hash.as_slice())
    .bind(&seal.key_id)
    .bind(seal.mac.as_slice())
    .execute(connection.sql())
    .await?;
    Ok(())
}

fn hash(row: &PgRow, table: &'static str, column: &'static str, seq: i64) -> Result<Hash, Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    Hash::try_from(bytes).map_err(|bytes| Error::Unreadable {
        table,
        column,
        id: seq.to_string(),
        reason: format!("a hash has 32 bytes, not {}", bytes.len()),
    })
}
