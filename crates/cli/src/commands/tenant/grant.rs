//! `automation tenant grant|revoke|grants`: in the database, and, where asked for, on the broker.

use super::broker_user::{BrokerUsers, Made};
use super::find;
use super::password::PasswordFile;
use crate::exit;
use crate::expiry::{self, Expiry};
use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs};
use crate::vhost::VhostArgs;
use automation_domain::event::is_type_pattern;
use automation_domain::grant::is_engine_made;
use automation_service_kit::config::{ManagementConfig, Secret, rule};
use automation_store::access::tenants::{self, Grant};
use automation_store::audit::{self, Deed};
use automation_store::events::receipts;
use automation_store::{Db, DbRole, Scope};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `automation tenant grant`.
#[derive(Args, Debug)]
pub struct GrantArgs {
    /// The tenant's key
    key: String,
    /// The broker's user
    #[arg(long)]
    user: String,
    /// Event types, comma-separated, each exact or with a trailing `*`
    #[arg(long, value_delimiter = ',', required = true)]
    types: Vec<String>,
    /// How long it may, or until when: 90d, 2027-01-31 [default: until it is revoked]
    #[arg(long, value_name = "WHEN", value_parser = rule(Expiry::parse))]
    expires: Option<Expiry>,
    /// Make the user on the broker: it may write these types to automation.events, and do nothing else
    ///
    /// A user that an earlier --create-user made gets the permissions of all its grants. Needs an administrator's
    /// AUTOMATION_AMQP_MANAGEMENT_URL.
    #[arg(long)]
    create_user: bool,
    /// New file for the password of a user that is made [default: standard output, once]
    #[arg(long, value_name = "FILE", requires = "create_user")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Arguments of `automation tenant revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// The tenant's key
    key: String,
    /// The broker's user
    #[arg(long)]
    user: String,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// How to reach the broker's users.
#[derive(Args, Debug)]
pub struct BrokerArgs {
    #[command(flatten)]
    vhost: VhostArgs,
    /// Names the virtual host, and nothing else: the broker's users are made by the management API
    #[arg(long, env = "AMQP_URL", hide = true, hide_env_values = true)]
    #[arg(value_parser = |url: &str| Ok::<_, String>(Secret::new(url)))]
    amqp_url: Option<Secret>,
    #[command(flatten)]
    management: ManagementConfig,
}

impl BrokerArgs {
    fn users(&self) -> anyhow::Result<Option<BrokerUsers>> {
        let url = self.management.amqp_management_url.as_ref();
        let vhost = self.vhost.name(self.amqp_url.as_ref().map(Secret::expose));
        url.map(|url| BrokerUsers::new(url.expose(), &vhost)).transpose()
    }
}

/// Grants, and makes the user where asked for.
pub async fn grant(args: GrantArgs, output: &Output) -> anyhow::Result<()> {
    check(&args.user)?;
    check_patterns(&args.types)?;
    let auditor = args.audit.auditor()?;
    let db = args.database.db(DbRole::Operator)?;
    let tenant = find(&db, &args.key).await?;
    let broker = match (args.create_user, args.broker.users()?) {
        (true, None) => {
            return Err(exit::usage(
                "the management API's address is not known, so no user can be made",
                "set AUTOMATION_AMQP_MANAGEMENT_URL to http://user:password@host:port of an administrator",
            ));
        }
        (true, Some(broker)) => {
            broker.check_own_or_new(&args.user).await?;
            Some(broker)
        }
        (false, _) => None,
    };
    let file = args.password_file.as_deref().map(PasswordFile::create).transpose()?;
    let grant = Grant {
        tenant_id: tenant.tenant_id,
        amqp_user: args.user.clone(),
        event_types: args.types.clone(),
        expires_at: expiry::end(&db, Scope::Unscoped, args.expires).await?,
    };
    let until = grant.expires_at.map(time);
    db.tx(Scope::Tenant(tenant.tenant_id), async |connection| {
        tenants::grant(connection, &grant).await?;
        let detail = json!({ "types": args.types, "expires_at": until });
        let deed = deed("grant.give", &args.user, detail);
        audit::append(connection, tenant.tenant_id, &auditor, &[deed]).await
    })
    .await?;
    let made = match broker {
        None => None,
        Some(broker) => Some(broker.allow(&args.user, &types_of(&db, &args.user).await?).await?),
    };
    let mut value =
        json!({ "tenant": args.key, "user": args.user, "types": args.types, "expires_at": until });
    let mut text =
        format!("user {} may publish {} for tenant {}", args.user, args.types.join(", "), args.key);
    if let Some(until) = until {
        text.push_str(&format!(", until {until}"));
    }
    let mut lines = vec![text];
    match (made, file) {
        (Some(Made::New { password }), Some(file)) => {
            let path = file.write(password.as_str())?;
            value["created"] = true.into();
            lines.push(format!("made the user on the broker; its password is in {path}"));
        }
        (Some(Made::New { password }), None) => {
            value["created"] = true.into();
            value["password"] = password.as_str().into();
            lines.push(format!(
                "made the user on the broker; its password, shown this once: {}",
                password.as_str()
            ));
        }
        (Some(Made::Updated), file) => {
            value["created"] = false.into();
            lines.push(
                "the user on the broker has the permissions of its grants; its password is the old one"
                    .to_owned(),
            );
            if let Some(file) = file {
                file.discard();
            }
        }
        (None, _) => {}
    }
    output.one(&value, || lines);
    Ok(())
}

/// Takes a grant; on the broker, takes the permissions that went with it, and at last the user.
pub async fn revoke(args: RevokeArgs, output: &Output) -> anyhow::Result<()> {
    check(&args.user)?;
    let auditor = args.audit.auditor()?;
    let db = args.database.db(DbRole::Operator)?;
    let tenant = find(&db, &args.key).await?;
    let taken = db
        .tx(Scope::Tenant(tenant.tenant_id), async |connection| {
            let taken = tenants::revoke(connection, tenant.tenant_id, &args.user).await?;
            if taken {
                let deed = deed("grant.take", &args.user, json!({}));
                audit::append(connection, tenant.tenant_id, &auditor, &[deed]).await?;
            }
            Ok::<_, automation_store::Error>(taken)
        })
        .await?;
    let rest = types_of(&db, &args.user).await?;
    // Also when there was no grant: an earlier try may have ended between the database and the broker.
    let broker = match args.broker.users()? {
        Some(broker) => broker.narrow(&args.user, &rest).await?,
        None => "is not looked at: AUTOMATION_AMQP_MANAGEMENT_URL is not set",
    };
    if !taken {
        return Err(exit::not_found(
            format!("user {} has no grant for tenant {}", args.user, args.key),
            format!("automation tenant grants {}", args.key),
        ));
    }
    output.one(
        &json!({ "tenant": args.key, "user": args.user, "types_left": rest, "broker": broker }),
        || {
            format!(
                "user {} may publish nothing for tenant {}; the user on the broker {broker}",
                args.user, args.key
            )
        },
    );
    Ok(())
}

/// Lists grants.
pub async fn list(key: Option<&str>, database: &DatabaseArgs, output: &Output) -> anyhow::Result<()> {
    let db = database.db(DbRole::Operator)?;
    let only = match key {
        Some(key) => Some(find(&db, key).await?.tenant_id),
        None => None,
    };
    let (all, grants, now) = db
        .tx(Scope::Unscoped, async |connection| {
            Ok::<_, automation_store::Error>((
                tenants::list(connection).await?,
                tenants::dated_grants(connection).await?,
                receipts::now(connection).await?,
            ))
        })
        .await?;
    let keys: BTreeMap<_, _> = all.into_iter().map(|tenant| (tenant.tenant_id, tenant.key)).collect();
    let rows: Vec<Value> = grants
        .into_iter()
        .filter(|(grant, _)| only.is_none_or(|only| only == grant.tenant_id))
        .map(|(grant, at)| {
            json!({
                "tenant": keys.get(&grant.tenant_id), "user": grant.amqp_user, "types": grant.event_types,
                "state": if grant.is_over(now) { "expired" } else { "good" },
                "granted_at": time(at), "expires_at": grant.expires_at.map(time),
            })
        })
        .collect();
    output.list(&["tenant", "user", "types", "state", "granted_at", "expires_at"], rows, None);
    Ok(())
}

fn deed(action: &'static str, user: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("publisher {user}"), detail }
}

/// Every type that a user may send, for whichever tenant.
async fn types_of(db: &Db, user: &str) -> anyhow::Result<Vec<String>> {
    let grants = db.tx(Scope::Unscoped, async |connection| tenants::grants(connection).await).await?;
    let mut types: Vec<String> = grants
        .into_iter()
        .filter(|grant| grant.amqp_user == user)
        .flat_map(|grant| grant.event_types)
        .collect();
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

fn check(user: &str) -> anyhow::Result<()> {
    if user.is_empty() || user.len() > 255 || user.chars().any(char::is_control) {
        return Err(exit::usage(
            "a user of the broker has a name of 1 to 255 bytes",
            "give its name with --user",
        ));
    }
    if is_engine_made(user) {
        return Err(exit::usage(
            format!("{user} is an API key or a webhook, whose grant comes and goes with it"),
            "automation apikey, automation hook",
        ));
    }
    Ok(())
}

/// Refuses patterns that no event type could match.
pub fn check_patterns(patterns: &[String]) -> anyhow::Result<()> {
    match patterns.iter().find(|pattern| !is_type_pattern(pattern)) {
        None => Ok(()),
        Some(pattern) => Err(exit::usage(
            format!("no event has a type like \"{pattern}\""),
            "write types as form.submitted, all that begin alike as form.*, or * for every type",
        )),
    }
}
