//! `automation apikey`: keys by which publishers send events over HTTP. A key is shown once, when it is made.

use crate::commands::tenant::grant::check_patterns;
use crate::commands::tenant::password::PasswordFile;
use crate::exit;
use crate::expiry::{self, Expiry};
use crate::output::{Output, time};
use crate::session::{AuditArgs, TenantArgs};
use automation_domain::api_key::ApiKey;
use automation_domain::grant::is_name;
use automation_domain::id::ApiKeyId;
use automation_service_kit::config::rule;
use automation_service_kit::random::random_bytes;
use automation_service_kit::{clock, ids};
use automation_store::access::api_keys::{self, NewApiKey, StoredApiKey};
use automation_store::audit::{self, Auditor, Deed};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to do with API keys.
#[derive(Subcommand, Debug)]
pub enum ApikeyCommand {
    /// Make a key for a publisher, and show it once
    Create(Box<CreateArgs>),
    /// List a tenant's keys, without the keys themselves
    List {
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Give a key more time, or less, also when its time is over; the key stays the same
    Renew {
        /// Its name
        name: String,
        /// How long it is good from now on, or until when: 90d, 2027-01-31
        #[arg(long, value_name = "WHEN", value_parser = rule(Expiry::parse))]
        expires: Expiry,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Revoke a key; it works for some seconds more
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
}

/// Arguments of `automation apikey create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What people call it: lower-case letters, digits, - and _
    name: String,
    /// Event types it may publish, comma-separated, each exact or with a trailing `*`
    #[arg(long, value_delimiter = ',', required = true)]
    types: Vec<String>,
    /// How long it is good, or until when: 90d, 2027-01-31 [default: until it is revoked]
    #[arg(long, alias = "expires-in", value_name = "WHEN", value_parser = rule(Expiry::parse))]
    expires: Option<Expiry>,
    /// New file for the key [default: standard output, once]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub async fn run(command: ApikeyCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        ApikeyCommand::Create(args) => create(*args, output).await,
        ApikeyCommand::List { tenant } => {
            let session = tenant.open().await?;
            let keys = session
                .db
                .tx(session.scope(), async |connection| api_keys::list(connection, session.tenant).await)
                .await?;
            let columns = ["name", "prefix", "types", "state", "created_at", "expires_at", "last_used_at"];
            output.list(&columns, keys.iter().map(shown).collect(), None);
            Ok(())
        }
        ApikeyCommand::Renew { name, expires, audit, tenant } => {
            renew(&name, expires, &audit.auditor()?, &tenant, output).await
        }
        ApikeyCommand::Revoke { name, audit, tenant } => {
            let auditor = audit.auditor()?;
            let session = tenant.open().await?;
            let revoked = session
                .db
                .tx(session.scope(), async |connection| {
                    let revoked = api_keys::revoke(connection, session.tenant, &name).await?;
                    if revoked {
                        let deed = deed("api_key.revoke", &name, json!({}));
                        audit::append(connection, session.tenant, &auditor, &[deed]).await?;
                    }
                    Ok::<_, automation_store::Error>(revoked)
                })
                .await?;
            if !revoked {
                return Err(exit::not_found(format!("no key \"{name}\" is good"), "automation apikey list"));
            }
            output.one(&json!({ "name": name, "revoked": true }), || {
                format!("key {name} is revoked; processes believe it for 5 seconds more at most")
            });
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, output: &Output) -> anyhow::Result<()> {
    let CreateArgs { name, types, expires, key_file, audit, tenant } = args;
    if !is_name(&name) {
        return Err(exit::usage(
            format!("\"{name}\" is no name of a key"),
            "use lower-case letters, digits, - and _, at most 64, a letter or digit first",
        ));
    }
    check_patterns(&types)?;
    let auditor = audit.auditor()?;
    let session = tenant.open().await?;
    let expires_at = expiry::end(&session.db, session.scope(), expires).await?;
    let file = key_file.as_deref().map(PasswordFile::create).transpose()?;
    let key = ApiKey::from_random(&random_bytes()?);
    let new = NewApiKey {
        tenant_id: session.tenant,
        api_key_id: ApiKeyId(ids::new_id()),
        name: &name,
        prefix: key.shown(),
        hash: key.hash(),
        event_types: &types,
        expires_at,
    };
    let made = session
        .db
        .tx(session.scope(), async |connection| {
            let made = api_keys::create(connection, &new).await?;
            if made.is_some() {
                let detail =
                    json!({ "prefix": key.shown(), "types": types, "expires_at": expires_at.map(time) });
                let deed = deed("api_key.create", &name, detail);
                audit::append(connection, session.tenant, &auditor, &[deed]).await?;
            }
            Ok::<_, automation_store::Error>(made)
        })
        .await?;
    let Some(made) = made else {
        if let Some(file) = file {
            file.discard();
        }
        return Err(exit::wrong(
            format!("there is a key \"{name}\" already"),
            "choose another name, or automation apikey revoke",
        ));
    };
    let mut value = shown(&made);
    let place = match file {
        Some(file) => format!("it is in {}", file.write(key.expose())?),
        None => {
            value["key"] = key.expose().into();
            format!("shown this once: {}", key.expose())
        }
    };
    output.one(&value, || {
        format!("key {name} may publish {} for tenant {}; {place}", types.join(", "), session.key)
    });
    Ok(())
}

fn deed(action: &'static str, name: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("api_key {name}"), detail }
}

async fn renew(
    name: &str,
    expires: Expiry,
    auditor: &Auditor,
    tenant: &TenantArgs,
    output: &Output,
) -> anyhow::Result<()> {
    let session = tenant.open().await?;
    let expires_at = expiry::end(&session.db, session.scope(), Some(expires)).await?;
    let renewed = session
        .db
        .tx(session.scope(), async |connection| {
            let renewed = api_keys::renew(connection, session.tenant, name, expires_at).await?;
            if renewed.is_some() {
                let detail = json!({ "expires_at": expires_at.map(time) });
                let deed = deed("api_key.renew", name, detail);
                audit::append(connection, session.tenant, auditor, &[deed]).await?;
            }
            Ok::<_, automation_store::Error>(renewed)
        })
        .await?;
    let Some(key) = renewed else {
        return Err(exit::not_found(
            format!("there is no key \"{name}\" that is not revoked"),
            "automation apikey list",
        ));
    };
    output.one(&shown(&key), || {
        format!("key {name} is good until {}", key.expires_at.map(time).unwrap_or_default())
    });
    Ok(())
}

fn shown(key: &StoredApiKey) -> Value {
    let state = match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(at)) if at <= clock::wall_clock() => "expired",
        (None, _) => "good",
    };
    json!({
        "name": key.name, "id": key.api_key_id, "prefix": key.prefix, "types": key.event_types, "state": state,
        "created_at": time(key.created_at), "expires_at": key.expires_at.map(time),
        "revoked_at": key.revoked_at.map(time), "last_used_at": key.last_used_at.map(time),
    })
}
