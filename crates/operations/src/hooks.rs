//! Addresses that other systems call; each call becomes an event `webhook.received`.

mod rekey;
mod secret;

pub use rekey::rekey;

use crate::shown_once::random;
use crate::{Auditor, Error, Page, Refusal, Session, ShownOnce};
use automation_domain::grant::is_name;
use automation_domain::hook::{DEFAULT_HEADERS, HookId, Verification, allowed_headers};
use automation_store::access::hooks;
use automation_store::audit::Deed;
use automation_vault::{KeyRing, Zeroizing};
use chrono::{DateTime, TimeDelta, Utc};
use secret::Secret;
use serde::Serialize;
use serde_json::{Value, json};

/// A webhook to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewHook {
    /// What people call it: lower-case letters, digits, `-` and `_`, at most 64, a letter or digit first.
    pub name: String,
    /// How a caller proves who it is.
    pub verification: Verification,
    /// Request headers that become part of the event, beside `content-type` and `user-agent`.
    pub headers: Vec<String>,
    /// The header in which the caller says which delivery it is; with [`Verification::Token`] alone.
    pub id_header: Option<String>,
}

/// A webhook without its secrets.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// What people call it.
    pub name: String,
    /// Its id.
    pub hook_id: String,
    /// Where the door takes its calls.
    pub path: String,
    /// How a caller proves who it is: `standard` or `token`.
    pub verification: &'static str,
    /// Request headers that become part of the event.
    pub headers: Vec<String>,
    /// The header in which the caller says which delivery it is.
    pub id_header: Option<String>,
}

/// A webhook in a list.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Everything that stays.
    #[serde(flatten)]
    pub hook: Hook,
    /// How many secrets are good.
    pub secrets: i64,
    /// When it was made.
    #[serde(serialize_with = "crate::time::one")]
    pub created_at: DateTime<Utc>,
    /// When it was last called.
    #[serde(serialize_with = "crate::time::maybe")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A webhook that has a secret which it had not before.
#[derive(Serialize, Clone, Debug)]
pub struct Keyed {
    /// Everything that stays.
    #[serde(flatten)]
    pub hook: Hook,
    /// The secret, when it was made here; one that was given is known to whoever gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<ShownOnce>,
}

/// A webhook that was deleted.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// Its name.
    pub name: String,
    /// That it was.
    pub deleted: bool,
}

/// Makes a webhook, with the secret that the other system gave, or a new one.
///
/// # Errors
///
/// [`Refusal::HookName`], [`Refusal::HookHeader`], [`Refusal::SignedHasIdHeader`], [`Refusal::NoSecret`], [`Refusal::Secret`],
/// [`Refusal::HookExists`]; [`Error::Store`], [`Error::Vault`].
pub async fn create(
    session: &Session,
    auditor: &Auditor,
    ring: &KeyRing,
    new: NewHook,
    given: Option<Zeroizing<String>>,
) -> Result<Keyed, Error> {
    let hook = checked(new)?;
    let secret = Secret::take(given, hook.verification)?;
    let (secret_id, sealed) = secret.seal(ring, session.tenant, &hook)?;
    let made = session
        .change(auditor, async |connection| {
            let made = hooks::create(connection, session.tenant, &hook, secret_id, &sealed).await?;
            let detail = json!({ "verification": hook.verification.as_str(), "headers": hook.headers });
            Ok((made, made.then(|| deed("hook.create", &hook.name, detail))))
        })
        .await?;
    match made {
        true => Ok(Keyed { hook: shown(hook), secret: secret.made() }),
        false => Err(Refusal::HookExists(hook.name).into()),
    }
}

/// Gives a webhook another secret; those it had are good for `overlap` more.
///
/// # Errors
///
/// [`Refusal::NoHook`], [`Refusal::HookTampered`], [`Refusal::NoSecret`], [`Refusal::Secret`]; [`Error::Store`],
/// [`Error::Vault`].
pub async fn rotate(
    session: &Session,
    auditor: &Auditor,
    ring: &KeyRing,
    name: &str,
    overlap: TimeDelta,
    given: Option<Zeroizing<String>>,
) -> Result<Keyed, Error> {
    let tenant = session.tenant;
    let found = session
        .read(async |connection| {
            let Some(hook) = hooks::by_name(connection, tenant, name).await? else { return Ok(None) };
            let keys = hooks::wrapped_keys(connection, tenant, &hook.hook_id).await?;
            Ok(Some((hook, keys)))
        })
        .await?;
    let (hook, keys) = found.ok_or_else(|| Refusal::NoHook(name.to_owned()))?;
    secret::check(ring, tenant, &hook, &keys)?;
    let secret = Secret::take(given, hook.verification)?;
    let (secret_id, sealed) = secret.seal(ring, tenant, &hook)?;
    let seconds = overlap.num_seconds();
    session
        .change(auditor, async |connection| {
            hooks::rotate(connection, tenant, &hook.hook_id, secret_id, &sealed, seconds).await?;
            Ok(((), Some(deed("hook.rotate", name, json!({ "overlap_seconds": seconds })))))
        })
        .await?;
    Ok(Keyed { hook: shown(hook), secret: secret.made() })
}

/// Deletes a webhook; calls of it are refused at once.
///
/// # Errors
///
/// [`Refusal::NoHook`]; [`Error::Store`].
pub async fn delete(session: &Session, auditor: &Auditor, name: &str) -> Result<Deleted, Error> {
    let deleted = session
        .change(auditor, async |connection| {
            let deleted = hooks::delete(connection, session.tenant, name).await?;
            Ok((deleted, deleted.then(|| deed("hook.delete", name, json!({})))))
        })
        .await?;
    let name = name.to_owned();
    if deleted { Ok(Deleted { name, deleted }) } else { Err(Refusal::NoHook(name).into()) }
}

/// All webhooks of the tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(session: &Session) -> Result<Page<Listed>, Error> {
    let all = session.read(async |connection| hooks::list(connection, session.tenant).await).await?;
    let listed = |listed: hooks::ListedHook| Listed {
        hook: shown(listed.hook),
        secrets: listed.secrets,
        created_at: listed.created_at,
        last_used_at: listed.last_used_at,
    };
    Ok(Page::whole(all.into_iter().map(listed).collect()))
}

fn checked(new: NewHook) -> Result<hooks::Hook, Error> {
    let NewHook { name, verification, headers, id_header } = new;
    if !is_name(&name) {
        return Err(Refusal::HookName(name).into());
    }
    let names = DEFAULT_HEADERS.into_iter().chain(headers.iter().map(String::as_str));
    let headers = allowed_headers(names).map_err(Refusal::HookHeader)?;
    // By the same rule: what proves who calls does not become the id of an event.
    let id_header = allowed_headers(id_header.as_deref()).map_err(Refusal::HookHeader)?.pop();
    if id_header.is_some() && verification == Verification::Standard {
        return Err(Refusal::SignedHasIdHeader.into());
    }
    Ok(hooks::Hook { hook_id: HookId::from_random(&*random()?), name, verification, headers, id_header })
}

fn deed(action: &'static str, name: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("hook {name}"), detail }
}

fn shown(hook: hooks::Hook) -> Hook {
    Hook {
        path: format!("/v1/hooks/{}", hook.hook_id),
        hook_id: hook.hook_id.as_str().to_owned(),
        name: hook.name,
        verification: hook.verification.as_str(),
        headers: hook.headers,
        id_header: hook.id_header,
    }
}
