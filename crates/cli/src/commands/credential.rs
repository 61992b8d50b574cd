//! `automation credential`: set and rotate what authorizes requests; a secret goes in and never comes out.

pub(super) mod secret;

use crate::exit;
use crate::output::{Output, note, to_json};
use crate::session::{AuditArgs, DatabaseArgs, TenantArgs};
use automation_operations::credentials::{self, Setting};
use automation_operations::{self as operations, Rekeyed};
use automation_service_kit::config::EncryptionConfig;
use clap::{Args, Subcommand};
use secret::SecretArgs;
use serde_json::{Value, json};

/// What to do with credentials.
#[derive(Subcommand, Debug)]
pub enum CredentialCommand {
    /// Make a credential, or replace all of it; the secret is read from standard input or a file
    ///
    /// Whatever is changed, the secret is asked for again: it is encrypted together with where and how it is sent.
    Set(Box<SetArgs>),
    /// List a tenant's credentials, without their secrets
    List {
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Show everything of a credential but its secret
    Show {
        /// Its key
        key: String,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Replace the secret alone; requests use the new one from their next try
    Rotate {
        /// Its key
        key: String,
        #[command(flatten)]
        secret: SecretArgs,
        #[command(flatten)]
        keys: KeysArgs,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Delete a credential; requests that name it fail
    Delete {
        /// Its key
        key: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Wrap the data keys of all tenants' secrets with the active encryption key, and bind what older versions sealed
    ///
    /// Repeat it after an interruption; what is done stays done. Needs a login that may act as automation_worker.
    Rekey {
        #[command(flatten)]
        keys: KeysArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Arguments of `automation credential set`.
#[derive(Args, Debug)]
pub struct SetArgs {
    /// What workflows name it by: lower-case letters, digits, - and _, at most 64
    key: String,
    /// How the secret is put on a request: bearer, basic, header, query or hmac
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// The user's name, for basic
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Name of the header or of the URL's parameter, for header and query
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it may be sent, such as api.example.com, *.example.com:8443 or http://10.0.0.7:8080; may be repeated
    #[arg(long = "host", value_name = "HOST:PORT", required = true)]
    hosts: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// The keys that secrets are encrypted with.
#[derive(Args, Debug)]
#[group(skip)] // The flattened configuration has a group of this name.
pub struct KeysArgs {
    #[command(flatten)]
    encryption: EncryptionConfig,
}

/// Runs the command.
pub async fn run(command: CredentialCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        CredentialCommand::Set(args) => set(*args, output).await,
        CredentialCommand::List { tenant } => {
            let all = credentials::list(&tenant.open().await?).await?;
            output.page(&["key", "kind", "hosts", "version", "rotated_at", "used_at"], &all);
            Ok(())
        }
        CredentialCommand::Show { key, tenant } => {
            let credential = credentials::show(&tenant.open().await?, &key).await?;
            output.one(&credential, || text(&to_json(&credential)));
            Ok(())
        }
        CredentialCommand::Rotate { key, secret, keys, audit, tenant } => {
            let (ring, auditor) = (keys.ring()?, audit.auditor()?);
            let session = tenant.open().await?;
            // Nobody is asked for the secret of a credential that is not there.
            credentials::show(&session, &key).await?;
            let secret = secret.read()?;
            let rotated = credentials::rotate(&session, &auditor, &ring, &key, &secret).await?;
            output.one(&rotated, || {
                format!("the secret of credential {key} is replaced, version {}", rotated.version)
            });
            Ok(())
        }
        CredentialCommand::Delete { key, audit, tenant } => {
            let auditor = audit.auditor()?;
            let deleted = credentials::delete(&tenant.open().await?, &auditor, &key).await?;
            output.one(&deleted, || format!("deleted credential {key}"));
            Ok(())
        }
        CredentialCommand::Rekey { keys, database } => {
            let ring = keys.ring()?;
            show_rekeyed(&credentials::rekey(&database.worker()?, &ring).await?, output)
        }
    }
}

async fn set(args: SetArgs, output: &Output) -> anyhow::Result<()> {
    let SetArgs { key, kind, username, name, hosts, secret, keys, audit, tenant } = args;
    let fields = json!({ "username": username, "name": name });
    let setting = Setting::new(key, &kind, &fields, &hosts).map_err(operations::Error::from)?;
    let (ring, auditor) = (keys.ring()?, audit.auditor()?);
    let session = tenant.open().await?;
    let secret = secret.read()?;
    let set = credentials::set(&session, &auditor, &ring, &setting, &secret).await?;
    output.one(&set, || {
        format!("credential {} is set, version {}, for {}", set.key, set.version, set.hosts.join(", "))
    });
    Ok(())
}

/// Says what came of wrapping secrets anew.
///
/// # Errors
///
/// When some could not be opened.
pub(super) fn show_rekeyed(rekeyed: &Rekeyed, output: &Output) -> anyhow::Result<()> {
    for (place, why) in &rekeyed.problems {
        note(format!("{place}: {why}"));
    }
    let Rekeyed { active, rewrapped, unreadable, .. } = rekeyed;
    output.one(rekeyed, || format!("{rewrapped} secrets are wrapped with the key \"{active}\" now"));
    match unreadable {
        0 => Ok(()),
        _ => Err(exit::wrong(
            format!("{unreadable} secrets could not be opened"),
            "give the keys that wrapped them too, or set them again",
        )),
    }
}

fn text(value: &Value) -> Vec<String> {
    let line = |(name, value): (&String, &Value)| match value {
        Value::Null => format!("{name}: never"),
        Value::String(text) => format!("{name}: {text}"),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            format!("{name}: {value}")
        }
    };
    value.as_object().map(|members| members.iter().map(line).collect()).unwrap_or_default()
}
