//! `automation hook`: addresses that other systems call; each call becomes an event `webhook.received`.

mod keys;

use crate::commands::credential::secret::SecretArgs as Given;
use crate::commands::credential::show_rekeyed;
use crate::exit;
use crate::output::Output;
use crate::session::{AuditArgs, DatabaseArgs, TenantArgs};
use automation_domain::duration;
use automation_domain::hook::Verification;
use automation_operations::hooks::{self, Hook, Keyed, NewHook};
use automation_vault::Zeroizing;
use clap::{Args, Subcommand};
use keys::KeysArgs;
use std::path::PathBuf;

/// What to do with webhooks.
#[derive(Subcommand, Debug)]
pub enum HookCommand {
    /// Make a webhook, and show its secret once
    Create(Box<CreateArgs>),
    /// List a tenant's webhooks, without their secrets
    List {
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Give a webhook another secret; those it had are good for a while more
    Rotate(Box<RotateArgs>),
    /// Delete a webhook; calls of it are refused at once
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        tenant: TenantArgs,
    },
    /// Wrap every secret of a webhook with the active key of the door, so that a former one can be taken away
    ///
    /// The login has to be, or be a member of, automation_worker: only workers may read data keys.
    Rekey {
        #[command(flatten)]
        keys: KeysArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Arguments of `automation hook create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What people call it: lower-case letters, digits, - and _
    name: String,
    /// How a caller proves who it is: standard (a signature, as Standard Webhooks says) or token
    #[arg(long, value_name = "HOW", default_value = "standard")]
    verification: Verification,
    /// A request header that becomes part of the event, beside content-type and user-agent; may be repeated
    #[arg(long = "header", value_name = "NAME")]
    headers: Vec<String>,
    /// With --verification token: the header in which the caller says which delivery it is
    #[arg(long, value_name = "NAME")]
    id_header: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Arguments of `automation hook rotate`.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// Its name
    name: String,
    /// How long the secrets it had are good for: 1h, 7d; 0s ends them at once
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    overlap: String,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    audit: AuditArgs,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Where the secret comes from.
#[derive(Args, Debug)]
pub struct SecretArgs {
    /// File that holds the secret, when the other system gave you one [default: a new secret, shown once]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    fn read(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        self.secret_file.clone().map(|file| Given::of_file(file).read()).transpose()
    }
}

/// Runs the command.
pub async fn run(command: HookCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        HookCommand::Create(args) => create(*args, output).await,
        HookCommand::List { tenant } => {
            let all = hooks::list(&tenant.open().await?).await?;
            output.page(&["name", "path", "verification", "headers", "secrets", "last_used_at"], &all);
            Ok(())
        }
        HookCommand::Rotate(args) => rotate(*args, output).await,
        HookCommand::Rekey { keys, database } => {
            let ring = keys.ring()?;
            show_rekeyed(&hooks::rekey(&database.worker()?, &ring).await?, output)
        }
        HookCommand::Delete { name, audit, tenant } => {
            let auditor = audit.auditor()?;
            let deleted = hooks::delete(&tenant.open().await?, &auditor, &name).await?;
            output.one(&deleted, || format!("webhook {name} is deleted"));
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, output: &Output) -> anyhow::Result<()> {
    let CreateArgs { name, verification, headers, id_header, secret, keys, audit, tenant } = args;
    let (ring, auditor) = (keys.ring()?, audit.auditor()?);
    let session = tenant.open().await?;
    let new = NewHook { name, verification, headers, id_header };
    let made = hooks::create(&session, &auditor, &ring, new, secret.read()?).await?;
    output.one(&made, || {
        let Hook { name, path, .. } = &made.hook;
        vec![format!("webhook {name} of tenant {}: POST {path}", session.key), said(&made)]
    });
    Ok(())
}

async fn rotate(args: RotateArgs, output: &Output) -> anyhow::Result<()> {
    let RotateArgs { name, overlap, secret, keys, audit, tenant } = args;
    let good_for = duration::parse(&overlap)
        .ok_or_else(|| exit::usage(format!("\"{overlap}\" is no duration"), "write 24h, 7d or 0s"))?;
    let (ring, auditor) = (keys.ring()?, audit.auditor()?);
    let session = tenant.open().await?;
    let made = hooks::rotate(&session, &auditor, &ring, &name, good_for, secret.read()?).await?;
    output.one(&made, || {
        vec![
            format!("webhook {name} has another secret; those it had are good for {overlap} more"),
            said(&made),
        ]
    });
    Ok(())
}

fn said(made: &Keyed) -> String {
    match &made.secret {
        Some(secret) => format!("its secret, shown this once: {}", secret.expose()),
        None => "its secret is the one that was given".to_owned(),
    }
}
