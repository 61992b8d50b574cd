//! One role of the engine in a process of its own, so that its CPU can be told from the others'.

use crate::progress::{Told, tell};
use automation_domain::event::admission::BrokerUsers;
use automation_domain::limits::Limits;
use automation_domain::outbound::{AllowEntry, AllowList, Outbound};
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use automation_service_kit::health::Health;
use automation_service_kit::metrics::Metrics;
use clap::{Args, ValueEnum};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

/// Batches under way at once, per role.
const WORKERS: usize = 2;
const BATCH: u16 = 500;

/// A part of the engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Role {
    Ingest,
    Executor,
    Scheduler,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Ingest, Self::Executor, Self::Scheduler];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Executor => "executor",
            Self::Scheduler => "scheduler",
        }
    }
}

/// Which role, and where its servers are.
#[derive(Args, Debug)]
pub(crate) struct RoleArguments {
    role: Role,
    #[arg(long, env = "BENCH_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    #[arg(long, env = "BENCH_AMQP_URL", hide_env_values = true)]
    amqp_url: String,
    /// A service on this machine that requests may go to
    #[arg(long)]
    allow: Option<AllowEntry>,
}

/// Runs the role with the defaults of `automation serve`, until standard input ends: that is when the benchmark is done
/// or dead.
pub(crate) async fn run(arguments: RoleArguments) -> anyhow::Result<()> {
    let metrics = Metrics::install()?;
    let drain = CancellationToken::new();
    let (health, drained) = (Health::new(drain.clone()), drain.clone());
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        drained.cancel();
    });
    let RoleArguments { role, database_url, amqp_url, allow } = arguments;
    let amqp_user = user_of(&amqp_url);
    match role {
        Role::Ingest => {
            let config = automation_ingest::Config {
                database_url,
                amqp_url,
                users: BrokerUsers { engine: vec![amqp_user], door: Vec::new() },
                limits: Limits::default(),
                workers: WORKERS,
                batch_messages: BATCH,
                first_look: Duration::from_secs(5),
            };
            let telling = tokio::spawn(tell(metrics, Told::Recorded, drain.clone()));
            let ended = automation_ingest::run(config, health, drain).await;
            telling.await?;
            ended
        }
        Role::Executor => {
            let config = automation_executor::Config {
                database_url,
                amqp_url,
                limits: Limits::default(),
                workers: WORKERS,
                batch_runs: usize::from(BATCH),
                lease: Duration::from_secs(15),
                name: "executor-bench".to_owned(),
                first_look: Duration::from_secs(5),
                ladder: Ladder::default(),
                requests: requests(allow),
                drain: Duration::from_secs(20),
            };
            let telling = tokio::spawn(tell(metrics, Told::Finished, drain.clone()));
            let ended = automation_executor::run(config, health, drain).await;
            telling.await?;
            ended
        }
        Role::Scheduler => {
            let config = automation_scheduler::Config {
                database_url,
                amqp_url,
                amqp_user,
                batch: i64::from(BATCH),
                first_look: Duration::from_secs(5),
                partitions_ahead: 3,
                dedupe_days: 7,
                dead_letter_days: 90,
                parked_days: 30,
                catch_up: automation_domain::schedule::plan::Policy::default(),
            };
            automation_scheduler::run(config, health, drain).await
        }
    }
}

/// As many at once to one host as to all: there is only one.
fn requests(allow: Option<AllowEntry>) -> Requests {
    let defaults = Requests::default();
    let allow = AllowList::new(allow.into_iter().collect());
    Requests {
        per_tenant: defaults.at_once,
        per_host: 2 * defaults.at_once,
        outbound: Outbound { allow, ..Outbound::default() },
        ..defaults
    }
}

/// Who logs in by a URL of the broker.
pub(crate) fn user_of(amqp_url: &str) -> String {
    let rest = amqp_url.split_once("://").map_or(amqp_url, |(_, rest)| rest);
    rest.split([':', '@']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_stands_before_the_password() {
        assert_eq!(user_of("amqp://admin:secret@127.0.0.1:5672/bench"), "admin");
    }
}
