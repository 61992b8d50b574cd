//! What authorizes requests: a secret goes in and never comes out.

mod rekey;

pub use rekey::rekey;

use crate::{Auditor, Error, Page, Refusal, Session};
use automation_domain::credential::{AllowedHost, Scheme, Terms, is_key};
use automation_domain::id::CredentialId;
use automation_service_kit::ids;
use automation_store::access::credentials::{self, SECRET_FIELD, StoredSecret};
use automation_store::audit::Deed;
use automation_vault::{KeyRing, Place, Sealed};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

/// What a credential is to be, beside its secret.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    key: String,
    scheme: Scheme,
    allowed_hosts: Vec<AllowedHost>,
}

/// A credential without its secret.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Credential {
    /// What workflows name it by.
    pub key: String,
    /// How the secret is put on a request.
    pub kind: &'static str,
    /// More of that: the user, the name of a header or parameter.
    pub fields: Value,
    /// Where it may be sent.
    pub hosts: Vec<String>,
    /// How often it was set or rotated.
    pub version: i32,
    /// The key that its data key is wrapped with.
    pub encryption_key: String,
    /// When it was made.
    #[serde(serialize_with = "crate::time::one")]
    pub created_at: DateTime<Utc>,
    /// When its secret was last replaced.
    #[serde(serialize_with = "crate::time::maybe")]
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it was last used.
    #[serde(serialize_with = "crate::time::maybe")]
    pub used_at: Option<DateTime<Utc>>,
}

/// A credential that was set.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// What workflows name it by.
    pub key: String,
    /// How the secret is put on a request.
    pub kind: &'static str,
    /// Where it may be sent.
    pub hosts: Vec<String>,
    /// How often it was set or rotated.
    pub version: i32,
}

/// A credential whose secret was replaced.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Rotated {
    /// What workflows name it by.
    pub key: String,
    /// How often it was set or rotated.
    pub version: i32,
}

/// A credential that was deleted.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// What workflows named it by.
    pub key: String,
    /// That it was.
    pub deleted: bool,
}

impl Setting {
    /// Reads what a credential is to be: its key, the kind of its scheme (`bearer`, `basic`, `header`, `query`, `hmac`) with
    /// the scheme's fields, and hosts as `host`, `host:port`, `*.host`.
    ///
    /// # Errors
    ///
    /// [`Refusal::CredentialKey`], [`Refusal::Scheme`], [`Refusal::AllowedHost`].
    pub fn new(key: String, kind: &str, fields: &Value, hosts: &[String]) -> Result<Self, Refusal> {
        if !is_key(&key) {
            return Err(Refusal::CredentialKey(key));
        }
        let scheme = Scheme::from_parts(kind, fields).map_err(Refusal::Scheme)?;
        let allowed_hosts = hosts.iter().map(|host| host.parse()).collect::<Result<_, String>>();
        Ok(Self { key, scheme, allowed_hosts: allowed_hosts.map_err(Refusal::AllowedHost)? })
    }
}

/// Makes a credential, or replaces all of it.
///
/// The secret is asked for whatever is changed: it is sealed together with where and how it is sent.
///
/// # Errors
///
/// [`Refusal::NoSecret`], [`Refusal::Secret`]; [`Error::Store`], [`Error::Vault`].
pub async fn set(
    session: &Session,
    auditor: &Auditor,
    ring: &KeyRing,
    setting: &Setting,
    secret: &str,
) -> Result<Set, Error> {
    let Setting { key, scheme, allowed_hosts } = setting;
    check_secret(scheme, secret)?;
    let fresh = CredentialId(ids::new_id());
    let hosts: Vec<String> = allowed_hosts.iter().map(ToString::to_string).collect();
    let version = session
        .change(auditor, async |connection| {
            let known = credentials::lock(connection, session.tenant, key).await?;
            let credential_id = known.unwrap_or(fresh);
            let terms = Terms::of_credential(scheme, allowed_hosts);
            let place =
                Place { tenant: session.tenant, credential: credential_id, field: SECRET_FIELD, terms };
            let sealed = stored(ring.seal(place, secret.as_bytes())?);
            let setting = credentials::Setting {
                tenant_id: session.tenant,
                credential_id,
                key,
                scheme,
                allowed_hosts,
                secret: &sealed,
            };
            let version = credentials::set(connection, &setting).await?;
            let detail = json!({
                "kind": scheme.kind(), "fields": scheme.fields(), "hosts": hosts, "version": version,
            });
            Ok((version, Some(deed("credential.set", key, detail))))
        })
        .await?;
    Ok(Set { key: key.clone(), kind: scheme.kind(), hosts, version })
}

/// Replaces the secret alone; requests use the new one from their next try.
///
/// # Errors
///
/// [`Refusal::NoCredential`], [`Refusal::NoSecret`], [`Refusal::Secret`], [`Refusal::CredentialTampered`]: a secret is not
/// sealed for hosts that nobody gave together with one; [`Error::Store`], [`Error::Vault`].
pub async fn rotate(
    session: &Session,
    auditor: &Auditor,
    ring: &KeyRing,
    key: &str,
    secret: &str,
) -> Result<Rotated, Error> {
    let credential = find(session, key).await?;
    check_secret(&credential.scheme, secret)?;
    let place = Place {
        tenant: session.tenant,
        credential: credential.credential_id,
        field: SECRET_FIELD,
        terms: credential.terms(),
    };
    ring.check(place, &credential.key_id, &credential.wrapped_key)
        .map_err(|why| Refusal::CredentialTampered { key: key.to_owned(), why: why.to_string() })?;
    let sealed = stored(ring.seal(place, secret.as_bytes())?);
    let rotated = session
        .change(auditor, async |connection| {
            let id = credential.credential_id;
            let version = credentials::rotate(connection, session.tenant, id, &sealed).await?;
            let noted = |version| deed("credential.rotate", key, json!({ "version": version }));
            Ok((version, version.map(noted)))
        })
        .await?;
    let version = rotated.ok_or_else(|| Refusal::NoCredential(key.to_owned()))?;
    Ok(Rotated { key: key.to_owned(), version })
}

/// Deletes a credential; requests that name it fail.
///
/// # Errors
///
/// [`Refusal::NoCredential`]; [`Error::Store`].
pub async fn delete(session: &Session, auditor: &Auditor, key: &str) -> Result<Deleted, Error> {
    let deleted = session
        .change(auditor, async |connection| {
            let deleted = credentials::delete(connection, session.tenant, key).await?;
            Ok((deleted, deleted.then(|| deed("credential.delete", key, json!({})))))
        })
        .await?;
    let key = key.to_owned();
    if deleted { Ok(Deleted { key, deleted }) } else { Err(Refusal::NoCredential(key).into()) }
}

/// All credentials of the tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session) -> Result<Page<Credential>, Error> {
    let all = session.read(async |connection| credentials::list(connection, session.tenant).await).await?;
    Ok(Page::whole(all.iter().map(shown).collect()))
}

/// Everything of a credential but its secret.
///
/// # Errors
///
/// [`Refusal::NoCredential`]; [`Error::Store`].
pub async fn show(session: &Session, key: &str) -> Result<Credential, Error> {
    Ok(shown(&find(session, key).await?))
}

/// Refuses a secret that cannot be sent in this way.
pub(crate) fn check_secret(scheme: &Scheme, secret: &str) -> Result<(), Refusal> {
    if secret.is_empty() {
        return Err(Refusal::NoSecret);
    }
    scheme.check_secret(secret).map_err(Refusal::Secret)
}

async fn find(session: &Session, key: &str) -> Result<credentials::Credential, Error> {
    let by_key = async |connection: &mut _| credentials::by_key(connection, session.tenant, key).await;
    Ok(session.read(by_key).await?.ok_or_else(|| Refusal::NoCredential(key.to_owned()))?)
}

fn deed(action: &'static str, key: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("credential {key}"), detail }
}

/// A sealed secret as the store takes it.
fn stored(sealed: Sealed) -> StoredSecret {
    let Sealed { key_id, wrapped_key, ciphertext } = sealed;
    StoredSecret { key_id, wrapped_key, ciphertext }
}

fn shown(credential: &credentials::Credential) -> Credential {
    Credential {
        key: credential.key.clone(),
        kind: credential.scheme.kind(),
        fields: credential.scheme.fields(),
        hosts: credential.allowed_hosts.iter().map(ToString::to_string).collect(),
        version: credential.version,
        encryption_key: credential.key_id.clone(),
        created_at: credential.created_at,
        rotated_at: credential.rotated_at,
        used_at: credential.used_at,
    }
}
