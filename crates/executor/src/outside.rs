//! The world outside: here requests leave, with the secrets of the credentials that they name.

use crate::Config;
use crate::look_ups::{self, BoundedResolver};
use automation_connectors::{Authorization, Connectors, SystemResolver};
use automation_domain::effect::{Attempt, Outcome, Request};
use automation_domain::id::TenantId;
use automation_domain::interpreter::StepError;
use automation_domain::step_code::StepCode;
use automation_service_kit::clock;
use automation_service_kit::turns::Turns;
use automation_store::access::credentials::{self, UsableCredential};
use automation_store::role::Worker;
use automation_store::{Db, Error, Scope};
use automation_vault::{KeyRing, Place, Sealed};
use std::sync::Arc;

/// Credentials read at the same time, and those of one tenant: connections are the batches' first.
const READS: usize = 2;
const READS_PER_TENANT: usize = 1;

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Outside {
    connectors: Connectors,
    keys: Option<KeyRing>,
    reads: Arc<Turns<TenantId>>,
}

/// Host and port that a request is counted by; nothing for one that will be refused and reaches nobody.
pub(crate) fn destination(request: &Request) -> String {
    automation_connectors::destination(request).unwrap_or_default()
}

impl Outside {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let resolver = Arc::new(BoundedResolver::new(Arc::new(SystemResolver)));
        let outbound = config.requests.outbound.clone();
        let connectors = Connectors::with_resolver(outbound, &config.limits, resolver)?;
        let keys =
            config.requests.encryption_keys.as_ref().map(|keys| KeyRing::parse(keys.expose())).transpose()?;
        Ok(Self { connectors, keys, reads: Turns::new(READS, READS_PER_TENANT) })
    }

    /// Tries a request once. A credential that cannot be used now is a failure of this try; nothing was sent then.
    ///
    /// The receiver is told of `traceparent`, which is no part of the request as stored.
    pub(crate) async fn perform(
        &self,
        db: &Db<Worker>,
        tenant: TenantId,
        request: &Request,
        traceparent: Option<&str>,
    ) -> Attempt {
        let begun = clock::now();
        let authorization = match request.credential() {
            None => None,
            Some(key) => match self.authorization(db, tenant, key).await {
                Ok(authorization) => Some(authorization),
                Err(outcome) => return Attempt { outcome, response: None, took: begun.elapsed() },
            },
        };
        let performing = self.connectors.perform_traced(request, authorization.as_ref(), traceparent);
        look_ups::for_tenant(tenant, performing).await
    }

    async fn authorization(
        &self,
        db: &Db<Worker>,
        tenant: TenantId,
        key: &str,
    ) -> Result<Authorization, Outcome> {
        let Some(keys) = &self.keys else {
            return Err(later(
                StepCode::CredentialUnreadable,
                "this process has no keys to read credentials with".to_owned(),
            ));
        };
        let turn = self.reads.wait(tenant).await;
        let found = usable(db, tenant, key).await;
        drop(turn);
        let found = found.map_err(|error| {
            tracing::warn!(%error, credential = key, "a credential could not be read");
            later(StepCode::CredentialUnreadable, format!("the credential \"{key}\" could not be read"))
        })?;
        let Some(credential) = found else {
            return Err(never(StepCode::UnknownCredential, format!("there is no credential \"{key}\"")));
        };
        let (terms, field) = (credential.terms(), credentials::SECRET_FIELD);
        let UsableCredential { credential_id, scheme, allowed_hosts, secret } = credential;
        let place = Place { tenant, credential: credential_id, field, terms };
        let sealed =
            Sealed { key_id: secret.key_id, wrapped_key: secret.wrapped_key, ciphertext: secret.ciphertext };
        let opened = keys.open(place, &sealed).map_err(|error| {
            tracing::error!(%error, credential = key, "a credential does not decrypt");
            does_not_open(key, &error)
        })?;
        Authorization::new(scheme, allowed_hosts, &opened)
            .map_err(|error| never(StepCode::CredentialUnreadable, error.to_string()))
    }
}

/// Reads a credential, and notes that it is used.
async fn usable(db: &Db<Worker>, tenant: TenantId, key: &str) -> Result<Option<UsableCredential>, Error> {
    db.tx(Scope::Tenants(&[tenant]), async |connection| {
        let wanted = [(tenant, key.to_owned())];
        let found = credentials::usable(connection, &wanted).await?.remove(&wanted[0]);
        if let Some(credential) = &found {
            credentials::used(connection, clock::wall_clock(), &[(tenant, credential.credential_id)]).await?;
        }
        Ok(found)
    })
    .await
}

/// A key that is missing may be given while the step waits. What was changed was changed by somebody: nothing is sent, and
/// a person has to look.
fn does_not_open(key: &str, error: &automation_vault::Error) -> Outcome {
    match error {
        automation_vault::Error::UnknownKey { .. } | automation_vault::Error::NoRandomness => {
            later(StepCode::CredentialUnreadable, format!("the credential \"{key}\" does not decrypt"))
        }
        automation_vault::Error::Unreadable => never(
            StepCode::CredentialTampered,
            format!(
                "the credential \"{key}\" was changed without its secret, or its secret was damaged; set it again"
            ),
        ),
    }
}

/// What a person may mend while the step waits.
fn later(code: StepCode, message: String) -> Outcome {
    Outcome::Retry { error: StepError { code: code.into(), message }, after: None, reached: false }
}

fn never(code: StepCode, message: String) -> Outcome {
    Outcome::Failed { error: StepError { code: code.into(), message } }
}
