//! Whether a log is as it was written.

use super::KeptHead;
use crate::{Error, Refusal, Session};
use automation_domain::audit::{Keys, hex};
use automation_store::audit;
use serde::Serialize;

/// A log that is as it was written.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Entries.
    pub entries: i64,
    /// MAC of the last one, in hexadecimal digits.
    pub mac: String,
    /// Entries whose words were erased.
    pub erased: usize,
    /// Heads that were kept, and are a part of it.
    pub heads: usize,
    /// Entries from before the log had a key.
    pub legacy_entries: i64,
    /// Those of them that are not sealed yet.
    pub unsealed_legacy_entries: i64,
    /// Those of them that came in after it had one.
    pub late_legacy_entries: i64,
}

/// Checks every entry of a log with the keys, and against heads that were kept elsewhere if there are any.
///
/// # Errors
///
/// [`Refusal::NoHead`], [`Refusal::AuditChanged`], [`Refusal::AuditPutBack`]; [`Error::Store`].
pub async fn verify(session: &Session, keys: &Keys, kept: Option<Vec<KeptHead>>) -> Result<Verified, Error> {
    let tenant = session.tenant;
    let kept: Option<Vec<KeptHead>> =
        kept.map(|all| all.into_iter().filter(|head| head.tenant == tenant).collect());
    if kept.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::NoHead.into());
    }
    let (outcome, missing) = session
        .read(async |connection| {
            let outcome = audit::verify(connection, tenant, keys).await?;
            let mut missing = None;
            for head in kept.iter().flatten() {
                if audit::mac_at(connection, tenant, head.seq).await? != Some(head.mac) {
                    missing = missing.or(Some(head.seq));
                }
            }
            Ok((outcome, missing))
        })
        .await?;
    let audit::Verified { chain, legacy } =
        outcome.map_err(|broken| Refusal::AuditChanged(broken.to_string()))?;
    if let Some(seq) = missing {
        return Err(Refusal::AuditPutBack(seq).into());
    }
    // The first entry seals what was there before there was a key; what a later one seals came in beside it.
    let before = chain.sealed.iter().find(|(number, _)| *number == 1).map_or(0, |(_, sealed)| sealed.seq);
    Ok(Verified {
        entries: chain.head.seq,
        mac: hex(&chain.head.mac),
        erased: chain.erased,
        heads: kept.map_or(0, |kept| kept.len()),
        legacy_entries: legacy.seq,
        unsealed_legacy_entries: legacy.seq - chain.head.legacy.seq,
        late_legacy_entries: legacy.seq - before,
    })
}
