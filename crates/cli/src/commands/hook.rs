//! `automation hook`: addresses that other systems call; each call becomes an event `webhook.received`.

mod keys;
mod rekey;
mod secret;

use crate::exit;
use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs, Session, TenantArgs};
use automation_domain::duration;
use automation_domain::grant::is_name;
use automation_domain::hook::{DEFAULT_HEADERS, HookId, Verification, allowed_headers};
use automation_service_kit::random::random_bytes;
use automation_store::access::hooks::{self, Hook, ListedHook};
use automation_store::audit::{self, Deed};
use clap::{Args, Subcommand};
use keys::KeysArgs;
use secret::{Secret, SecretArgs};
use serde_json::{Value, json};

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

/// Runs the command.
pub async fn run(command: HookCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        HookCommand::Create(args) => create(*args, output).await,
        HookCommand::List { tenant } => {
            let session = tenant.open().await?;
            let all = session
                .db
                .tx(session.scope(), async |connection| hooks::list(connection, session.tenant).await)
                .await?;
            let columns = ["name", "path", "verification", "headers", "secrets", "last_used_at"];
            output.list(&columns, all.iter().map(listed).collect(), None);
            Ok(())
        }
        HookCommand::Rotate(args) => rotate(*args, output).await,
        HookCommand::Rekey { keys, database } => rekey::run(&keys, &database, output).await,
        HookCommand::Delete { name, audit, tenant } => {
            let auditor = audit.auditor()?;
            let session = tenant.open().await?;
            let deleted = session
                .db
                .tx(session.scope(), async |connection| {
                    let deleted = hooks::delete(connection, session.tenant, &name).await?;
                    if deleted {
                        let deed = deed("hook.delete", &name, json!({}));
                        audit::append(connection, session.tenant, &auditor, &[deed]).await?;
                    }
                    Ok::<_, automation_store::Error>(deleted)
                })
                .await?;
            if !deleted {
                return Err(missing(&name));
            }
            output.one(&json!({ "name": name, "deleted": true }), || format!("webhook {name} is deleted"));
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, output: &Output) -> anyhow::Result<()> {
    let CreateArgs { name, verification, headers, id_header, secret, keys, audit, tenant } = args;
    if !is_name(&name) {
        return Err(exit::usage(
            format!("\"{name}\" is no name of a webhook"),
            "use lower-case letters, digits, - and _, at most 64, a letter or digit first",
        ));
    }
    let wrong_header = |problem| exit::usage(problem, "name headers as they are sent, without their values");
    let names = DEFAULT_HEADERS.into_iter().chain(headers.iter().map(String::as_str));
    let hook = Hook {
        hook_id: HookId::from_random(&random_bytes()?),
        name,
        verification,
        headers: allowed_headers(names).map_err(wrong_header)?,
        // By the same rule: what proves who calls does not become the id of an event.
        id_header: allowed_headers(id_header.as_deref()).map_err(wrong_header)?.pop(),
    };
    if hook.id_header.is_some() && verification == Verification::Standard {
        return Err(exit::usage(
            "a signed call says which delivery it is in webhook-id",
            "leave --id-header out, or choose --verification token",
        ));
    }
    let (ring, auditor) = (keys.ring()?, audit.auditor()?);
    let session = tenant.open().await?;
    let secret = secret.take(verification)?;
    let (secret_id, sealed) = secret.seal(&ring, session.tenant, &hook)?;
    let made = session
        .db
        .tx(session.scope(), async |connection| {
            let made = hooks::create(connection, session.tenant, &hook, secret_id, &sealed).await?;
            if made {
                let detail = json!({ "verification": verification.as_str(), "headers": hook.headers });
                let deed = deed("hook.create", &hook.name, detail);
                audit::append(connection, session.tenant, &auditor, &[deed]).await?;
            }
            Ok::<_, automation_store::Error>(made)
        })
        .await?;
    if !made {
        return Err(exit::wrong(
            format!("there is a webhook \"{}\" already", hook.name),
            "choose another name, or automation hook rotate",
        ));
    }
    let mut value = shown(&hook);
    show(&mut value, &secret);
    output.one(&value, || {
        vec![format!("webhook {} of tenant {}: POST {}", hook.name, session.key, path(&hook)), said(&secret)]
    });
    Ok(())
}

async fn rotate(args: RotateArgs, output: &Output) -> anyhow::Result<()> {
    let RotateArgs { name, overlap, secret, keys, audit, tenant } = args;
    let overlap_seconds = duration::parse(&overlap)
        .map(|overlap| overlap.num_seconds())
        .ok_or_else(|| exit::usage(format!("\"{overlap}\" is no duration"), "write 24h, 7d or 0s"))?;
    let (ring, auditor) = (keys.ring()?, audit.auditor()?);
    let session = tenant.open().await?;
    let hook = find(&session, &name).await?;
    let keys = session
        .db
        .tx(session.scope(), async |connection| {
            hooks::wrapped_keys(connection, session.tenant, &hook.hook_id).await
        })
        .await?;
    secret::check(&ring, session.tenant, &hook, &keys)?;
    let secret = secret.take(hook.verification)?;
    let (secret_id, sealed) = secret.seal(&ring, session.tenant, &hook)?;
    session
        .db
        .tx(session.scope(), async |connection| {
            let tenant = session.tenant;
            hooks::rotate(connection, tenant, &hook.hook_id, secret_id, &sealed, overlap_seconds).await?;
            let deed = deed("hook.rotate", &name, json!({ "overlap_seconds": overlap_seconds }));
            audit::append(connection, tenant, &auditor, &[deed]).await
        })
        .await?;
    let mut value = shown(&hook);
    show(&mut value, &secret);
    output.one(&value, || {
        vec![
            format!("webhook {name} has another secret; those it had are good for {overlap} more"),
            said(&secret),
        ]
    });
    Ok(())
}

async fn find(session: &Session, name: &str) -> anyhow::Result<Hook> {
    session
        .db
        .tx(session.scope(), async |connection| hooks::by_name(connection, session.tenant, name).await)
        .await?
        .ok_or_else(|| missing(name))
}

fn missing(name: &str) -> anyhow::Error {
    exit::not_found(format!("there is no webhook \"{name}\""), "automation hook list")
}

fn deed(action: &'static str, name: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("hook {name}"), detail }
}

fn path(hook: &Hook) -> String {
    format!("/v1/hooks/{}", hook.hook_id)
}

fn shown(hook: &Hook) -> Value {
    json!({
        "name": hook.name, "hook_id": hook.hook_id.as_str(), "path": path(hook),
        "verification": hook.verification.as_str(), "headers": hook.headers, "id_header": hook.id_header,
    })
}

fn listed(listed: &ListedHook) -> Value {
    let mut value = shown(&listed.hook);
    value["secrets"] = listed.secrets.into();
    value["created_at"] = time(listed.created_at).into();
    value["last_used_at"] = json!(listed.last_used_at.map(time));
    value
}

/// A secret that was made here is shown; one that was given is known to whoever gave it.
fn show(value: &mut Value, secret: &Secret) {
    if let Secret::Made(text) = secret {
        value["secret"] = text.as_str().into();
    }
}

fn said(secret: &Secret) -> String {
    match secret {
        Secret::Made(text) => format!("its secret, shown this once: {}", text.as_str()),
        Secret::Given(_) => "its secret is the one that was given".to_owned(),
    }
}
