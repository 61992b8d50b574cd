//! Roles of the engine, each a process of its own.

use crate::servers::Servers;
use anyhow::{Context, bail};
use automation_test_support::ports::free_port;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long a role may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Role {
    name: &'static str,
    child: Child,
    admin: SocketAddr,
}

impl Role {
    /// Starts a role; its log is added to the file of its name.
    pub fn start(name: &'static str, servers: &Servers) -> anyhow::Result<Self> {
        Self::start_with(name, servers, &[])
    }

    /// The same with more settings.
    pub fn start_with(
        name: &'static str,
        servers: &Servers,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let log = log(name)?;
        let child = Command::new(servers.program())
            .args(["serve", "--roles", name])
            .env("DATABASE_URL", servers.database_url())
            .env("AMQP_URL", servers.amqp_url())
            .env("AUTOMATION_ADMIN_ADDR", admin.to_string())
            .env("AUTOMATION_LEASE_MS", "2000")
            .env("AUTOMATION_FIRST_LOOK_MS", "500")
            .env("RUST_LOG", "info")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name, child, admin })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Waits until the role can do its work.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.until("/readyz").await
    }

    /// `kill -9`.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} had ended by itself ({status}); see {}", self.name, path(self.name).display());
        }
        Ok(self.child.kill().await?)
    }

    /// SIGTERM; the role must end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("it runs")?;
        Command::new("kill").arg(pid.to_string()).status().await?;
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("{} ended with {status}; see {}", self.name, path(self.name).display());
        }
        Ok(())
    }

    async fn until(&self, what: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !matches!(self.ask(what).await, Ok(answer) if answer.starts_with("HTTP/1.1 200")) {
            if begun.elapsed() > PATIENCE {
                let answer = self.ask(what).await;
                bail!(
                    "{} does not answer well to {what}: {answer:?}; see {}",
                    self.name,
                    path(self.name).display()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn ask(&self, what: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        stream
            .write_all(
                format!("GET {what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("kill-nine-{name}.log"))
}

fn log(name: &str) -> anyhow::Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(path(name))?)
}
