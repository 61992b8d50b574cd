//! The audit log: what people did, and whether it is as it was written.

mod heads;
mod verify;

pub use automation_domain::audit::Keys;
pub use automation_store::audit::Erase;
pub use heads::{Head, KeptHead, heads};
pub use verify::{Verified, verify};

use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::audit::legacy;
use automation_domain::id::TenantId;
use automation_store::Db;
use automation_store::audit;
use automation_store::role::{Operator, Role};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The tenant of the log of what concerns none.
const NOBODY: TenantId = TenantId(Uuid::nil());

/// Entries erased in one transaction, which one entry tells of.
const AT_ONCE: i64 = 1_000;

/// Something that a person did.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its number in the log.
    pub number: i64,
    /// When it was written.
    #[serde(serialize_with = "crate::time::one")]
    pub at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// Who did it; `None` once that is erased, as for all below.
    pub actor: Option<String>,
    /// To what.
    pub subject: Option<String>,
    /// More.
    pub detail: Option<Value>,
    /// Whether who, to what and how were erased.
    pub erased: bool,
}

/// What was erased.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erased {
    /// Entries that lost who, to what and how.
    pub erased: usize,
}

/// The log of what concerns no tenant.
pub fn of_nobody<R: Role>(db: Db<R>) -> Session<R> {
    Session { db, tenant: NOBODY, key: String::new() }
}

/// Up to `limit` entries, the latest first, behind `before` if it is given.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session, limit: u16, before: Option<i64>) -> Result<Page<Entry>, Error> {
    let most = i64::from(limit) + 1;
    let list = async |connection: &mut _| audit::list(connection, session.tenant, before, most).await;
    let entries = session.read(list).await?.into_iter().map(entry).collect();
    Ok(Page::cut(entries, limit, |entry: &Entry| entry.number.to_string()))
}

/// The same of the log from before there was a key.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list_legacy(session: &Session, limit: u16, before: Option<i64>) -> Result<Page<Entry>, Error> {
    let most = i64::from(limit) + 1;
    let list = async |connection: &mut _| audit::legacy::list(connection, session.tenant, before, most).await;
    let entries = session.read(list).await?.into_iter().map(legacy_entry).collect();
    Ok(Page::cut(entries, limit, |entry: &Entry| entry.number.to_string()))
}

/// Erases who, to what and how from entries, a bounded number in each transaction; that they were written, and when, stays,
/// and the log still holds.
///
/// # Errors
///
/// [`Refusal::NoEntryFits`]; [`Error::Store`]: then some may be erased already.
pub async fn erase(
    session: &Session<Operator>,
    auditor: &Auditor,
    which: Erase<'_>,
    note: Option<&str>,
) -> Result<Erased, Error> {
    let tenant = session.tenant;
    let head = session.read(async |connection| audit::head(connection, tenant).await).await?;
    // What erasing itself writes is not erased.
    let upto = head.map_or(0, |(head, _)| head.seq);
    let mut erased = 0;
    loop {
        let done = session
            .change_noted(async |connection| {
                audit::erase(
                    connection,
                    tenant,
                    auditor,
                    which,
                    audit::Portion { upto, limit: AT_ONCE },
                    note,
                )
                .await
            })
            .await?;
        erased += done;
        if done == 0 {
            return if erased == 0 { Err(Refusal::NoEntryFits.into()) } else { Ok(Erased { erased }) };
        }
    }
}

fn entry(entry: audit::Entry) -> Entry {
    let audit::Entry { link, words, .. } = entry;
    Entry {
        number: link.seq,
        at: link.at,
        action: link.action,
        erased: words.is_none(),
        detail: words.as_ref().map(|words| detail(&words.detail)),
        subject: words.as_ref().map(|words| words.subject.clone()),
        actor: words.map(|words| words.actor),
    }
}

fn legacy_entry(entry: legacy::Entry) -> Entry {
    Entry {
        number: entry.seq,
        at: entry.at,
        detail: Some(detail(&entry.detail)),
        action: entry.action,
        actor: Some(entry.actor),
        subject: Some(entry.subject),
        erased: false,
    }
}

fn detail(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned().into())
}
