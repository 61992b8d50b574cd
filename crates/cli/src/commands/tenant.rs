//! `automation tenant`: tenants and publisher grants.

use crate::exit;
use crate::output::Output;
use crate::session::DatabaseArgs;
use automation_domain::event::is_type_pattern;
use automation_domain::id::TenantId;
use automation_service_kit::ids;
use automation_store::tenants::{self, Grant};
use automation_store::{DbRole, Scope};
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
        database: DatabaseArgs,
    },
    /// Let a broker user publish for a tenant, in place of what it was let before
    Grant {
        /// The tenant's key
        key: String,
        /// The broker's user
        #[arg(long)]
        user: String,
        /// Event types, comma-separated, each exact or with a trailing `*`
        #[arg(long, value_delimiter = ',', required = true)]
        types: Vec<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// List tenants and their grants
    List {
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Runs the command.
pub async fn run(command: TenantCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        TenantCommand::Create { key, name, if_not_exists, database } => {
            if !is_key(&key) {
                return Err(exit::usage(
                    format!("\"{key}\" is not a tenant's key"),
                    "use lower-case letters, digits and hyphens, at most 63",
                ));
            }
            let db = database.db(DbRole::Operator)?;
            let name = name.unwrap_or_else(|| key.clone());
            let id = TenantId(ids::new_id());
            let made = db
                .tx(Scope::Unscoped, async |connection| tenants::create(connection, id, &key, &name).await)
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
        TenantCommand::Grant { key, user, types, database } => {
            if let Some(pattern) = types.iter().find(|pattern| !is_type_pattern(pattern)) {
                return Err(exit::usage(
                    format!("no event has a type like \"{pattern}\""),
                    "write types as form.submitted, all that begin alike as form.*, or * for every type",
                ));
            }
            let db = database.db(DbRole::Operator)?;
            let keys = [key.clone()];
            let granted = db
                .tx(Scope::Unscoped, async |connection| {
                    let Some(tenant) = tenants::by_keys(connection, &keys).await?.pop() else {
                        return Ok(false);
                    };
                    let grant = Grant {
                        tenant_id: tenant.tenant_id,
                        amqp_user: user.clone(),
                        event_types: types.clone(),
                    };
                    tenants::grant(connection, &grant).await?;
                    Ok::<_, automation_store::Error>(true)
                })
                .await?;
            if !granted {
                return Err(exit::not_found(
                    format!("there is no tenant \"{key}\""),
                    "automation tenant list",
                ));
            }
            output.one(&json!({ "tenant": key, "user": user, "types": types }), || {
                format!("user {user} may publish {} for tenant {key}", types.join(", "))
            });
            Ok(())
        }
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
                            .map(|grant| json!({ "user": grant.amqp_user, "types": grant.event_types }))
                            .collect(),
                        false => of_tenant
                            .map(|grant| format!("{}: {}", grant.amqp_user, grant.event_types.join(" ")).into())
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

fn is_key(key: &str) -> bool {
    (1..=63).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
