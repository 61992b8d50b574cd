//! `automation credential rekey`: from one encryption key to the next, for credentials.

use super::{KeysArgs, secret};
use crate::exit;
use crate::output::{Output, note};
use crate::session::DatabaseArgs;
use automation_store::access::credentials::{self, SealedCredential};
use automation_store::access::tenants::{self, Tenant};
use automation_store::{Db, DbRole, Scope};
use automation_vault::{KeyRing, Place, Sealed};
use serde_json::{Value, json};

/// Secrets read at once.
pub(crate) const PAGE: i64 = 100;

/// What came of one tenant.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) rewrapped: usize,
    /// What does not open, with why.
    pub(crate) unreadable: Vec<(String, String)>,
}

/// Wraps every data key that another key than the active one wrapped, and seals anew what was sealed without its terms.
pub async fn run(keys: &KeysArgs, database: &DatabaseArgs, output: &Output) -> anyhow::Result<()> {
    let ring = keys.ring()?;
    let db = database.db(DbRole::Worker)?;
    let all = db.tx(Scope::Unscoped, async |connection| tenants::list(connection).await).await?;
    let mut counts = Vec::with_capacity(all.len());
    for tenant in all {
        let count = rekey(&db, &ring, &tenant).await?;
        counts.push((tenant, count));
    }
    report(&ring, &counts, output)
}

/// Says what came of each tenant's secrets.
///
/// # Errors
///
/// When some could not be opened.
pub(crate) fn report(ring: &KeyRing, counts: &[(Tenant, Count)], output: &Output) -> anyhow::Result<()> {
    let (mut rows, mut unreadable) = (Vec::new(), 0);
    for (tenant, count) in counts {
        for (key, reason) in &count.unreadable {
            note(format!("{}/{key}: {reason}", tenant.key));
        }
        unreadable += count.unreadable.len();
        if count.rewrapped > 0 || !count.unreadable.is_empty() {
            rows.push(json!({
                "tenant": tenant.key, "rewrapped": count.rewrapped, "unreadable": count.unreadable.len(),
            }));
        }
    }
    let rewrapped: u64 = rows.iter().filter_map(|row: &Value| row["rewrapped"].as_u64()).sum();
    let value = json!({ "active": ring.active_id(), "rewrapped": rewrapped, "unreadable": unreadable, "tenants": rows });
    output
        .one(&value, || format!("{rewrapped} secrets are wrapped with the key \"{}\" now", ring.active_id()));
    if unreadable > 0 {
        return Err(exit::wrong(
            format!("{unreadable} secrets could not be opened"),
            "give the keys that wrapped them too, or set them again",
        ));
    }
    Ok(())
}

/// A page after the other, each committed by itself: an interruption loses nothing.
async fn rekey(db: &Db, ring: &KeyRing, tenant: &Tenant) -> anyhow::Result<Count> {
    let scope = [tenant.tenant_id];
    let (mut count, mut after) = (Count::default(), String::new());
    loop {
        let page = db
            .tx(Scope::Tenants(&scope), async |connection| {
                let page = credentials::sealed(connection, tenant.tenant_id, &after, PAGE).await?;
                for read in &page {
                    match rewrap(ring, tenant, read) {
                        Ok(Some(sealed)) => {
                            let secret = secret::stored(sealed);
                            // False when someone rotated it meanwhile: then the active key wrapped it.
                            let done =
                                credentials::rewrap(connection, tenant.tenant_id, read, &secret).await?;
                            count.rewrapped += usize::from(done);
                        }
                        Ok(None) => {}
                        Err(error) => count.unreadable.push((read.key.clone(), error.to_string())),
                    }
                }
                Ok::<_, automation_store::Error>(page)
            })
            .await?;
        match page.last() {
            Some(last) => after.clone_from(&last.key),
            None => return Ok(count),
        }
    }
}

fn rewrap(
    ring: &KeyRing,
    tenant: &Tenant,
    read: &SealedCredential,
) -> Result<Option<Sealed>, automation_vault::Error> {
    let place = Place {
        tenant: tenant.tenant_id,
        credential: read.credential_id,
        field: credentials::SECRET_FIELD,
        terms: read.terms,
    };
    let stored = read.secret.clone();
    let sealed =
        Sealed { key_id: stored.key_id, wrapped_key: stored.wrapped_key, ciphertext: stored.ciphertext };
    ring.rewrap(place, &sealed)
}
