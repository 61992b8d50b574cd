//! Which users of the broker may publish what for whom: in the database, and, where asked for, on the broker.

mod broker_users;

pub use broker_users::BrokerUsers;

use crate::{Auditor, Error, Expiry, Page, Refusal, ShownOnce, expiry, session, time, transaction};
use automation_domain::event::is_type_pattern;
use automation_domain::grant::is_engine_made;
use automation_store::access::tenants::{self, Grant};
use automation_store::audit::Deed;
use automation_store::events::receipts;
use automation_store::role::Operator;
use automation_store::{Db, Scope};
use broker_users::Made;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A grant to be given, in place of what the user was let before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewGrant {
    /// The tenant's key.
    pub tenant: String,
    /// The broker's user.
    pub user: String,
    /// Types, each exact or with a trailing `*`.
    pub types: Vec<String>,
    /// When it ends; `None` for when it is revoked.
    pub expires: Option<Expiry>,
}

/// A grant that was given.
#[derive(Serialize, Clone, Debug)]
pub struct Given {
    /// The tenant's key.
    pub tenant: String,
    /// The broker's user.
    pub user: String,
    /// Types.
    pub types: Vec<String>,
    /// When it ends.
    #[serde(serialize_with = "crate::time::maybe")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the user on the broker is new; `None` when the broker was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// The password of a new user; left out once a caller took it to keep it elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<ShownOnce>,
}

/// A grant that was taken.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The tenant's key.
    pub tenant: String,
    /// The broker's user.
    pub user: String,
    /// What it may send for other tenants.
    pub types_left: Vec<String>,
    /// What became of the user on the broker, as the end of a sentence.
    pub broker: &'static str,
}

/// A grant that there is.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The tenant's key.
    pub tenant: Option<String>,
    /// The broker's user, or an API key or webhook.
    pub user: String,
    /// Types.
    pub types: Vec<String>,
    /// `good` or `expired`.
    pub state: &'static str,
    /// When it was given.
    #[serde(serialize_with = "crate::time::one")]
    pub granted_at: DateTime<Utc>,
    /// When it ends.
    #[serde(serialize_with = "crate::time::maybe")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Gives a grant; with `broker`, makes the user there, or gives one that was made here the permissions of all its grants.
///
/// # Errors
///
/// [`Refusal::PublisherName`], [`Refusal::EngineMadePublisher`], [`Refusal::TypePattern`], [`Refusal::NoTenant`],
/// [`Refusal::ForeignBrokerUser`], [`Refusal::ExpiryIsOver`]; [`Error::Store`], [`Error::Management`]: then the grant may
/// be there without the user, and giving it again makes up for that.
pub async fn give(
    operator: &Db<Operator>,
    auditor: &Auditor,
    new: NewGrant,
    broker: Option<&BrokerUsers>,
) -> Result<Given, Error> {
    let NewGrant { tenant, user, types, expires } = new;
    check_user(&user)?;
    check_patterns(&types)?;
    let tenant_id = session::find(operator, &tenant).await?.tenant_id;
    if let Some(broker) = broker {
        broker.check_own_or_new(&user).await?;
    }
    let expires_at = transaction::change(operator, tenant_id, auditor, async |connection| {
        let expires_at = expiry::end(connection, expires).await?;
        let (amqp_user, event_types) = (user.clone(), types.clone());
        tenants::grant(connection, &Grant { tenant_id, amqp_user, event_types, expires_at }).await?;
        let detail = json!({ "types": types, "expires_at": expires_at.map(time) });
        Ok((expires_at, Some(deed("grant.give", &user, detail))))
    })
    .await?;
    let (created, password) = match broker {
        None => (None, None),
        Some(broker) => match broker.allow(&user, &types_of(operator, &user).await?).await? {
            Made::New { password } => (Some(true), Some(password)),
            Made::Updated => (Some(false), None),
        },
    };
    Ok(Given { tenant, user, types, expires_at, created, password })
}

/// Takes a grant; on the broker, takes the permissions that went with it, and at last the user.
///
/// # Errors
///
/// [`Refusal::PublisherName`], [`Refusal::EngineMadePublisher`], [`Refusal::NoTenant`], [`Refusal::NoGrant`];
/// [`Error::Store`], [`Error::Management`]: then the grant is taken, and taking it again narrows the user.
pub async fn take(
    operator: &Db<Operator>,
    auditor: &Auditor,
    tenant: &str,
    user: &str,
    broker: Option<&BrokerUsers>,
) -> Result<Taken, Error> {
    check_user(user)?;
    let tenant_id = session::find(operator, tenant).await?.tenant_id;
    let taken = transaction::change(operator, tenant_id, auditor, async |connection| {
        let taken = tenants::revoke(connection, tenant_id, user).await?;
        Ok((taken, taken.then(|| deed("grant.take", user, json!({})))))
    })
    .await?;
    let types_left = types_of(operator, user).await?;
    // Also when there was no grant: an earlier try may have ended between the database and the broker.
    let broker = match broker {
        Some(broker) => broker.narrow(user, &types_left).await?,
        None => "is not looked at: AUTOMATION_AMQP_MANAGEMENT_URL is not set",
    };
    let (tenant, user) = (tenant.to_owned(), user.to_owned());
    if !taken {
        return Err(Refusal::NoGrant { user, tenant }.into());
    }
    Ok(Taken { tenant, user, types_left, broker })
}

/// Grants of all tenants, or of one.
///
/// # Errors
///
/// [`Refusal::NoTenant`]; [`Error::Store`].
pub async fn list(operator: &Db<Operator>, tenant: Option<&str>) -> Result<Page<Listed>, Error> {
    let only = match tenant {
        Some(key) => Some(session::find(operator, key).await?.tenant_id),
        None => None,
    };
    let (all, grants, now) = operator
        .read(Scope::Unscoped, async |connection| {
            let all = tenants::list(connection).await?;
            let grants = tenants::dated_grants(connection).await?;
            Ok::<_, automation_store::Error>((all, grants, receipts::now(connection).await?))
        })
        .await?;
    let keys: BTreeMap<_, _> = all.into_iter().map(|tenant| (tenant.tenant_id, tenant.key)).collect();
    let listed = |(grant, granted_at): (Grant, DateTime<Utc>)| Listed {
        tenant: keys.get(&grant.tenant_id).cloned(),
        state: if grant.is_over(now) { "expired" } else { "good" },
        user: grant.amqp_user,
        types: grant.event_types,
        granted_at,
        expires_at: grant.expires_at,
    };
    let chosen = grants.into_iter().filter(|(grant, _)| only.is_none_or(|only| only == grant.tenant_id));
    Ok(Page::whole(chosen.map(listed).collect()))
}

fn deed(action: &'static str, user: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("publisher {user}"), detail }
}

/// Every type that a user may send, for whichever tenant.
async fn types_of(operator: &Db<Operator>, user: &str) -> Result<Vec<String>, Error> {
    let grants = operator.read(Scope::Unscoped, async |connection| tenants::grants(connection).await).await?;
    let mut types: Vec<String> = grants
        .into_iter()
        .filter(|grant| grant.amqp_user == user)
        .flat_map(|grant| grant.event_types)
        .collect();
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

fn check_user(user: &str) -> Result<(), Refusal> {
    if user.is_empty() || user.len() > 255 || user.chars().any(char::is_control) {
        return Err(Refusal::PublisherName);
    }
    if is_engine_made(user) {
        return Err(Refusal::EngineMadePublisher(user.to_owned()));
    }
    Ok(())
}

/// Refuses patterns that no event type could match.
pub(crate) fn check_patterns(patterns: &[String]) -> Result<(), Refusal> {
    match patterns.iter().find(|pattern| !is_type_pattern(pattern)) {
        None => Ok(()),
        Some(pattern) => Err(Refusal::TypePattern(pattern.clone())),
    }
}
