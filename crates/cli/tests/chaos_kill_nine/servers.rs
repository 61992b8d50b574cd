//! Postgres and RabbitMQ of this test's own, which it may kill.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

pub struct Servers {
    home: PathBuf,
    database: String,
    amqp: String,
    publisher: String,
}

impl Servers {
    /// Starts both, with data in a folder that goes away at the end.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with("").await
    }

    /// The same, with these lines in RabbitMQ's settings.
    pub async fn start_with(settings: &str) -> anyhow::Result<Self> {
        let (database, amqp, publisher) = (String::new(), String::new(), String::new());
        let mut servers = Self { home: home(), database, amqp, publisher };
        std::fs::create_dir_all(servers.home.join("rabbitmq"))?;
        std::fs::write(servers.home.join("rabbitmq/extra.conf"), settings)?;
        servers.restart().await?;
        // A build that goes on at the same time may replace the original.
        std::fs::copy(env!("CARGO_BIN_EXE_automation"), servers.program())?;
        let (of_tests, of_people) = (dev(&servers.home, "test-env").await?, dev(&servers.home, "env").await?);
        servers.database = variable(&of_tests, "AUTOMATION_TEST_DATABASE_URL")?;
        servers.amqp = variable(&of_tests, "AUTOMATION_TEST_AMQP_URL")?;
        servers.publisher = variable(&of_people, "AMQP_URL")?;
        Ok(servers)
    }

    /// Where everything of theirs lies.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The engine's binary.
    pub fn program(&self) -> PathBuf {
        self.home().join("automation")
    }

    /// The engine's database, as superuser.
    pub fn database_url(&self) -> String {
        format!("{}/automation", self.database.trim_end_matches("/postgres"))
    }

    /// The engine's virtual host, as administrator.
    pub fn amqp_url(&self) -> String {
        format!("{}/automation", self.amqp)
    }

    /// The same, as the user `demo-publisher`, who may publish events and nothing else.
    pub fn publisher_url(&self) -> &str {
        &self.publisher
    }

    /// Kills a server with everything that belongs to it, and waits until it is gone.
    pub async fn kill(&self, name: &str) -> anyhow::Result<()> {
        let file = self.home.join(format!("run/{name}.pid"));
        let content = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let pid = content.split_whitespace().next().context("a pid")?.to_owned();
        // Postgres's processes outlive their parent for a moment, in which it could not be started again.
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let mut family = vec![pid];
        if name == "postgres" {
            family.extend(children.split_whitespace().map(str::to_owned));
        }
        Command::new("kill").arg("-9").args(&family).stderr(Stdio::null()).status().await?;
        let begun = Instant::now();
        for pid in &family {
            while lives(pid) {
                if begun.elapsed() > Duration::from_secs(10) {
                    bail!("{name} ({pid}) survives kill -9");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Starts what does not run, and waits until it answers.
    pub async fn restart(&self) -> anyhow::Result<()> {
        dev(&self.home, "servers").await?;
        if self.database.is_empty() {
            return Ok(());
        }
        let exports = dev(&self.home, "test-env").await?;
        if !(exports.contains(&self.database) && exports.contains(&self.amqp)) {
            bail!("a server came back on another port");
        }
        Ok(())
    }

    /// Stops both, and deletes their data.
    pub async fn stop(self) -> anyhow::Result<()> {
        dev(&self.home, "reset").await?;
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if self.home.exists() {
            let _ = command(&self.home, "reset").into_std().status();
        }
    }
}

/// Reads `export NAME='value'`.
fn variable(exports: &str, name: &str) -> anyhow::Result<String> {
    let value =
        exports.lines().find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='));
    value.map(|value| value.trim_matches('\'').to_owned()).with_context(|| format!("no {name} in {exports}"))
}

/// User `postgres` has to get in, when root runs the tests.
fn home() -> PathBuf {
    std::env::temp_dir().join(format!("automation-kill-nine-{}", std::process::id()))
}

/// A process that is dead but was not reaped yet is dead.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn command(home: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev"));
    command.arg(subcommand).env("AUTOMATION_HOME", home).stdin(Stdio::null());
    for variable in ["DATABASE_URL", "AMQP_URL", "AUTOMATION_DEV"] {
        command.env_remove(variable);
    }
    for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOMATION_TEST_")) {
        command.env_remove(variable);
    }
    command
}

/// Runs `./dev` on this test's servers; gives what it prints.
async fn dev(home: &Path, subcommand: &str) -> anyhow::Result<String> {
    let output = command(home, subcommand).output().await.context("./dev")?;
    if !output.status.success() {
        bail!("./dev {subcommand}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
