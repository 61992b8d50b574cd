//! `automation apikey`: keys by which publishers send events over HTTP. A key is shown once, when it is made.

use crate::commands::tenant::password::PasswordFile;
use crate::event_types;
use crate::expiry;
use crate::output::{Output, time};
use crate::session::{AuditArgs, TenantArgs};
use automation_operations::Expiry;
use automation_operations::api_keys::{self, Key, NewKey};
use automation_service_kit::config::rule;
use clap::{Args, Subcommand};
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
        #[arg(long, value_name = "WHEN", value_parser = rule(expiry::parse))]
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
    #[arg(long, alias = "expires-in", value_name = "WHEN", value_parser = rule(expiry::parse))]
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
            let keys = api_keys::list(&tenant.open().await?).await?;
            let columns = ["name", "prefix", "types", "state", "created_at", "expires_at", "last_used_at"];
            output.page(&columns, &keys);
            Ok(())
        }
        ApikeyCommand::Renew { name, expires, audit, tenant } => {
            let auditor = audit.auditor()?;
            let key = api_keys::renew(&tenant.open().await?, &auditor, &name, expires).await?;
            output.one(&key, || {
                format!("key {name} is good until {}", key.expires_at.map(time).unwrap_or_default())
            });
            Ok(())
        }
        ApikeyCommand::Revoke { name, audit, tenant } => {
            let auditor = audit.auditor()?;
            let revoked = api_keys::revoke(&tenant.open().await?, &auditor, &name).await?;
            output.one(&revoked, || {
                format!("key {name} is revoked; processes believe it for 5 seconds more at most")
            });
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, output: &Output) -> anyhow::Result<()> {
    let CreateArgs { name, types, expires, key_file, audit, tenant } = args;
    let auditor = audit.auditor()?;
    let session = tenant.open().await?;
    let file = key_file.as_deref().map(PasswordFile::create).transpose()?;
    let mut made = api_keys::create(&session, &auditor, NewKey { name, types, expires }).await?;
    let in_file = file.and_then(|file| Some((file, made.key.take()?)));
    let place = match (in_file, &made.key) {
        (Some((file, key)), _) => format!("it is in {}", file.write(key.expose())?),
        (None, Some(key)) => format!("shown this once: {}", key.expose()),
        (None, None) => String::new(),
    };
    let Key { name, types, .. } = &made.shown;
    event_types::warn_of_nearly_known(types);
    output.one(&made, || {
        format!("key {name} may publish {} for tenant {}; {place}", types.join(", "), session.key)
    });
    Ok(())
}
