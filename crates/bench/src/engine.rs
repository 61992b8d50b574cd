//! What the roles of a fleet are started from: the engine that is linked into this program, or a binary of any commit.

use crate::progress::{Progress, Told, scrape};
use crate::role::{self, Role};
use anyhow::Context;
use automation_broker::topology::Topology;
use automation_test_support::builders;
use automation_test_support::ports::free_port;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use tokio::process::{Child, Command};

/// An engine, not yet running.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// A copy of this program, which has the engine's crates in it, so that what it measures are the same types.
    Linked {
        program: PathBuf,
        /// The service that its runs call, if they do.
        service: Option<String>,
    },
    /// `automation` as it is shipped, of this commit or another.
    Binary(PathBuf),
}

/// The servers of one fleet, as the administrators of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Servers<'a> {
    pub(crate) database_url: &'a str,
    pub(crate) amqp_url: &'a str,
}

impl Engine {
    /// Declares its exchanges and queues.
    pub(crate) async fn declare(&self, servers: Servers<'_>) -> anyhow::Result<()> {
        match self {
            Self::Linked { .. } => Ok(Topology::standard().apply(servers.amqp_url).await?),
            Self::Binary(program) => {
                let mut command = command(program, &["topology", "apply"]);
                succeed(command.env("AMQP_URL", servers.amqp_url)).await.map(drop)
            }
        }
    }

    /// Starts a role in a process of its own, whose counters go to `progress`. It ends with the value, or by [`Self::stop`].
    pub(crate) fn start(
        &self,
        role: Role,
        servers: Servers<'_>,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<Child> {
        match self {
            Self::Linked { program, service } => {
                let mut child = Command::new(program)
                    .args(["role", role.name()])
                    .args(service.iter().flat_map(|service| ["--allow", service.as_str()]))
                    .env("BENCH_DATABASE_URL", servers.database_url)
                    .env("BENCH_AMQP_URL", servers.amqp_url)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .with_context(|| format!("starting {}", role.name()))?;
                if let Some(output) = child.stdout.take() {
                    let progress = progress.clone();
                    tokio::spawn(async move { progress.follow(output).await });
                }
                Ok(child)
            }
            Self::Binary(program) => {
                let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
                let child = command(program, &["serve", "--roles", role.name()])
                    .env("DATABASE_URL", servers.database_url)
                    .env("AMQP_URL", servers.amqp_url)
                    .env("AUTOMATION_ENGINE_USERS", role::user_of(servers.amqp_url))
                    .env("AUTOMATION_ADMIN_ADDR", admin.to_string())
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .with_context(|| format!("starting {}", role.name()))?;
                if let Some(told) = Told::by(role) {
                    tokio::spawn(scrape(Arc::downgrade(progress), admin, told));
                }
                Ok(child)
            }
        }
    }

    /// Asks a role to drain.
    pub(crate) async fn stop(&self, child: &mut Child) -> anyhow::Result<()> {
        match self {
            Self::Linked { .. } => drop(child.stdin.take()),
            Self::Binary(_) => {
                let pid = child.id().context("a role has ended before it was asked to")?;
                let kill = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
                anyhow::ensure!(kill.success(), "process {pid} cannot be asked to stop");
            }
        }
        Ok(())
    }
}

/// A command of the binary, with nothing of this process's environment that could mean something to it.
pub(crate) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("RUST_LOG", "error,lapin=off");
    // What changes something is written down, by those versions that sign it.
    command.env("AUTOMATION_AUDIT_KEYS", builders::AUDIT_KEYS);
    command
}

/// Runs a command to its end, which must be a good one; gives what it printed.
pub(crate) async fn succeed(command: &mut Command) -> anyhow::Result<Output> {
    let output =
        command.output().await.with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
    anyhow::ensure!(
        output.status.success(),
        "{:?} ended with {}: {}",
        command.as_std().get_args().collect::<Vec<_>>(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
