//! The command line on a database of its own, without roles.

use automation_store::Scope;
use automation_store::events::receipts;
use automation_store::role::{Api, Operator, Worker};
use automation_store::runs::checkpoints::{self, Checkpoint, Next};
use automation_test_support::builders::{self, Started};
use automation_test_support::database::TestDatabase;
use serde_json::{Value, json};
use std::process::{Command, Output};

pub const WORKFLOW: &str = "
apiVersion: automation/v1
key: welcome
name: Welcome
triggers:
  - id: start
    event: form.submitted
    where: { field: event.data.total, op: greater_than, value: 50 }
nodes:
  - { id: tag, action: add_tag, with: { tag: seen } }
edges:
  - [start, tag]
";

/// A migrated database and a way to call the binary on it.
pub struct Shell {
    pub database: TestDatabase,
    pub folder: std::path::PathBuf,
}

impl Shell {
    pub async fn new() -> anyhow::Result<Self> {
        let database = TestDatabase::create().await?;
        let folder = std::env::temp_dir().join(database.name());
        std::fs::create_dir_all(&folder)?;
        Ok(Self { database, folder })
    }

    /// With the tenant `shop` and its workflow `welcome`.
    pub async fn with_a_workflow() -> anyhow::Result<Self> {
        let shell = Self::new().await?;
        assert_eq!(shell.call(&["tenant", "create", "shop"]).code(), 0);
        let file = shell.file("welcome.yaml", WORKFLOW)?;
        assert_eq!(shell.call(&["workflow", "apply", &file]).code(), 0);
        Ok(shell)
    }

    pub fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().unwrap().to_owned())
    }

    pub fn call(&self, arguments: &[&str]) -> Called {
        self.call_with(arguments, &[("DATABASE_URL", self.database.url()), ("AUTOMATION_TENANT", "shop")])
    }

    pub fn call_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Called {
        let output = Command::new(env!("CARGO_BIN_EXE_automation"))
            .args(arguments)
            .env_clear()
            .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Called(output)
    }

    /// A run of the workflow for an event with this id, queued.
    pub async fn queued(&self, id: &str) -> anyhow::Result<Started> {
        let (worker, api) = (self.database.store::<Worker>(), self.database.store::<Api>());
        let keys = ["shop".to_owned()];
        let operator = self.database.store::<Operator>();
        let tenants = operator
            .tx(Scope::Unscoped, async |connection| {
                automation_store::access::tenants::by_keys(connection, &keys).await
            })
            .await?;
        let tenant = tenants[0].tenant_id;
        let stored = api
            .tx(Scope::Tenant(tenant), async |connection| {
                automation_store::workflows::by_key(connection, tenant, "welcome").await
            })
            .await?
            .unwrap();
        let published =
            builders::Published { workflow_id: stored.workflow_id, version_id: stored.version_id };
        Ok(builders::run(&worker, tenant, published, builders::event("shop", id)).await?)
    }

    /// The same, and ended.
    pub async fn completed(&self, id: &str) -> anyhow::Result<Started> {
        let started = self.queued(id).await?;
        let worker = self.database.store::<Worker>();
        let steps = json!([
            { "node": "start", "action": "trigger", "visit": 1, "outcome": "completed" },
            { "node": "tag", "action": "add_tag", "visit": 1, "outcome": "completed" },
        ]);
        let checkpoint = Checkpoint {
            tenant_id: started.tenant_id,
            run_id: started.run_id,
            epoch: 1,
            priority: automation_domain::priority::Priority::Medium,
            next: Next::Finished { status: automation_domain::interpreter::EndStatus::Completed },
            state: br#"{"end":{"status":"completed"}}"#.to_vec(),
            steps: steps.to_string().into_bytes(),
        };
        worker
            .tx(Scope::Tenants(&[started.tenant_id]), async |connection| {
                let lease = std::time::Duration::from_secs(60);
                automation_store::runs::claim(connection, &[(started.tenant_id, started.run_id)], lease)
                    .await?;
                let now = receipts::now(connection).await?;
                checkpoints::settle(connection, now, "worker-1", &[checkpoint]).await?;
                Ok::<_, automation_store::Error>(())
            })
            .await?;
        Ok(started)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a call came to.
pub struct Called(pub Output);

impl Called {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn error(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// What a successful call with `--json` printed.
    pub fn json(&self) -> Value {
        assert_eq!(self.code(), 0, "{}", self.error());
        serde_json::from_str(&self.out()).unwrap()
    }

    /// Asserts a failure with its code, which says what and what to do next on standard error, and nothing elsewhere.
    pub fn fails(&self, code: i32, what: &str) {
        assert_eq!(self.code(), code, "{}{}", self.out(), self.error());
        let error = self.error();
        assert!(error.contains(what) && error.contains("next: "), "{error}");
    }
}
