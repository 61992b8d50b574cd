//! `automation doctor`: one line per check, with the command that mends what is wrong.

use crate::exit;
use crate::output::Output;
use crate::session::DatabaseArgs;
use automation_broker::management::{Management, Node};
use automation_broker::publisher::Publisher;
use automation_broker::topology::{Topology, ingest_queue, work_queue};
use automation_domain::priority::Priority;
use automation_domain::rungs::Rungs;
use automation_service_kit::config::{BrokerConfig, LadderConfig};
use automation_store::{Db, DbRole, Scope, migration_status, partitions};
use chrono::DateTime;
use clap::Args;
use serde_json::{Value, json};
use std::time::SystemTime;

mod lag;

/// Arguments of `automation doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    broker: BrokerConfig,
    #[command(flatten)]
    ladder: LadderConfig,
    /// Virtual host
    #[arg(long, default_value = automation_broker::VHOST)]
    vhost: String,
}

/// What a check found.
struct Finding {
    check: &'static str,
    result: Result<String, (String, &'static str)>,
}

/// Checks everything it can reach.
pub async fn run(args: DoctorArgs, output: &Output) -> anyhow::Result<()> {
    let db = args.database.db(DbRole::Operator)?;
    let mut findings = database(&db).await;
    findings.push(broker(args.broker.amqp_url.expose()).await);
    // Without the management API, topology and queues are not looked at.
    if let Some(url) = &args.broker.amqp_management_url {
        findings.extend(management(url.expose(), &args.vhost, &args.ladder.retry_rungs).await);
    }
    let wrong = findings.iter().filter(|finding| finding.result.is_err()).count();
    let rows: Vec<Value> = findings.iter().map(row).collect();
    output.one(&json!({ "healthy": wrong == 0, "checks": rows }), || {
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
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

async fn database(db: &Db) -> Vec<Finding> {
    if let Err(error) = db.ping().await {
        return vec![Finding {
            check: "database",
            result: Err((error.to_string(), "start Postgres, or correct DATABASE_URL")),
        }];
    }
    let migrations = match migration_status(db).await {
        Ok(status) if status.applied == status.known => Ok(format!("all {} are applied", status.known)),
        Ok(status) if status.applied > status.known => Err((
            format!("{} are applied, this binary knows {}", status.applied, status.known),
            "upgrade this binary",
        )),
        Ok(status) => {
            Err((format!("{} of {} are applied", status.applied, status.known), "automation migrate"))
        }
        Err(error) => Err((error.to_string(), "automation migrate")),
    };
    let ahead = db.tx(Scope::Unscoped, async |connection| partitions::days_ahead(connection).await).await;
    let partitions = match ahead {
        Ok(days) if days >= 2 => Ok(format!("made for {days} days from today on")),
        Ok(days) => Err((
            format!("made for {days} days from today on"),
            "start a scheduler (automation serve --roles scheduler): it makes them ahead",
        )),
        Err(error) => Err((error.to_string(), "automation migrate")),
    };
    let mut findings = vec![
        Finding { check: "database", result: Ok("answers".to_owned()) },
        Finding { check: "migrations", result: migrations },
        Finding { check: "partitions", result: partitions },
    ];
    match db.tx(Scope::Unscoped, automation_store::lag::read).await {
        Ok(lag) => findings.extend(lag::findings(&lag, DateTime::from(SystemTime::now()))),
        Err(error) => {
            findings
                .push(Finding { check: "wakeups", result: Err((error.to_string(), "automation migrate")) });
        }
    }
    findings
}

async fn broker(url: &str) -> Finding {
    let result = match Publisher::connect(url, "automation doctor").await {
        Ok(publisher) if publisher.is_blocked() => Err((
            "refuses messages".to_owned(),
            "free memory or disk of RabbitMQ: rabbitmqctl status names the alarm",
        )),
        Ok(publisher) => {
            publisher.close().await;
            Ok("takes messages".to_owned())
        }
        Err(error) => Err((error.to_string(), "start RabbitMQ, or correct AMQP_URL")),
    };
    Finding { check: "broker", result }
}

/// The queue of a priority.
type QueueName = fn(Priority) -> &'static str;

async fn management(url: &str, vhost: &str, rungs: &Rungs) -> Vec<Finding> {
    let found = async {
        let management = Management::new(url)?;
        Ok::<_, automation_broker::management::Error>((
            Topology::with_rungs(rungs).check(&management, vhost).await?,
            management.queues(vhost).await?,
            management.nodes().await?,
        ))
    };
    let (report, queues, nodes) = match found.await {
        Ok(found) => found,
        Err(error) => {
            let next = "correct AUTOMATION_AMQP_MANAGEMENT_URL, or enable RabbitMQ's management plugin";
            return vec![Finding { check: "topology", result: Err((error.to_string(), next)) }];
        }
    };
    let topology = match report.is_clean() {
        true => Ok("is as it should be".to_owned()),
        false => Err((
            report.to_string().replace('\n', "; "),
            "automation topology apply; automation topology check",
        )),
    };
    let mut findings = vec![alarms(&nodes), Finding { check: "topology", result: topology }];
    let roles: [(&'static str, QueueName, &'static str); 2] = [
        ("ingest queues", ingest_queue, "automation serve --roles ingest"),
        ("work queues", work_queue, "automation serve --roles executor"),
    ];
    for (check, name, next) in roles {
        let of_role: Vec<_> =
            queues.iter().filter(|queue| Priority::ALL.map(name).contains(&queue.name.as_str())).collect();
        let deaf: Vec<&str> =
            of_role.iter().filter(|queue| queue.consumers == 0).map(|queue| queue.name.as_str()).collect();
        let ready: u64 = of_role.iter().map(|queue| queue.messages_ready).sum();
        let stuck: u64 = of_role.iter().map(|queue| queue.messages_dlx).sum();
        let result = if stuck > 0 {
            Err((format!("{stuck} dead letters cannot leave"), "automation topology apply"))
        } else if deaf.is_empty() {
            Ok(format!("{ready} messages wait, and each queue has a consumer"))
        } else {
            Err((format!("nobody consumes {}", deaf.join(", ")), next))
        };
        findings.push(Finding { check, result });
    }
    findings
}

fn alarms(nodes: &[Node]) -> Finding {
    let mut wrong = Vec::new();
    for node in nodes {
        for (is, what) in [
            (!node.running, "is down"),
            (node.mem_alarm, "is out of memory"),
            (node.disk_free_alarm, "is out of disk"),
        ] {
            if is {
                wrong.push(format!("{} {what}", node.name));
            }
        }
    }
    let result = match wrong.is_empty() {
        true => Ok(format!("{} run, without an alarm", nodes.len())),
        false => Err((
            wrong.join("; "),
            "start the node, or free its memory or disk: rabbitmq-diagnostics status says how much is missing",
        )),
    };
    Finding { check: "broker nodes", result }
}

fn row(finding: &Finding) -> Value {
    match &finding.result {
        Ok(found) => json!({ "check": finding.check, "healthy": true, "found": found }),
        Err((found, next)) => {
            json!({ "check": finding.check, "healthy": false, "found": found, "next": next })
        }
    }
}

fn line(finding: &Finding) -> String {
    match &finding.result {
        Ok(found) => format!("ok     {}: {found}", finding.check),
        Err((found, next)) => format!("WRONG  {}: {found}\n       next: {next}", finding.check),
    }
}
