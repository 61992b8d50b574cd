//! One of the binaries that are compared, with a database that it has migrated and filled itself.

use crate::engine::{Engine, command, succeed};
use crate::fleet::Fleet;
use crate::prepared::{TENANTS, tenant_key};
use crate::publishing_user::PublishingUser;
use crate::workload::Workload;
use anyhow::Context;
use automation_test_support::database::TestDatabase;
use std::fs;
use std::path::{Path, PathBuf};

/// Contacts of each tenant. They are made by the load, so the warm-up has to meet all of them.
pub(super) const CONTACTS: usize = 400;

/// A binary, ready to be measured again and again.
pub(super) struct Contender {
    /// What it is called in the report: the name of its folder.
    pub(super) name: String,
    program: PathBuf,
    database: TestDatabase,
}

impl Contender {
    /// Takes `automation` and `roles.sql` from a folder; makes tenants, who let `user` publish and have the workload's
    /// workflow, by commands of that binary.
    pub(super) async fn prepare(
        folder: &Path,
        user: &PublishingUser,
        workload: &Workload,
    ) -> anyhow::Result<Self> {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let name = folder.file_name().context("the folder has no name")?.to_string_lossy().into_owned();
        eprintln!("==> Preparing {name}");
        let program = folder.join("automation");
        let roles = fs::read_to_string(folder.join("roles.sql")).context("reading roles.sql")?;
        let database = TestDatabase::empty().await?;
        database.execute(&roles).await?;
        succeed(command(&program, &["migrate"]).env("AUTOMATION_OWNER_DATABASE_URL", database.url())).await?;
        let workflow = folder.join("workflow.json");
        fs::write(&workflow, serde_json::to_vec(&workload.definition())?)?;
        let workflow = workflow.to_str().context("the folder's name is no text")?;
        for tenant in (0..TENANTS).map(tenant_key) {
            let commands: [&[&str]; 3] = [
                &["tenant", "create", &tenant],
                &["tenant", "grant", &tenant, "--user", user.name(), "--types", "*"],
                &["workflow", "apply", workflow, "--tenant", &tenant],
            ];
            for arguments in commands {
                succeed(command(&program, arguments).env("DATABASE_URL", database.url())).await?;
            }
        }
        Ok(Self { name, program, database })
    }

    /// A running fleet of it, on a copy of its database.
    pub(super) async fn start(&self, user: &PublishingUser) -> anyhow::Result<Fleet> {
        let engine = Engine::Binary(self.program.clone());
        let mut fleet = Fleet::of(engine, self.database.copy().await?, user, CONTACTS).await?;
        fleet.start_roles()?;
        Ok(fleet)
    }
}
