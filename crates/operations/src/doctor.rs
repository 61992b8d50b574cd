//! What is wrong with a deployment, and what mends it: a finding for each check.

mod broker;
mod database;
mod lag;
mod publishers;
mod queues;

use automation_domain::rungs::Rungs;
use automation_store::Db;
use automation_store::role::Operator;
use serde::Serialize;

/// The broker that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Broker<'a> {
    /// Over AMQP.
    pub amqp_url: &'a str,
    /// Over its management API; without it, nodes, topology and wait queues are not looked at.
    pub management: Option<Management<'a>>,
    /// The rungs on which retries wait.
    pub rungs: &'a Rungs,
}

/// The broker's management API.
#[derive(Clone, Copy, Debug)]
pub struct Management<'a> {
    /// Where it is.
    pub url: &'a str,
    /// The virtual host.
    pub vhost: &'a str,
}

/// What was found.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Whether nobody has to act.
    pub healthy: bool,
    /// One for each check.
    pub checks: Vec<Finding>,
}

/// What a check found.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// What it found.
    pub found: String,
    /// How that is judged.
    pub level: Level,
    /// Whether nobody has to act.
    pub healthy: bool,
    /// Where to look, or what mends it: commands of the command line.
    pub next: Option<String>,
}

/// How what was found is judged.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Well,
    /// Worth knowing, and no reason to wake anybody.
    Note,
    /// Somebody has to act.
    Wrong,
}

/// Whether a broker is there at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// It answers, whatever it says.
    Answers,
    /// Nobody answers over AMQP.
    Silent,
}

impl Finding {
    fn well(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, found: found.into(), level: Level::Well, healthy: true, next: None }
    }

    fn noted(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, found: found.into(), level: Level::Note, healthy: true, next: Some(next.into()) }
    }

    fn wrong(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, found: found.into(), level: Level::Wrong, healthy: false, next: Some(next.into()) }
    }
}

/// Checks everything it can reach; what does not answer is a finding.
pub async fn check(operator: &Db<Operator>, broker: Broker<'_>) -> Report {
    let mut checks = database::findings(operator).await;
    let (reach, of_broker) = broker::findings(broker.amqp_url).await;
    checks.extend(of_broker);
    if let Some(Management { url, vhost }) = broker.management {
        checks.extend(queues::findings(url, vhost, broker.rungs, reach).await);
    }
    Report { healthy: checks.iter().all(|finding| finding.healthy), checks }
}
