//! The secrets of webhooks, from one encryption key to the next.

use super::rekey::{Count, PAGE};
use automation_domain::hook::SECRET_FIELD;
use automation_domain::id::CredentialId;
use automation_store::hooks::{self, HookSecret, SealedSecret};
use automation_store::tenants::Tenant;
use automation_store::{Db, Scope};
use automation_vault::{KeyRing, Place, Sealed};

/// A page after the other, each committed by itself: an interruption loses nothing.
pub async fn rekey(db: &Db, ring: &KeyRing, tenant: &Tenant, count: &mut Count) -> anyhow::Result<()> {
    let scope = [tenant.tenant_id];
    let mut after = None;
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
            None => return Ok(()),
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
