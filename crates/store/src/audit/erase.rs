//! Erasing what entries say of people.

use super::{Auditor, Draft, lock, write};
use crate::role::Operator;
use crate::{Conn, Error};
use automation_domain::audit::Proof;
use automation_domain::id::TenantId;
use serde_json::json;

/// Which entries lose their words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Erase<'a> {
    /// What this actor did.
    Actor(&'a str),
    /// What was done to this subject.
    Subject(&'a str),
    /// These entries.
    Entries(&'a [i64]),
}

/// How much is erased in one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Portion {
    /// The last entry that is looked at.
    pub upto: i64,
    /// Most entries.
    pub limit: i64,
}

impl Erase<'_> {
    /// By what they were chosen; the value itself is what is to be forgotten.
    fn by(self) -> &'static str {
        match self {
            Self::Actor(_) => "actor",
            Self::Subject(_) => "subject",
            Self::Entries(_) => "entry",
        }
    }
}

/// Erases the words of a portion of entries, and appends an entry that says of which; returns how many.
///
/// # Errors
///
/// As [`super::append`].
pub async fn erase(
    connection: &mut Conn<Operator>,
    tenant: TenantId,
    auditor: &Auditor,
    which: Erase<'_>,
    portion: Portion,
    note: Option<&str>,
) -> Result<usize, Error> {
    lock(connection, tenant).await?;
    let (actor, subject, entries) = match which {
        Erase::Actor(actor) => (Some(actor), None, None),
        Erase::Subject(subject) => (None, Some(subject), None),
        Erase::Entries(entries) => (None, None, Some(entries)),
    };
    let mut erased: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM audit_words WHERE tenant_id = $1 AND seq = ANY (ARRAY(
                SELECT seq FROM audit_words
                 WHERE tenant_id = $1 AND seq <= $5 AND (actor = $2 OR subject = $3 OR seq = ANY ($4))
                 ORDER BY seq LIMIT $6))
         RETURNING seq",
    )
    .bind(tenant.0)
    .bind(actor)
    .bind(subject)
    .bind(entries)
    .bind(portion.upto)
    .bind(portion.limit)
    .fetch_all(connection.sql())
    .await?;
    if erased.is_empty() {
        return Ok(0);
    }
    erased.sort_unstable();
    let draft = Draft {
        action: "audit.erase",
        proof: Proof::erased(&erased),
        actor: auditor.actor().to_owned(),
        subject: "audit_log".to_owned(),
        detail: json!({ "entries": erased.len(), "by": which.by(), "note": note }),
    };
    write(connection, tenant, auditor, vec![draft]).await?;
    Ok(erased.len())
}
