//! `automation doctor`: one line per check, with the command that mends what is wrong.

use crate::exit;
use crate::output::Output;
use crate::session::DatabaseArgs;
use crate::terminal::Lines;
use crate::vhost::VhostArgs;
use automation_operations::doctor::{self, Broker, Finding, Level, Management};
use automation_service_kit::config::{BrokerConfig, LadderConfig};
use clap::Args;

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

/// Checks everything it can reach.
pub async fn run(args: DoctorArgs, output: &Output) -> anyhow::Result<()> {
    let operator = args.database.operator()?;
    let amqp_url = args.broker.amqp_url.expose();
    let vhost = args.vhost.name(Some(amqp_url));
    let url = args.broker.amqp_management_url.as_ref();
    let management = url.map(|url| Management { url: url.expose(), vhost: &vhost });
    let broker = Broker { amqp_url, management, rungs: &args.ladder.retry_rungs };
    let mut report = doctor::check(&operator, broker).await;
    for next in report.checks.iter_mut().filter_map(|finding| finding.next.as_mut()) {
        *next = exit::as_typed(next);
    }
    output.one(&report, || report.checks.iter().flat_map(lines).collect::<Lines>());
    match report.checks.iter().filter(|finding| !finding.healthy).count() {
        0 => Ok(()),
        1 => Err(exit::wrong("1 check failed", "run the command that stands beside it")),
        wrong => Err(exit::wrong(
            format!("{wrong} checks failed"),
            "run the commands that stand beside them, from the top",
        )),
    }
}

fn lines(finding: &Finding) -> Vec<String> {
    let level = match finding.level {
        Level::Well => "ok   ",
        Level::Note => "note ",
        Level::Wrong => "WRONG",
    };
    let next = finding.next.as_ref().map(|next| format!("       next: {next}"));
    std::iter::once(format!("{level}  {}: {}", finding.check, finding.found)).chain(next).collect()
}
