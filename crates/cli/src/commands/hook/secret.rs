//! Where a webhook's secret comes from, and how it is sealed.

use crate::commands::credential::secret::SecretArgs as Given;
use crate::exit;
use automation_domain::api_key::base64url;
use automation_domain::credential::Scheme;
use automation_domain::hook::{SECRET_FIELD, Verification};
use automation_domain::id::{CredentialId, HookSecretId, TenantId};
use automation_service_kit::ids;
use automation_service_kit::random::random_bytes;
use automation_store::access::hooks::{Hook, HookSecret, WrappedKey};
use automation_vault::{KeyRing, Place, Sealed, Zeroizing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use std::path::PathBuf;

/// Where the secret comes from.
#[derive(Args, Debug)]
pub struct SecretArgs {
    /// File that holds the secret, when the other system gave you one [default: a new secret, shown once]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// A secret in the clear.
pub enum Secret {
    /// Made here, and shown once.
    Made(Zeroizing<String>),
    /// Given by the other system.
    Given(Zeroizing<String>),
}

impl SecretArgs {
    /// A secret for this way of verifying.
    pub fn take(&self, verification: Verification) -> anyhow::Result<Secret> {
        let Some(file) = &self.secret_file else {
            let bytes = Zeroizing::new(random_bytes::<32>()?);
            return Ok(Secret::Made(Zeroizing::new(match verification {
                Verification::Standard => format!("whsec_{}", STANDARD.encode(bytes.as_slice())),
                Verification::Token => base64url(bytes.as_slice()),
            })));
        };
        // The same rules as for secrets that sign, or are shown, in the other direction.
        let scheme = match verification {
            Verification::Standard => Scheme::Hmac,
            Verification::Token => Scheme::Bearer,
        };
        Given::of_file(file.clone()).read(&scheme).map(Secret::Given)
    }
}

impl Secret {
    /// Encrypts the secret under an id of its own.
    pub fn seal(
        &self,
        ring: &KeyRing,
        tenant: TenantId,
        hook: &Hook,
    ) -> anyhow::Result<(HookSecretId, HookSecret)> {
        let (Self::Made(text) | Self::Given(text)) = self;
        let secret_id = HookSecretId(ids::new_id());
        let place = place(tenant, secret_id, hook);
        let Sealed { key_id, wrapped_key, ciphertext } = ring.seal(place, text.as_bytes())?;
        Ok((secret_id, HookSecret { key_id, wrapped_key, ciphertext }))
    }
}

/// Refuses a webhook that is not as it was when its secrets were sealed.
pub fn check(ring: &KeyRing, tenant: TenantId, hook: &Hook, keys: &[WrappedKey]) -> anyhow::Result<()> {
    for WrappedKey { secret_id, key_id, wrapped_key } in keys {
        ring.check(place(tenant, *secret_id, hook), key_id, wrapped_key).map_err(|error| {
            exit::wrong(
                format!("webhook {} is not as it was made: {error} [hook_tampered]", hook.name),
                "automation hook list says what stands there now; delete it, and make it anew",
            )
        })?;
    }
    Ok(())
}

fn place(tenant: TenantId, secret_id: HookSecretId, hook: &Hook) -> Place<'static> {
    Place { tenant, credential: CredentialId(secret_id.0), field: SECRET_FIELD, terms: hook.terms() }
}
