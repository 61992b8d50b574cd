//! `automation tenant`: tenants, and which users of the broker may publish for them.

mod broker_user;
pub(super) mod grant;
pub(super) mod password;
mod quota;

use crate::exit;
use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs};
use automation_domain::id::TenantId;
use automation_service_kit::ids;
use automation_store::access::tenants::{self, Grant, Tenant};
use automation_store::audit::{self, Deed};
use automation_store::{Db, DbRole, Scope};
use clap::Subcommand;
use serde_json::{Value, json};

/// What to do with tenants.
#[derive(Subcommand, Debug)]
pub enum TenantCommand {
    /// Create a tenant
    Create {
        /// Its key, which events carry: lower-case letters, digits and hyphens, at most 63
        key: String,
        /// For people; the key if it is left out
        #[arg(long)]
        name: Option<String>,
        /// Succeed when the key is taken
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Let a user of the broker publish for a tenant, in place of what it was let before
    Grant(Box<grant::GrantArgs>),
    /// Take a user's grant for a tenant, and the user that --create-user made once it has no grant left
    Revoke(Box<grant::RevokeArgs>),
    /// List who may publish which events for whom
    Grants {
        /// Only of the tenant with this key
        key: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List what a tenant keeps of each table, and what it may keep
    Usage(quota::UsageArgs),
    /// Let a tenant keep more, or less, of a table
    Quota(quota::QuotaArgs),
    /// List tenants and their grants
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Runs the command.
pub async fn run(command: TenantCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        TenantCommand::Create { key, name, if_not_exists, audit, database } => {
            if !is_key(&key) {
                return Err(exit::usage(
                    format!("\"{key}\" is not a tenant's key"),
                    "use lower-case letters, digits and hyphens, at most 63",
                ));
            }
            let auditor = audit.auditor()?;
            let db = database.db(DbRole::Operator)?;
            let name = name.unwrap_or_else(|| key.clone());
            let id = TenantId(ids::new_id());
            let made = db
                .tx(Scope::Tenant(id), async |connection| {
                    let made = tenants::create(connection, id, &key, &name).await?;
                    if made.is_some() {
                        let (subject, detail) = (format!("tenant {key}"), json!({ "id": id, "name": name }));
                        let deed = Deed { action: "tenant.create", subject, detail };
                        audit::append(connection, id, &auditor, &[deed]).await?;
                    }
                    Ok::<_, automation_store::Error>(made)
                })
                .await?;
            if made.is_none() && !if_not_exists {
                return Err(exit::wrong(
                    format!("the key \"{key}\" is taken"),
                    "choose another, or add --if-not-exists",
                ));
            }
            output.one(&json!({ "key": key, "created": made.is_some() }), || match made {
                Some(_) => format!("created tenant {key}"),
                None => format!("tenant {key} exists"),
            });
            Ok(())
        }
        TenantCommand::Grant(args) => grant::grant(*args, output).await,
        TenantCommand::Revoke(args) => grant::revoke(*args, output).await,
        TenantCommand::Grants { key, database } => grant::list(key.as_deref(), &database, output).await,
        TenantCommand::Usage(args) => quota::usage(args, output).await,
        TenantCommand::Quota(args) => quota::set(args, output).await,
        TenantCommand::List { database } => {
            let db = database.db(DbRole::Operator)?;
            let (all, grants) = db
                .tx(Scope::Unscoped, async |connection| {
                    Ok::<_, automation_store::Error>((
                        tenants::list(connection).await?,
                        tenants::grants(connection).await?,
                    ))
                })
                .await?;
            let rows = all
                .into_iter()
                .map(|tenant| {
                    let of_tenant = grants.iter().filter(|grant| grant.tenant_id == tenant.tenant_id);
                    let grants: Vec<Value> = match output.is_json() {
                        true => of_tenant
                            .map(granted)
                            .collect(),
                        false => of_tenant
                            .map(|grant| in_words(grant).into())
                            .collect(),
                    };
                    json!({ "key": tenant.key, "name": tenant.name, "id": tenant.tenant_id, "grants": grants })
                })
                .collect();
            output.list(&["key", "name", "grants"], rows, None);
            Ok(())
        }
    }
}

fn granted(grant: &Grant) -> Value {
    json!({
        "user": grant.amqp_user, "types": grant.event_types, "expires_at": grant.expires_at.map(time),
    })
}

fn in_words(grant: &Grant) -> String {
    let until = grant.expires_at.map(|at| format!(" until {}", time(at))).unwrap_or_default();
    format!("{}: {}{until}", grant.amqp_user, grant.event_types.join(" "))
}

async fn find(db: &Db, key: &str) -> anyhow::Result<Tenant> {
    let keys = [key.to_owned()];
    let found = db.tx(Scope::Unscoped, async |connection| tenants::by_keys(connection, &keys).await).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| exit::not_found(format!("there is no tenant \"{key}\""), "automation tenant list"))
}

fn is_key(key: &str) -> bool {
    (1..=63).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
