//! From one key of the door to the next, for secrets of webhooks.

use crate::Error;
use crate::rekeyed::{Count, PAGE, Rekeyed};
use automation_domain::hook::SECRET_FIELD;
use automation_domain::id::CredentialId;
use automation_store::access::hooks::{self, HookSecret, SealedSecret};
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
    let (mut count, mut after) = (Count::default(), None);
    loop {
        let page = db
            .tx(Scope::Tenants(&scope), async |connection| {
                let page = hooks::sealed(connection, tenant.tenant_id, after, PAGE).await?;
                for read in &page {
                    match rewrap(ring, tenant, read) {
                        Ok(Some(Sealed { key_id, wrapped_key, ciphertext })) => {
                            let rewrapped = HookSecret { key_id, wrapped_key, ciphertext };
                            let done = hooks::rewrap(connection, tenant.tenant_id, read, &rewrapped).await?;
                            count.rewrapped += usize::from(done);
                        }
                        Ok(None) => {}
                        Err(error) => {
                            count.unreadable.push((format!("hook {}", read.hook_id), error.to_string()));
                        }
                    }
                }
                Ok::<_, automation_store::Error>(page)
            })
            .await?;
        match page.last() {
            Some(last) => after = Some(last.secret_id),
            None => return Ok(count),
        }
    }
}

fn rewrap(
    ring: &KeyRing,
    tenant: &Tenant,
    read: &SealedSecret,
) -> Result<Option<Sealed>, automation_vault::Error> {
    let place = Place {
        tenant: tenant.tenant_id,
        credential: CredentialId(read.secret_id.0),
        field: SECRET_FIELD,
        terms: read.terms,
    };
    let HookSecret { key_id, wrapped_key, ciphertext } = read.secret.clone();
    ring.rewrap(place, &Sealed { key_id, wrapped_key, ciphertext })
}
