//! The broker over its management API: nodes, topology, dead letters that cannot leave, and the wait queues of retries.

use super::{Finding, Reach};
use automation_broker::management::{Error, Management, Node, Queue};
use automation_broker::topology::{Topology, WAIT_PREFIX, wait_queue};
use automation_domain::rungs::Rungs;
use std::time::Duration;

/// Statistics are up to five seconds old, and a dead letter may be counted while it is on its way: what looks wrong is
/// looked at again after this.
const NEXT_STATISTICS: Duration = Duration::from_secs(6);
const PREFIX: &str = "automation.";

/// Without an answer, one finding; otherwise one for each check.
pub(super) async fn findings(url: &str, vhost: &str, rungs: &Rungs, reach: Reach) -> Vec<Finding> {
    match look(url, vhost, rungs).await {
        Ok(findings) => findings,
        // The broker is down, which is said already: its management API is right, and down with it.
        Err(Error::Http(_)) if reach == Reach::Silent => Vec::new(),
        Err(error) => vec![Finding::wrong(
            "topology",
            error.to_string(),
            "correct AUTOMATION_AMQP_MANAGEMENT_URL, or enable RabbitMQ's management plugin",
        )],
    }
}

async fn look(url: &str, vhost: &str, rungs: &Rungs) -> Result<Vec<Finding>, Error> {
    let management = Management::new(url)?;
    let report = Topology::with_rungs(rungs).check(&management, vhost).await?;
    let topology = match report.is_clean() {
        true => Finding::well("topology", "is as it should be"),
        false => Finding::wrong(
            "topology",
            report.to_string().trim_end().replace('\n', "; "),
            "automation topology apply; automation topology check",
        ),
    };
    let mut of_queues = judge(&management.queues(vhost).await?, rungs);
    if of_queues.iter().any(|finding| !finding.healthy) {
        tokio::time::sleep(NEXT_STATISTICS).await;
        of_queues = judge(&management.queues(vhost).await?, rungs);
    }
    let mut findings = vec![alarms(&management.nodes().await?), topology];
    findings.extend(of_queues);
    Ok(findings)
}

fn judge(queues: &[Queue], rungs: &Rungs) -> Vec<Finding> {
    let ours = || queues.iter().filter(|queue| queue.name.starts_with(PREFIX));
    let waiting: Vec<&Queue> = ours().filter(|queue| queue.name.starts_with(WAIT_PREFIX)).collect();
    let other: Vec<&Queue> = ours().filter(|queue| !queue.name.starts_with(WAIT_PREFIX)).collect();
    vec![down(ours()), dead_letters(&other), ladder(&waiting, rungs)]
}

fn down<'a>(queues: impl Iterator<Item = &'a Queue>) -> Finding {
    let down: Vec<String> = queues
        .filter_map(|queue| Some((queue, queue.state.as_deref()?)))
        // An idle queue is asleep.
        .filter(|(_, state)| !matches!(*state, "running" | "idle"))
        .map(|(queue, state)| format!("{} is {state}", queue.name))
        .collect();
    match down.is_empty() {
        true => Finding::well("queues", "all that there are work"),
        false => Finding::wrong("queues", down.join("; "), "docs/runbooks/broker-loss.md"),
    }
}

fn dead_letters(queues: &[&Queue]) -> Finding {
    let stuck: Vec<String> = queues
        .iter()
        .filter(|queue| queue.messages_dlx > 0)
        .map(|queue| format!("{} in {} cannot leave", queue.messages_dlx, queue.name))
        .collect();
    match stuck.is_empty() {
        true => Finding::well("dead letters", "none is kept from leaving its queue"),
        false => Finding::wrong(
            "dead letters",
            stuck.join("; "),
            "automation topology apply; they leave within three minutes of that: docs/runbooks/stuck-queue.md",
        ),
    }
}

/// What has waited its time is a dead letter of its wait queue until it has left.
fn ladder(queues: &[&Queue], rungs: &Rungs) -> Finding {
    const CHECK: &str = "retry queues";
    let delays = rungs.distinct();
    let rung_of = |queue: &Queue| delays.iter().find(|delay| wait_queue(**delay) == queue.name);
    let mut wrong: Vec<String> = delays
        .iter()
        .filter(|delay| !queues.iter().any(|queue| queue.name == wait_queue(**delay)))
        .map(|delay| {
            format!(
                "{} is missing: who waits {} is found late, by the sweep",
                wait_queue(*delay),
                said(*delay)
            )
        })
        .collect();
    let stuck = queues.iter().filter(|queue| queue.messages_dlx > 0);
    wrong.extend(stuck.map(|queue| {
        let longer = rung_of(queue).map_or("their time".to_owned(), |delay| said(*delay));
        format!("{} in {} have waited longer than {longer} and cannot leave", queue.messages_dlx, queue.name)
    }));
    if !wrong.is_empty() {
        let next = "automation topology apply; they leave within three minutes of that: docs/runbooks/stuck-queue.md";
        return Finding::wrong(CHECK, wrong.join("; "), next);
    }
    let taken: Vec<&str> =
        queues.iter().filter(|queue| queue.consumers > 0).map(|queue| queue.name.as_str()).collect();
    if !taken.is_empty() {
        return Finding::wrong(
            CHECK,
            format!("somebody consumes {}: what waits there is to wait", taken.join(", ")),
            "end that consumer: rabbitmqctl list_consumers -p automation names its process",
        );
    }
    let old: Vec<String> = queues
        .iter()
        .filter(|queue| rung_of(queue).is_none() && !queue.is_empty())
        .map(|queue| {
            format!(
                "{} is no rung any more and still holds {}",
                queue.name,
                queue.messages.unwrap_or_default()
            )
        })
        .collect();
    if !old.is_empty() {
        let next = "wait until they come out by themselves, then automation topology apply deletes it";
        return Finding::noted(CHECK, old.join("; "), next);
    }
    let waiting: u64 = queues.iter().filter_map(|queue| queue.messages).sum();
    Finding::well(CHECK, format!("{waiting} messages wait on {} rungs, none too long", delays.len()))
}

fn said(delay: Duration) -> String {
    match (delay.as_secs(), delay.subsec_millis()) {
        (seconds, 0) => format!("{seconds} s"),
        _ => format!("{} ms", delay.as_millis()),
    }
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
    match wrong.is_empty() {
        true => Finding::well("broker nodes", format!("{} run, without an alarm", nodes.len())),
        false => Finding::wrong(
            "broker nodes",
            wrong.join("; "),
            "start the node, or free its memory or disk: rabbitmq-diagnostics status says how much is missing",
        ),
    }
}
