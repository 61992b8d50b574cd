//! `automation tenant grant|revoke|grants`: in the database, and, where asked for, on the broker.

use super::password::PasswordFile;
use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs};
use crate::vhost::VhostArgs;
use crate::{event_types, exit, expiry};
use automation_operations::Expiry;
use automation_operations::grants::{self, BrokerUsers, Given, NewGrant};
use automation_service_kit::config::{ManagementConfig, Secret, rule};
use clap::Args;
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
    #[arg(long, value_name = "WHEN", value_parser = rule(expiry::parse))]
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
        Ok(url.map(|url| BrokerUsers::new(url.expose(), &vhost)).transpose()?)
    }
}

/// Grants, and makes the user where asked for.
pub async fn grant(args: GrantArgs, output: &Output) -> anyhow::Result<()> {
    let auditor = args.audit.auditor()?;
    let operator = args.database.operator()?;
    let broker = match (args.create_user, args.broker.users()?) {
        (true, None) => {
            return Err(exit::usage(
                "the management API's address is not known, so no user can be made",
                "set AUTOMATION_AMQP_MANAGEMENT_URL to http://user:password@host:port of an administrator",
            ));
        }
        (true, broker) => broker,
        (false, _) => None,
    };
    let file = args.password_file.as_deref().map(PasswordFile::create).transpose()?;
    let new = NewGrant { tenant: args.key, user: args.user, types: args.types, expires: args.expires };
    let mut given = grants::give(&operator, &auditor, new, broker.as_ref()).await?;
    let Given { tenant, user, types, expires_at, .. } = &given;
    event_types::warn_of_nearly_known(types);
    let until = expires_at.map(|until| format!(", until {}", time(until))).unwrap_or_default();
    let mut lines = vec![format!("user {user} may publish {} for tenant {tenant}{until}", types.join(", "))];
    let in_file = file.and_then(|file| Some((file, given.password.take()?)));
    match (in_file, &given.password, given.created) {
        (Some((file, password)), _, _) => {
            let path = file.write(password.expose())?;
            lines.push(format!("made the user on the broker; its password is in {path}"));
        }
        (None, Some(password), _) => lines.push(format!(
            "made the user on the broker; its password, shown this once: {}",
            password.expose()
        )),
        (None, None, Some(_)) => lines.push(
            "the user on the broker has the permissions of its grants; its password is the old one"
                .to_owned(),
        ),
        (None, None, None) => {}
    }
    output.one(&given, || lines);
    Ok(())
}

/// Takes a grant; on the broker, takes the permissions that went with it, and at last the user.
pub async fn revoke(args: RevokeArgs, output: &Output) -> anyhow::Result<()> {
    let auditor = args.audit.auditor()?;
    let operator = args.database.operator()?;
    let broker = args.broker.users()?;
    let taken = grants::take(&operator, &auditor, &args.key, &args.user, broker.as_ref()).await?;
    output.one(&taken, || {
        format!(
            "user {} may publish nothing for tenant {}; the user on the broker {}",
            taken.user, taken.tenant, taken.broker
        )
    });
    Ok(())
}

/// Lists grants.
pub async fn list(key: Option<&str>, database: &DatabaseArgs, output: &Output) -> anyhow::Result<()> {
    let listed = grants::list(&database.operator()?, key).await?;
    output.page(&["tenant", "user", "types", "state", "granted_at", "expires_at"], &listed);
    Ok(())
}
