//! `automation topology`: exchanges, queues and bindings.

use crate::exit;
use crate::output::{Output, exact};
use crate::terminal::Lines;
use crate::vhost::VhostArgs;
use automation_broker::management::Management;
use automation_broker::topology::{Retired, Topology};
use automation_service_kit::config::{BrokerConfig, LadderConfig};
use clap::Subcommand;
use serde_json::json;

/// What to do with the topology.
#[derive(Subcommand, Debug)]
pub enum TopologyCommand {
    /// Declare what is missing, by the management API where one is given; what is there stays as it is
    Apply {
        #[command(flatten)]
        vhost: VhostArgs,
        #[command(flatten)]
        ladder: LadderConfig,
        #[command(flatten)]
        broker: BrokerConfig,
    },
    /// Compare what the broker has with what it should have
    Check {
        #[command(flatten)]
        vhost: VhostArgs,
        #[command(flatten)]
        ladder: LadderConfig,
        #[command(flatten)]
        broker: BrokerConfig,
    },
    /// Print the definitions for RabbitMQ's own import
    Export {
        /// Virtual host
        #[arg(long, default_value = automation_broker::VHOST)]
        vhost: String,
        /// Print the permissions instead, for users that exist already
        #[arg(long)]
        permissions: bool,
        #[command(flatten)]
        ladder: LadderConfig,
    },
}

/// Runs the command.
pub async fn run(command: TopologyCommand, output: &Output) -> anyhow::Result<()> {
    match command {
        TopologyCommand::Apply { vhost, ladder, broker } => {
            let topology = Topology::with_rungs(&ladder.retry_rungs);
            let retired = match &broker.amqp_management_url {
                // The engine's own users may not declare: an administrator's management API comes first.
                Some(url) => {
                    let management = Management::new(url.expose())?;
                    let vhost = vhost.name(Some(broker.amqp_url.expose()));
                    import(&topology, &management, &vhost).await?;
                    topology.retire(&management, &vhost, broker.amqp_url.expose()).await?
                }
                None => {
                    topology.apply(broker.amqp_url.expose()).await?;
                    Retired::default()
                }
            };
            let objects = topology.objects().len();
            output.one(&json!({ "objects": objects, "retired": retired }), || applied(objects, &retired));
            Ok(())
        }
        TopologyCommand::Check { vhost, ladder, broker } => {
            let topology = Topology::with_rungs(&ladder.retry_rungs);
            let Some(url) = &broker.amqp_management_url else {
                return Err(exit::usage(
                    "the management API's address is not known",
                    "set AUTOMATION_AMQP_MANAGEMENT_URL to http://user:password@host:port",
                ));
            };
            let vhost = vhost.name(Some(broker.amqp_url.expose()));
            let report = topology.check(&Management::new(url.expose())?, &vhost).await?;
            output.one(&serde_json::to_value(&report)?, || match report.is_clean() {
                true => Lines::from("the broker has exactly the topology it should have"),
                false => Lines::of_block(&report.to_string()),
            });
            match report.is_clean() {
                true => Ok(()),
                false => Err(exit::wrong(
                    "the broker's topology differs",
                    "automation topology apply declares what is missing; see docs/topology.md for the rest",
                )),
            }
        }
        TopologyCommand::Export { vhost, permissions, ladder } => {
            let topology = Topology::with_rungs(&ladder.retry_rungs);
            let exported =
                if permissions { topology.export_permissions(&vhost) } else { topology.export(&vhost) };
            exact(&serde_json::to_string_pretty(&exported)?);
            Ok(())
        }
    }
}

fn applied(objects: usize, retired: &Retired) -> Vec<String> {
    let mut lines = vec![format!("the topology's {objects} objects are declared")];
    for queue in &retired.draining {
        lines.push(format!(
            "{queue} is no rung any more and drains; apply again to delete it when it is empty"
        ));
    }
    lines.extend(retired.deleted.iter().map(|queue| format!("{queue} was no rung any more and is deleted")));
    lines
}

/// An import leaves what exists with other arguments as it is, without a word: hence the look afterwards.
async fn import(topology: &Topology, management: &Management, vhost: &str) -> anyhow::Result<()> {
    management.import(&topology.export(vhost)).await?;
    let report = topology.check(management, vhost).await?;
    if report.missing.is_empty() && report.differences.is_empty() {
        return Ok(());
    }
    Err(exit::wrong(
        format!("the broker has it otherwise: {}", report.to_string().trim_end().replace('\n', "; ")),
        "drain what differs, delete it, and apply again; see docs/topology.md",
    ))
}
