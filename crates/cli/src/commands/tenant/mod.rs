//! `automation tenant`: tenants, and which users of the broker may publish for them.

mod grant;
pub(super) mod password;
mod quota;
mod retention;
mod set;

use crate::output::{Output, time};
use crate::session::{AuditArgs, DatabaseArgs};
use automation_operations::tenants::{self, Granted, NewTenant, Taken, Tenant};
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
    /// List for how many days a tenant keeps what
    Retention(retention::RetentionArgs),
    /// Keep a tenant's history for more days than others', or fewer
    Keep(retention::KeepArgs),
    /// Set the time zone of a tenant: the clock of contacts that have none of their own
    Set(set::SetArgs),
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
            let taken = if if_not_exists { Taken::Leave } else { Taken::Refuse };
            let new = NewTenant { key, name, taken };
            let auditor = audit.auditor()?;
            let made = tenants::create(&database.operator()?, &auditor, new).await?;
            output.one(&made, || match made.created {
                true => format!("created tenant {}", made.key),
                false => format!("tenant {} exists", made.key),
            });
            Ok(())
        }
        TenantCommand::Grant(args) => grant::grant(*args, output).await,
        TenantCommand::Revoke(args) => grant::revoke(*args, output).await,
        TenantCommand::Grants { key, database } => grant::list(key.as_deref(), &database, output).await,
        TenantCommand::Usage(args) => quota::usage(args, output).await,
        TenantCommand::Quota(args) => quota::set(args, output).await,
        TenantCommand::Retention(args) => retention::show(args, output).await,
        TenantCommand::Keep(args) => retention::set(args, output).await,
        TenantCommand::Set(args) => set::run(args, output).await,
        TenantCommand::List { database } => {
            let all = tenants::list(&database.operator()?).await?;
            let columns = ["key", "name", "timezone", "grants"];
            match output.is_json() {
                true => output.page(&columns, &all),
                false => output.page(&columns, &all.map(in_words)),
            }
            Ok(())
        }
    }
}

/// A tenant as a row of a table.
fn in_words(tenant: Tenant) -> Value {
    let grant = |grant: &Granted| {
        let until = grant.expires_at.map(|at| format!(" until {}", time(at))).unwrap_or_default();
        format!("{}: {}{until}", grant.user, grant.types.join(" "))
    };
    let grants: Vec<String> = tenant.grants.iter().map(grant).collect();
    json!({ "key": tenant.key, "name": tenant.name, "timezone": tenant.timezone, "grants": grants })
}
