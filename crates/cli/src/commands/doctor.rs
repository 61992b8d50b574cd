//! `automation doctor`: one line per check, with the command that mends what is wrong.

use crate::exit;
use crate::output::Output;
use crate::session::DatabaseArgs;
use crate::terminal::Lines;
use crate::vhost::VhostArgs;
use automation_service_kit::config::{BrokerConfig, LadderConfig};
use automation_store::DbRole;
use clap::Args;
use serde_json::{Value, json};

mod broker;
mod database;
mod lag;
mod publishers;
mod queues;

/// Arguments of `automation doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerConfig,
    #[command(flatten)]
    ladder: LadderConfig,
    #[command(flatten)]
    vhost: VhostArgs,
}

/// What a check found.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    found: String,
    state: State,
}

/// Whether a broker is there at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// It answers, whatever it says.
    Answers,
    /// Nobody answers over AMQP.
    Silent,
}

/// How what was found is judged.
#[derive(Debug)]
enum State {
    Well,
    /// Worth knowing, and no reason to wake anybody: where to look.
    Noted(String),
    /// Somebody has to act: what mends it.
    Wrong(String),
}

impl Finding {
    fn well(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, found: found.into(), state: State::Well }
    }

    fn noted(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, found: found.into(), state: State::Noted(next.into()) }
    }

    fn wrong(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, found: found.into(), state: State::Wrong(next.into()) }
    }

    fn is_wrong(&self) -> bool {
        matches!(self.state, State::Wrong(_))
    }

    fn json(&self) -> Value {
        let (level, next) = match &self.state {
            State::Well => ("well", None),
            State::Noted(next) => ("note", Some(next)),
            State::Wrong(next) => ("wrong", Some(next)),
        };
        let next = next.map(|next| exit::as_typed(next));
        json!({ "check": self.check, "healthy": !self.is_wrong(), "level": level, "found": self.found, "next": next })
    }

    fn lines(&self) -> Vec<String> {
        let (level, next) = match &self.state {
            State::Well => ("ok   ", None),
            State::Noted(next) => ("note ", Some(next)),
            State::Wrong(next) => ("WRONG", Some(next)),
        };
        let next = next.map(|next| format!("       next: {}", exit::as_typed(next)));
        std::iter::once(format!("{level}  {}: {}", self.check, self.found)).chain(next).collect()
    }
}

/// Checks everything it can reach.
pub async fn run(args: DoctorArgs, output: &Output) -> anyhow::Result<()> {
    let db = args.database.db(DbRole::Operator)?;
    let mut findings = database::findings(&db).await;
    let amqp_url = args.broker.amqp_url.expose();
    let (reach, of_broker) = broker::findings(amqp_url).await;
    findings.extend(of_broker);
    // Without the management API, nodes, topology and wait queues are not looked at.
    if let Some(url) = &args.broker.amqp_management_url {
        let vhost = args.vhost.name(Some(amqp_url));
        findings.extend(queues::findings(url.expose(), &vhost, &args.ladder.retry_rungs, reach).await);
    }
    let wrong = findings.iter().filter(|finding| finding.is_wrong()).count();
    let rows: Vec<Value> = findings.iter().map(Finding::json).collect();
    output.one(&json!({ "healthy": wrong == 0, "checks": rows }), || {
        findings.iter().flat_map(Finding::lines).collect::<Lines>()
    });
    match wrong {
        0 => Ok(()),
        1 => Err(exit::wrong("1 check failed", "run the command that stands beside it")),
        _ => Err(exit::wrong(
            format!("{wrong} checks failed"),
            "run the commands that stand beside them, from the top",
        )),
    }
}
