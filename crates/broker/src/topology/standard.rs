//! The engine's own table.

use super::{
    Argument, Arguments, Binding, COMMANDS, CUSTOM, DEAD, DLX, EVENTS, Exchange, ExchangeKind, INGEST_KEY,
    Name, Object, PARKING, PARKING_KEY, Queue, RETRY, UNCLAIMED, WORK, ingest_queue, wait_queue, work_queue,
};
use crate::retry::DELAY_HEADER;
use automation_domain::catalogue;
use automation_domain::priority::Priority;
use automation_domain::rungs::Rungs;

/// Far above what any message meets. Without it, 4.x gives up on a message after 20 deliveries; `-1`, its word for
/// "no limit", makes 3.10 destroy a message at its first requeue. A number that is never reached works on both.
const DELIVERY_LIMIT: i64 = 1_000_000;

/// Most commands kept that no module took; the oldest go first, since a screen they were for is long gone.
const MOST_UNCLAIMED: i64 = 100_000;

pub(super) fn objects(rungs: &Rungs) -> Vec<Object> {
    [inboxes(), dead_letters(), work(), waiting(rungs), ingest(), commands()].concat()
}

/// Where the chain ends: no dead-letter exchange and no time limit, so nothing leaves but by being acknowledged.
fn inboxes() -> Vec<Object> {
    vec![queue(DEAD, []), queue(PARKING, [])]
}

fn dead_letters() -> Vec<Object> {
    let mut objects = vec![exchange(DLX, ExchangeKind::Direct, [])];
    objects.extend(Priority::ALL.map(|priority| binding(DLX, DEAD, priority.as_str())));
    objects.extend([INGEST_KEY, PARKING_KEY].map(|key| binding(DLX, PARKING, key)));
    objects
}

/// No dead-letter routing key: a dead nudge keeps its own, which is its priority.
fn work() -> Vec<Object> {
    let mut objects: Vec<_> =
        Priority::ALL.map(|priority| queue(work_queue(priority), dead_lettered(DLX, []))).to_vec();
    objects.push(exchange(WORK, ExchangeKind::Direct, []));
    objects.extend(Priority::ALL.map(|priority| binding(WORK, work_queue(priority), priority.as_str())));
    objects
}

/// One queue per rung, without a consumer: what expires in it goes back to work. No dead-letter routing key, so that a
/// nudge keeps its own, which is its priority. The time is the queue's, never a message's: a message that expires early
/// behind one that expires late would wait for it.
fn waiting(rungs: &Rungs) -> Vec<Object> {
    let delays = rungs.distinct();
    let millis = |delay: &std::time::Duration| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    let mut objects: Vec<_> = delays
        .iter()
        .map(|delay| {
            let ttl = [("x-message-ttl", Argument::Number(millis(delay)))];
            queue(wait_queue(*delay), dead_lettered(WORK, ttl))
        })
        .collect();
    objects.push(exchange(RETRY, ExchangeKind::Headers, []));
    objects.extend(delays.iter().map(|delay| {
        Object::Binding(Binding {
            exchange: RETRY.into(),
            queue: wait_queue(*delay).into(),
            routing_key: "".into(),
            arguments: Arguments::from([
                (DELAY_HEADER, Argument::Text(millis(delay).to_string().into())),
                ("x-match", text("all")),
            ]),
        })
    }));
    objects
}

/// Modules bind queues of their own; what none takes is kept for a person, up to a length.
fn commands() -> Vec<Object> {
    let limit = [("x-max-length", Argument::Number(MOST_UNCLAIMED)), ("x-overflow", text("drop-head"))];
    vec![
        queue(UNCLAIMED, limit),
        exchange(UNCLAIMED, ExchangeKind::Fanout, []),
        binding(UNCLAIMED, UNCLAIMED, ""),
        exchange(COMMANDS, ExchangeKind::Topic, [("alternate-exchange", text(UNCLAIMED))]),
    ]
}

/// One binding for each type of the catalogue: a flood of one type then never delays a type of another priority.
fn ingest() -> Vec<Object> {
    let key = || [("x-dead-letter-routing-key", text(INGEST_KEY))];
    let mut objects: Vec<_> =
        Priority::ALL.map(|priority| queue(ingest_queue(priority), dead_lettered(DLX, key()))).to_vec();
    objects.push(exchange(CUSTOM, ExchangeKind::Fanout, []));
    objects.push(binding(CUSTOM, ingest_queue(Priority::Medium), ""));
    objects.push(exchange(EVENTS, ExchangeKind::Topic, [("alternate-exchange", text(CUSTOM))]));
    objects.extend(
        catalogue::triggers()
            .iter()
            .map(|trigger| binding(EVENTS, ingest_queue(trigger.priority), trigger.key)),
    );
    objects
}

/// Dead-lettering that loses nothing: at least once, which the broker only does together with `reject-publish`.
fn dead_lettered(
    to: &'static str,
    more: impl IntoIterator<Item = (&'static str, Argument)>,
) -> impl IntoIterator<Item = (&'static str, Argument)> {
    [
        ("x-dead-letter-exchange", text(to)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]
    .into_iter()
    .chain(more)
}

fn queue(name: impl Into<Name>, more: impl IntoIterator<Item = (&'static str, Argument)>) -> Object {
    let mut arguments = Arguments::from([
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", Argument::Number(DELIVERY_LIMIT)),
    ]);
    arguments.extend(more);
    Object::Queue(Queue { name: name.into(), arguments })
}

fn exchange(
    name: &'static str,
    kind: ExchangeKind,
    arguments: impl IntoIterator<Item = (&'static str, Argument)>,
) -> Object {
    Object::Exchange(Exchange { name: name.into(), kind, arguments: arguments.into_iter().collect() })
}

fn binding(exchange: &'static str, queue: &'static str, routing_key: &'static str) -> Object {
    Object::Binding(Binding {
        exchange: exchange.into(),
        queue: queue.into(),
        routing_key: routing_key.into(),
        arguments: Arguments::new(),
    })
}

fn text(text: &'static str) -> Argument {
    Argument::Text(text.into())
}

#[cfg(test)]
mod tests {
    use super::super::Topology;
    use super::*;

    #[test]
    fn every_target_is_declared_before_its_source() {
        let (mut exchanges, mut queues) = (Vec::new(), Vec::new());
        for object in Topology::standard().objects() {
            match object {
                Object::Exchange(exchange) => {
                    assert!(targets(&exchange.arguments).all(|name| exchanges.contains(name)), "{object}");
                    exchanges.push(exchange.name.clone());
                }
                Object::Queue(queue) => {
                    // The queues come after the exchange that takes their dead letters.
                    assert!(targets(&queue.arguments).all(|name| exchanges.contains(name)), "{object}");
                    queues.push(queue.name.clone());
                }
                Object::Binding(binding) => {
                    assert!(
                        exchanges.contains(&binding.exchange) && queues.contains(&binding.queue),
                        "{object}"
                    );
                }
            }
        }
    }

    fn targets(arguments: &Arguments) -> impl Iterator<Item = &Name> {
        ["x-dead-letter-exchange", "alternate-exchange"].into_iter().filter_map(|key| {
            match arguments.get(key) {
                Some(Argument::Text(name)) => Some(name),
                Some(Argument::Number(_)) | None => None,
            }
        })
    }

    #[test]
    fn every_queue_is_a_quorum_queue_whose_dead_letters_are_safe() {
        for queue in Topology::standard().queues() {
            let argument = |key| queue.arguments.get(key).cloned();
            assert_eq!(argument("x-queue-type"), Some(text("quorum")), "{}", queue.name);
            assert_eq!(argument("x-delivery-limit"), Some(Argument::Number(1_000_000)), "{}", queue.name);
            if argument("x-dead-letter-exchange").is_some() {
                assert_eq!(argument("x-dead-letter-strategy"), Some(text("at-least-once")));
                assert_eq!(argument("x-overflow"), Some(text("reject-publish")));
            }
        }
    }

    #[test]
    fn every_rung_has_its_own_wait_queue_whose_dead_letters_go_back_to_work() {
        let topology = Topology::standard();
        let waiting: Vec<_> = topology.queues().filter(|queue| queue.name.contains(".wait.")).collect();
        let names: Vec<_> = waiting.iter().map(|queue| queue.name.as_ref()).collect();
        let millis = [60_000, 300_000, 900_000, 3_600_000, 21_600_000];
        assert_eq!(names, millis.map(|millis| format!("automation.wait.{millis}")));
        for (queue, millis) in waiting.iter().zip(millis) {
            let arguments: Vec<_> =
                queue.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let expected = [
                "x-dead-letter-exchange=automation.work".to_owned(),
                "x-dead-letter-strategy=at-least-once".to_owned(),
                "x-delivery-limit=1000000".to_owned(),
                format!("x-message-ttl={millis}"),
                "x-overflow=reject-publish".to_owned(),
                "x-queue-type=quorum".to_owned(),
            ];
            assert_eq!(arguments, expected);
        }
        let bound: Vec<_> = topology
            .bindings()
            .filter(|binding| binding.exchange == RETRY)
            .map(ToString::to_string)
            .collect();
        let line = |millis| {
            format!(
                "binding automation.retry -[automation-delay-ms={millis} x-match=all]-> automation.wait.{millis}"
            )
        };
        assert_eq!(bound, millis.map(line));
    }

    #[test]
    fn every_trigger_of_the_catalogue_goes_to_the_queue_of_its_priority() {
        let topology = Topology::standard();
        for trigger in catalogue::triggers() {
            let bound: Vec<_> = topology
                .bindings()
                .filter(|binding| binding.exchange == EVENTS && binding.routing_key == trigger.key)
                .map(|binding| binding.queue.as_ref())
                .collect();
            assert_eq!(bound, [ingest_queue(trigger.priority)], "{}", trigger.key);
        }
    }
}
