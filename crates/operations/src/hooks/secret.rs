//! A webhook's secret: given by the other system or made here, and how it is sealed.

use crate::credentials::check_secret;
use crate::shown_once::random;
use crate::{Error, Refusal, ShownOnce};
use automation_domain::api_key::base64url;
use automation_domain::credential::Scheme;
use automation_domain::hook::{SECRET_FIELD, Verification};
use automation_domain::id::{CredentialId, HookSecretId, TenantId};
use automation_service_kit::ids;
use automation_store::access::hooks::{Hook, HookSecret, WrappedKey};
use automation_vault::{KeyRing, Place, Sealed, Zeroizing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A secret in the clear.
pub(super) enum Secret {
    /// Made here, and shown once.
    Made(ShownOnce),
    /// Given by the other system.
    Given(Zeroizing<String>),
}

impl Secret {
    /// A secret for this way of verifying.
    pub(super) fn take(given: Option<Zeroizing<String>>, verification: Verification) -> Result<Self, Error> {
        let Some(given) = given else {
            let bytes = random::<32>()?;
            return Ok(Self::Made(ShownOnce::new(match verification {
                Verification::Standard => format!("whsec_{}", STANDARD.encode(bytes.as_slice())),
                Verification::Token => base64url(bytes.as_slice()),
            })));
        };
        // The same rules as for secrets that sign, or are shown, in the other direction.
        let scheme = match verification {
            Verification::Standard => Scheme::Hmac,
            Verification::Token => Scheme::Bearer,
        };
        check_secret(&scheme, &given)?;
        Ok(Self::Given(given))
    }

    /// Encrypts the secret under an id of its own.
    pub(super) fn seal(
        &self,
        ring: &KeyRing,
        tenant: TenantId,
        hook: &Hook,
    ) -> Result<(HookSecretId, HookSecret), Error> {
        let text = match self {
            Self::Made(text) => text.expose(),
            Self::Given(text) => text,
        };
        let secret_id = HookSecretId(ids::new_id());
        let sealed = ring.seal(place(tenant, secret_id, hook), text.as_bytes())?;
        let Sealed { key_id, wrapped_key, ciphertext } = sealed;
        Ok((secret_id, HookSecret { key_id, wrapped_key, ciphertext }))
    }

    /// The one that was made here.
    pub(super) fn made(self) -> Option<ShownOnce> {
        match self {
            Self::Made(text) => Some(text),
            Self::Given(_) => None,
        }
    }
}

/// Refuses a webhook that is not as it was when its secrets were sealed.
pub(super) fn check(
    ring: &KeyRing,
    tenant: TenantId,
    hook: &Hook,
    keys: &[WrappedKey],
) -> Result<(), Refusal> {
    for WrappedKey { secret_id, key_id, wrapped_key } in keys {
        ring.check(place(tenant, *secret_id, hook), key_id, wrapped_key)
            .map_err(|why| Refusal::HookTampered { name: hook.name.clone(), why: why.to_string() })?;
    }
    Ok(())
}

fn place(tenant: TenantId, secret_id: HookSecretId, hook: &Hook) -> Place<'static> {
    Place { tenant, credential: CredentialId(secret_id.0), field: SECRET_FIELD, terms: hook.terms() }
}
