//! From one encryption key to the next, for credentials.

use super::stored;
use crate::Error;
use crate::rekeyed::{Count, PAGE, Rekeyed};
use automation_store::access::credentials::{self, SealedCredential};
use automation_store::access::tenants::{self, Tenant};
use automation_store::role::Worker;
use automation_store::{Db, Scope};
use automation_vault::{KeyRing, Place, Sealed};

/// Wraps every data key that another key than the active one wrapped, and seals anew what was sealed without its terms.
/// What is done stays done, and an interruption is made up for by doing it again.
///
/// # Errors
///
/// [`Error::Store`]; a secret that does not open is no error, and counted.
pub async fn rekey(worker: &Db<Worker>, ring: &KeyRing) -> Result<Rekeyed, Error> {
    let all = worker.read(Scope::Unscoped, async |connection| tenants::list(connection).await).await?;
    let mut rekeyed = Rekeyed::new(ring);
    for tenant in all {
        rekeyed.add(&tenant, of_tenant(worker, ring, &tenant).await?);
    }
    Ok(rekeyed)
}

/// A page after the other, each committed by itself: an interruption loses nothing.
async fn of_tenant(db: &Db<Worker>, ring: &KeyRing, tenant: &Tenant) -> Result<Count, Error> {
    let scope = [tenant.tenant_id];
    let (mut count, mut after) = (Count::default(), String::new());
    loop {
        let page = db
            .tx(Scope::Tenants(&scope), async |connection| {
                let page = credentials::sealed(connection, tenant.tenant_id, &after, PAGE).await?;
                for read in &page {
                    match rewrap(ring, tenant, read) {
                        Ok(Some(sealed)) => {
                            let secret = stored(sealed);
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
