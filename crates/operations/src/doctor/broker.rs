//! The broker over AMQP: whether it takes messages, and who consumes, at this moment.

use super::{Finding, Reach};
use automation_broker::depths::{Depth, depths};
use automation_broker::publisher::{PublishError, Publisher};
use automation_broker::topology::{DEAD, PARKING, ingest_queue, work_queue};
use automation_domain::priority::Priority;
use std::collections::BTreeMap;

/// Without an answer, one finding; otherwise that, and one for each role.
pub(super) async fn findings(url: &str) -> (Reach, Vec<Finding>) {
    let taking = match Publisher::connect(url, "automation doctor").await {
        Ok(publisher) if publisher.is_blocked() => Finding::wrong(
            "broker",
            "refuses messages",
            "free memory or disk of RabbitMQ: rabbitmqctl status names the alarm",
        ),
        Ok(publisher) => {
            publisher.close().await;
            Finding::well("broker", "takes messages")
        }
        Err(error) => {
            let reach = match error {
                PublishError::Unavailable(_) => Reach::Silent,
                PublishError::Refused(_)
                | PublishError::Blocked
                | PublishError::Invalid { .. }
                | PublishError::Unconfirmed(_) => Reach::Answers,
            };
            let next = "start RabbitMQ, or correct AMQP_URL";
            return (reach, vec![Finding::wrong("broker", error.to_string(), next)]);
        }
    };
    let roles: [(&'static str, Vec<String>, &'static str); 3] = [
        ("ingest queues", Priority::ALL.map(|one| ingest_queue(one).to_owned()).to_vec(), "ingest"),
        ("work queues", Priority::ALL.map(|one| work_queue(one).to_owned()).to_vec(), "executor"),
        ("inboxes", vec![DEAD.to_owned(), PARKING.to_owned()], "scheduler"),
    ];
    let all: Vec<String> = roles.iter().flat_map(|(_, queues, _)| queues.iter().cloned()).collect();
    let judged: Vec<Finding> = match depths(url, &all).await {
        Ok(found) => roles.iter().map(|(check, queues, role)| judge(check, queues, role, &found)).collect(),
        Err(error) => vec![Finding::wrong("queues", error.to_string(), "automation doctor, again")],
    };
    (Reach::Answers, std::iter::once(taking).chain(judged).collect())
}

fn judge(check: &'static str, queues: &[String], role: &str, found: &BTreeMap<String, Depth>) -> Finding {
    let missing: Vec<&str> =
        queues.iter().filter(|queue| !found.contains_key(*queue)).map(String::as_str).collect();
    if !missing.is_empty() {
        let next = "automation topology apply; where that changes nothing, rabbitmq-diagnostics status";
        return Finding::wrong(check, format!("{}: missing, or without an answer", missing.join(", ")), next);
    }
    let of_role = queues.iter().filter_map(|queue| Some((queue.as_str(), found.get(queue)?)));
    let deaf: Vec<&str> =
        of_role.clone().filter(|(_, depth)| depth.consumers == 0).map(|(queue, _)| queue).collect();
    let ready: u64 = of_role.map(|(_, depth)| u64::from(depth.ready)).sum();
    if deaf.is_empty() {
        return Finding::well(check, format!("{ready} messages wait, and each queue has a consumer"));
    }
    Finding::wrong(
        check,
        format!("nobody consumes {}; {ready} messages wait", deaf.join(", ")),
        format!("automation serve --roles {role}; in a checkout ./dev up"),
    )
}
