//! What commands need to reach the engine's data: the database under the right role, and the tenant.

use crate::exit;
use automation_operations::{Auditor, Session};
use automation_service_kit::config::{AuditConfig, DatabaseConfig};
use automation_store::role::{Api, Operator, Role, Worker};
use automation_store::{Db, PoolSize};
use automation_vault::KeyRing;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::time::Duration;

/// How to reach the database.
#[derive(Args, Debug)]
#[group(skip)] // The flattened configuration has a group of this name.
pub struct DatabaseArgs {
    #[command(flatten)]
    database: DatabaseConfig,
}

/// How to reach one tenant's data.
#[derive(Args, Debug)]
pub struct TenantArgs {
    /// Key of the tenant
    #[arg(long, env = "AUTOMATION_TENANT", value_name = "KEY")]
    tenant: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What signs the audit log: for every command that changes something that a person answers for.
#[derive(Args, Debug)]
#[group(skip)] // The flattened configuration has a group of this name.
pub struct AuditArgs {
    #[command(flatten)]
    audit: AuditConfig,
}

/// A tenant's data for a command that can do without, when `cron` is given.
#[derive(Debug)]
pub struct OptionalTenant(pub Option<TenantArgs>);

/// The argument in whose presence no tenant is needed.
const INSTEAD: &str = "cron";

impl FromArgMatches for OptionalTenant {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        // What is missing here was not required.
        let has_url = matches.contains_id("database_url") || matches.contains_id("database_url_file");
        if !(has_url && matches.contains_id("tenant")) {
            return Ok(Self(None));
        }
        TenantArgs::from_arg_matches(matches).map(Some).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for OptionalTenant {
    fn augment_args(command: Command) -> Command {
        TenantArgs::augment_args(command)
            .mut_arg("tenant", |tenant| tenant.required(false).required_unless_present(INSTEAD))
            .mut_arg("database_url", |url| url.required_unless_present(INSTEAD))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The argument that such a command always has, so that it needs no server before it knows what is asked for.
const WHAT: &str = "workflow";

/// A tenant's data for a command that asks for it only sometimes.
#[derive(Debug)]
pub struct MaybeTenant(Option<TenantArgs>);

impl MaybeTenant {
    /// Looks the tenant up, for `what`.
    pub async fn open(&self, what: &str) -> anyhow::Result<Session> {
        let missing = || {
            let next = "set AUTOMATION_TENANT and DATABASE_URL, or name files instead";
            exit::usage(format!("{what} is kept on a server, and no tenant is named"), next)
        };
        self.0.as_ref().ok_or_else(missing)?.open().await
    }
}

impl FromArgMatches for MaybeTenant {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        OptionalTenant::from_arg_matches(matches).map(|OptionalTenant(tenant)| Self(tenant))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for MaybeTenant {
    fn augment_args(command: Command) -> Command {
        TenantArgs::augment_args(command)
            .mut_arg("tenant", |tenant| tenant.required(false))
            .mut_arg("database_url", |url| url.required_unless_present(WHAT))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl DatabaseArgs {
    /// The database, as operators see it: tenants, grants and parked events of all tenants.
    pub fn operator(&self) -> anyhow::Result<Db<Operator>> {
        self.db()
    }

    /// The database, one tenant at a time.
    pub fn api(&self) -> anyhow::Result<Db<Api>> {
        self.db()
    }

    /// The database, as workers see it: they may read data keys.
    pub fn worker(&self) -> anyhow::Result<Db<Worker>> {
        self.db()
    }

    fn db<R: Role>(&self) -> anyhow::Result<Db<R>> {
        open(self.database.database_url.expose())
    }
}

/// The few connections that a command needs.
pub fn open<R: Role>(url: &str) -> anyhow::Result<Db<R>> {
    let size = PoolSize { max: 2, acquire_timeout: Duration::from_secs(5) };
    Db::new(url, size).map(Db::impatient).map_err(|_| {
        exit::usage("the database's URL cannot be read", "write postgres://user:password@host:port/name")
    })
}

impl TenantArgs {
    /// The tenant with this key.
    pub fn new(tenant: String, database: DatabaseArgs) -> Self {
        Self { tenant, database }
    }

    /// Looks the tenant up.
    pub async fn open(&self) -> anyhow::Result<Session> {
        let operator = self.database.operator()?;
        let db = self.database.api()?;
        let opened = Session::open(&operator, db, &self.tenant).await;
        opened.map_err(|error| exit::hinted(error, "automation tenant list, or automation tenant create"))
    }
}

impl AuditArgs {
    /// Who gives this command, and the keys.
    pub fn auditor(&self) -> anyhow::Result<Auditor> {
        let next = "set AUTOMATION_AUDIT_KEYS or AUTOMATION_AUDIT_KEYS_FILE; docs/audit.md says how";
        let Some(keys) = &self.audit.audit_keys else {
            return Err(exit::usage("there is no key to sign the audit log with", next));
        };
        let ring = KeyRing::parse(keys.expose()).map_err(|error| {
            exit::usage(format!("the keys of the audit log cannot be used: {error}"), next)
        })?;
        Ok(Auditor::new(actor(), ring.into_audit_keys()))
    }
}

/// Who gives this command.
fn actor() -> String {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
    user.unwrap_or_else(|| "operator".to_owned())
}
