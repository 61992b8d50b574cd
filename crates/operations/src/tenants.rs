//! Tenants.

use crate::{Auditor, Error, Page, Refusal, Session, session, transaction};
use automation_domain::facts::{Tz, read_zone};
use automation_domain::id::TenantId;
use automation_service_kit::ids;
use automation_store::access::tenants;
use automation_store::audit::Deed;
use automation_store::role::Operator;
use automation_store::{Db, Scope};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

/// A tenant to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTenant {
    /// Its key, which events carry: lower-case letters, digits and hyphens, at most 63.
    pub key: String,
    /// For people; the key if it is left out.
    pub name: Option<String>,
    /// What to do when the key is taken.
    pub taken: Taken,
}

/// What to do when a key is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Refuse.
    Refuse,
    /// Leave what is there as it is.
    Leave,
}

/// The time zone of a session's tenant.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn zone(session: &Session) -> Result<Tz, Error> {
    session.read(async |connection| tenants::zone(connection, session.tenant).await).await
}

/// What came of making a tenant.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Its key.
    pub key: String,
    /// Whether it is new.
    pub created: bool,
}

/// A change of a tenant.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Its key.
    pub key: String,
    /// IANA name of its time zone: the clock of contacts that have none of their own.
    pub timezone: String,
}

/// A tenant, with who may publish for it.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Tenant {
    /// Its key.
    pub key: String,
    /// For people.
    pub name: String,
    /// IANA name of its time zone.
    pub timezone: String,
    /// Its id.
    pub id: TenantId,
    /// Who may publish for it.
    pub grants: Vec<Granted>,
}

/// What a publisher may send for a tenant.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The broker's user, or an API key or webhook.
    pub user: String,
    /// Types, each exact or with a trailing `*`.
    pub types: Vec<String>,
    /// When it ends.
    #[serde(serialize_with = "crate::time::maybe")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a tenant.
///
/// # Errors
///
/// [`Refusal::TenantKey`], [`Refusal::TenantExists`]; [`Error::Store`].
pub async fn create(operator: &Db<Operator>, auditor: &Auditor, new: NewTenant) -> Result<Created, Error> {
    let NewTenant { key, name, taken } = new;
    if !is_key(&key) {
        return Err(Refusal::TenantKey(key).into());
    }
    let name = name.unwrap_or_else(|| key.clone());
    let id = TenantId(ids::new_id());
    let created = transaction::change(operator, id, auditor, async |connection| {
        let created = tenants::create(connection, id, &key, &name).await?.is_some();
        let (subject, detail) = (format!("tenant {key}"), json!({ "id": id, "name": name }));
        Ok((created, created.then_some(Deed { action: "tenant.create", subject, detail })))
    })
    .await?;
    match (created, taken) {
        (false, Taken::Refuse) => Err(Refusal::TenantExists(key).into()),
        (true, _) | (false, Taken::Leave) => Ok(Created { key, created }),
    }
}

/// Sets a tenant's time zone. What waits for a time goes on at that time; what is decided from now on is decided by the new
/// clock.
///
/// # Errors
///
/// [`Refusal::TimeZone`], [`Refusal::NoTenant`]; [`Error::Store`].
pub async fn set(operator: &Db<Operator>, auditor: &Auditor, settings: Settings) -> Result<Settings, Error> {
    let Settings { key, timezone } = &settings;
    read_zone(timezone).map_err(Refusal::TimeZone)?;
    let before = session::find(operator, key).await?;
    transaction::change(operator, before.tenant_id, auditor, async |connection| {
        let is_new = tenants::set_zone(connection, before.tenant_id, timezone).await?;
        let detail = json!({ "timezone": timezone, "before": before.timezone });
        let deed = Deed { action: "tenant.set", subject: format!("tenant {key}"), detail };
        Ok(((), is_new.then_some(deed)))
    })
    .await?;
    Ok(settings)
}

/// All tenants, with their grants.
///
/// # Errors
///
/// [`Error::Store`].
pub async fn list(operator: &Db<Operator>) -> Result<Page<Tenant>, Error> {
    let (all, grants) = operator
        .read(Scope::Unscoped, async |connection| {
            let all = tenants::list(connection).await?;
            Ok::<_, automation_store::Error>((all, tenants::grants(connection).await?))
        })
        .await?;
    let tenant = |tenant: tenants::Tenant| Tenant {
        grants: grants.iter().filter(|grant| grant.tenant_id == tenant.tenant_id).map(granted).collect(),
        key: tenant.key,
        name: tenant.name,
        timezone: tenant.timezone,
        id: tenant.tenant_id,
    };
    Ok(Page::whole(all.into_iter().map(tenant).collect()))
}

fn granted(grant: &tenants::Grant) -> Granted {
    Granted { user: grant.amqp_user.clone(), types: grant.event_types.clone(), expires_at: grant.expires_at }
}

fn is_key(key: &str) -> bool {
    (1..=63).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
