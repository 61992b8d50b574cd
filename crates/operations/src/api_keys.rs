//! Keys by which publishers send events over HTTP. A key is shown once, when it is made.

use crate::grants::check_patterns;
use crate::shown_once::random;
use crate::{Auditor, Error, Expiry, Page, Refusal, Session, ShownOnce, expiry, time};
use automation_domain::api_key::ApiKey;
use automation_domain::grant::is_name;
use automation_domain::id::ApiKeyId;
use automation_service_kit::{clock, ids};
use automation_store::access::api_keys::{self, NewApiKey, StoredApiKey};
use automation_store::audit::Deed;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

/// A key to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// What people call it: lower-case letters, digits, `-` and `_`, at most 64, a letter or digit first.
    pub name: String,
    /// Types it may publish, each exact or with a trailing `*`.
    pub types: Vec<String>,
    /// When it ends; `None` for when it is revoked.
    pub expires: Option<Expiry>,
}

/// A key, without the key itself.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// What people call it.
    pub name: String,
    /// Its id.
    pub id: ApiKeyId,
    /// How it begins.
    pub prefix: String,
    /// Types it may publish.
    pub types: Vec<String>,
    /// `good`, `expired` or `revoked`.
    pub state: &'static str,
    /// When it was made.
    #[serde(serialize_with = "crate::time::one")]
    pub created_at: DateTime<Utc>,
    /// When it ends.
    #[serde(serialize_with = "crate::time::maybe")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    #[serde(serialize_with = "crate::time::maybe")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used.
    #[serde(serialize_with = "crate::time::maybe")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key that was made.
#[derive(Serialize, Clone, Debug)]
pub struct Created {
    /// Everything that stays.
    #[serde(flatten)]
    pub shown: Key,
    /// The key itself; left out once a caller took it to keep it elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<ShownOnce>,
}

/// A key that is revoked.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// Its name.
    pub name: String,
    /// That it is.
    pub revoked: bool,
}

/// Makes a key.
///
/// # Errors
///
/// [`Refusal::ApiKeyName`], [`Refusal::TypePattern`], [`Refusal::ExpiryIsOver`], [`Refusal::ApiKeyExists`]; [`Error::Store`].
pub async fn create(session: &Session, auditor: &Auditor, new: NewKey) -> Result<Created, Error> {
    let NewKey { name, types, expires } = new;
    if !is_name(&name) {
        return Err(Refusal::ApiKeyName(name).into());
    }
    check_patterns(&types)?;
    let key = ApiKey::from_random(&*random()?);
    let api_key_id = ApiKeyId(ids::new_id());
    let made = session
        .change(auditor, async |connection| {
            let expires_at = expiry::end(connection, expires).await?;
            let new = NewApiKey {
                tenant_id: session.tenant,
                api_key_id,
                name: &name,
                prefix: key.shown(),
                hash: key.hash(),
                event_types: &types,
                expires_at,
            };
            let made = api_keys::create(connection, &new).await?;
            let detail = json!({ "prefix": key.shown(), "types": types, "expires_at": expires_at.map(time) });
            let deed = made.is_some().then(|| deed("api_key.create", &name, detail));
            Ok((made, deed))
        })
        .await?;
    let Some(made) = made else { return Err(Refusal::ApiKeyExists(name).into()) };
    Ok(Created { shown: shown(made), key: Some(ShownOnce::new(key.expose().to_owned())) })
}

/// All keys of the tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session) -> Result<Page<Key>, Error> {
    let keys = session.read(async |connection| api_keys::list(connection, session.tenant).await).await?;
    Ok(Page::whole(keys.into_iter().map(shown).collect()))
}

/// Gives a key another end, also when its time is over; the key stays the same.
///
/// # Errors
///
/// [`Refusal::ExpiryIsOver`], [`Refusal::ApiKeyRevoked`] when there is none, or it is revoked; [`Error::Store`].
pub async fn renew(session: &Session, auditor: &Auditor, name: &str, expires: Expiry) -> Result<Key, Error> {
    let renewed = session
        .change(auditor, async |connection| {
            let expires_at = expiry::end(connection, Some(expires)).await?;
            let renewed = api_keys::renew(connection, session.tenant, name, expires_at).await?;
            let detail = json!({ "expires_at": expires_at.map(time) });
            let deed = renewed.is_some().then(|| deed("api_key.renew", name, detail));
            Ok((renewed, deed))
        })
        .await?;
    Ok(shown(renewed.ok_or_else(|| Refusal::ApiKeyRevoked(name.to_owned()))?))
}

/// Revokes a key; processes believe it for 5 seconds more at most.
///
/// # Errors
///
/// [`Refusal::NoGoodApiKey`]; [`Error::Store`].
pub async fn revoke(session: &Session, auditor: &Auditor, name: &str) -> Result<Revoked, Error> {
    let revoked = session
        .change(auditor, async |connection| {
            let revoked = api_keys::revoke(connection, session.tenant, name).await?;
            Ok((revoked, revoked.then(|| deed("api_key.revoke", name, json!({})))))
        })
        .await?;
    match revoked {
        true => Ok(Revoked { name: name.to_owned(), revoked }),
        false => Err(Refusal::NoGoodApiKey(name.to_owned()).into()),
    }
}

fn deed(action: &'static str, name: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("api_key {name}"), detail }
}

fn shown(key: StoredApiKey) -> Key {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if at <= clock::wall_clock() => "expired",
        (None, _) => "good",
    };
    Key {
        name: key.name,
        id: key.api_key_id,
        prefix: key.prefix,
        types: key.event_types,
        state,
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        last_used_at: key.last_used_at,
    }
}
