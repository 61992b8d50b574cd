//! `automation credential`: set and rotate what authorizes requests; a secret goes in and never comes out.

pub(super) mod rekey;
pub(super) mod secret;

use crate::exit;
use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs, Session, TenantArgs};
use automation_domain::credential::{AllowedHost, Scheme, Terms, is_key};
use automation_domain::id::CredentialId;
use automation_service_kit::config::EncryptionConfig;
use automation_service_kit::ids;
use automation_store::access::credentials::{self, Credential, Setting};
use automation_store::audit::{self, Auditor, Deed};
use automation_vault::{KeyRing, Place};
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
            let session = tenant.open().await?;
            let all = session
                .db
                .tx(session.scope(), async |connection| credentials::list(connection, session.tenant).await)
                .await?;
            let columns = ["key", "kind", "hosts", "version", "rotated_at", "used_at"];
            output.list(&columns, all.iter().map(shown).collect(), None);
            Ok(())
        }
        CredentialCommand::Show { key, tenant } => {
            let credential = find(&tenant.open().await?, &key).await?;
            let value = shown(&credential);
            output.one(&value, || text(&value));
            Ok(())
        }
        CredentialCommand::Rotate { key, secret, keys, audit, tenant } => {
            let (ring, auditor) = (keys.ring()?, audit.auditor()?);
            rotate(&key, &secret, &ring, &auditor, &tenant.open().await?, output).await
        }
        CredentialCommand::Delete { key, audit, tenant } => {
            let auditor = audit.auditor()?;
            let session = tenant.open().await?;
            let deleted = session
                .db
                .tx(session.scope(), async |connection| {
                    let deleted = credentials::delete(connection, session.tenant, &key).await?;
                    if deleted {
                        let deed = deed("credential.delete", &key, json!({}));
                        audit::append(connection, session.tenant, &auditor, &[deed]).await?;
                    }
                    Ok::<_, automation_store::Error>(deleted)
                })
                .await?;
            if !deleted {
                return Err(missing(&key));
            }
            output.one(&json!({ "key": key, "deleted": true }), || format!("deleted credential {key}"));
            Ok(())
        }
        CredentialCommand::Rekey { keys, database } => rekey::run(&keys, &database, output).await,
    }
}

async fn set(args: SetArgs, output: &Output) -> anyhow::Result<()> {
    let SetArgs { key, kind, username, name, hosts, secret, keys, audit, tenant } = args;
    if !is_key(&key) {
        return Err(exit::usage(
            format!("\"{key}\" is not a credential's key"),
            "use lower-case letters, digits, - and _, at most 64",
        ));
    }
    let scheme = Scheme::from_parts(&kind, &json!({ "username": username, "name": name }))
        .map_err(|problem| exit::usage(problem, "automation credential set --help"))?;
    let allowed_hosts = hosts
        .iter()
        .map(|host| host.parse())
        .collect::<Result<Vec<AllowedHost>, String>>()
        .map_err(|problem| exit::usage(problem, "name hosts as host or host:port"))?;
    let (ring, auditor) = (keys.ring()?, audit.auditor()?);
    let session = tenant.open().await?;
    let plain = secret.read(&scheme)?;
    let fresh = CredentialId(ids::new_id());
    let version = session
        .db
        .tx(session.scope(), async |connection| {
            let known = credentials::lock(connection, session.tenant, &key).await?;
            let credential_id = known.unwrap_or(fresh);
            let terms = Terms::of_credential(&scheme, &allowed_hosts);
            let (tenant, field) = (session.tenant, credentials::SECRET_FIELD);
            let place = Place { tenant, credential: credential_id, field, terms };
            let secret = secret::stored(ring.seal(place, plain.as_bytes())?);
            let setting = Setting {
                tenant_id: session.tenant,
                credential_id,
                key: &key,
                scheme: &scheme,
                allowed_hosts: &allowed_hosts,
                secret: &secret,
            };
            let version = credentials::set(connection, &setting).await?;
            let hosts: Vec<String> = allowed_hosts.iter().map(ToString::to_string).collect();
            let detail = json!({
                "kind": scheme.kind(), "fields": scheme.fields(), "hosts": hosts, "version": version,
            });
            audit::append(connection, tenant, &auditor, &[deed("credential.set", &key, detail)]).await?;
            Ok::<_, anyhow::Error>(version)
        })
        .await?;
    let hosts: Vec<String> = allowed_hosts.iter().map(ToString::to_string).collect();
    let value = json!({ "key": key, "kind": scheme.kind(), "hosts": hosts, "version": version });
    output.one(&value, || format!("credential {key} is set, version {version}, for {}", hosts.join(", ")));
    Ok(())
}

async fn rotate(
    key: &str,
    secret: &SecretArgs,
    ring: &KeyRing,
    auditor: &Auditor,
    session: &Session,
    output: &Output,
) -> anyhow::Result<()> {
    let credential = find(session, key).await?;
    let plain = secret.read(&credential.scheme)?;
    let place = Place {
        tenant: session.tenant,
        credential: credential.credential_id,
        field: credentials::SECRET_FIELD,
        terms: credential.terms(),
    };
    // A secret is not sealed for hosts that nobody gave together with one.
    ring.check(place, &credential.key_id, &credential.wrapped_key).map_err(|error| {
        exit::wrong(
            format!("credential {key} is not as it was set: {error} [credential_tampered]"),
            "automation credential show says what stands there now; automation credential set makes it right",
        )
    })?;
    let sealed = secret::stored(ring.seal(place, plain.as_bytes())?);
    let version = session
        .db
        .tx(session.scope(), async |connection| {
            let tenant = session.tenant;
            let version = credentials::rotate(connection, tenant, credential.credential_id, &sealed).await?;
            if let Some(version) = version {
                let deed = deed("credential.rotate", key, json!({ "version": version }));
                audit::append(connection, tenant, auditor, &[deed]).await?;
            }
            Ok::<_, automation_store::Error>(version)
        })
        .await?
        .ok_or_else(|| missing(key))?;
    output.one(&json!({ "key": key, "version": version }), || {
        format!("the secret of credential {key} is replaced, version {version}")
    });
    Ok(())
}

async fn find(session: &Session, key: &str) -> anyhow::Result<Credential> {
    session
        .db
        .tx(session.scope(), async |connection| credentials::by_key(connection, session.tenant, key).await)
        .await?
        .ok_or_else(|| missing(key))
}

fn deed(action: &'static str, key: &str, detail: Value) -> Deed {
    Deed { action, subject: format!("credential {key}"), detail }
}

fn missing(key: &str) -> anyhow::Error {
    exit::not_found(format!("there is no credential \"{key}\""), "automation credential list")
}

fn shown(credential: &Credential) -> Value {
    let hosts: Vec<String> = credential.allowed_hosts.iter().map(ToString::to_string).collect();
    json!({
        "key": credential.key, "kind": credential.scheme.kind(), "fields": credential.scheme.fields(),
        "hosts": hosts, "version": credential.version, "encryption_key": credential.key_id,
        "created_at": time(credential.created_at), "rotated_at": credential.rotated_at.map(time),
        "used_at": credential.used_at.map(time),
    })
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
