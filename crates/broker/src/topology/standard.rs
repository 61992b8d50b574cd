//! The engine's own table.

use super::{
    Argument, Arguments, Binding, CUSTOM, DEAD, DLX, EVENTS, Exchange, ExchangeKind, INGEST_KEY, Object,
    PARKING, PARKING_KEY, Queue, WORK, ingest_queue, work_queue,
};
use automation_domain::catalogue;
use automation_domain::priority::Priority;

/// Far above what any message meets. Without it, 4.x gives up on a message after 20 deliveries; `-1`, its word for
/// "no limit", makes 3.10 destroy a message at its first requeue. A number that is never reached works on both.
const DELIVERY_LIMIT: i64 = 1_000_000;

pub(super) fn objects() -> Vec<Object> {
    [inboxes(), dead_letters(), work(), ingest()].concat()
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
        Priority::ALL.map(|priority| queue(work_queue(priority), dead_lettered([]))).to_vec();
    objects.push(exchange(WORK, ExchangeKind::Direct, []));
    objects.extend(Priority::ALL.map(|priority| binding(WORK, work_queue(priority), priority.as_str())));
    objects
}

/// One binding for each type of the catalogue: a flood of one type then never delays a type of another priority.
fn ingest() -> Vec<Object> {
    let key = [("x-dead-letter-routing-key", Argument::Text(INGEST_KEY))];
    let mut objects: Vec<_> =
        Priority::ALL.map(|priority| queue(ingest_queue(priority), dead_lettered(key))).to_vec();
    objects.push(exchange(CUSTOM, ExchangeKind::Fanout, []));
    objects.push(binding(CUSTOM, ingest_queue(Priority::Medium), ""));
    objects.push(exchange(EVENTS, ExchangeKind::Topic, [("alternate-exchange", Argument::Text(CUSTOM))]));
    objects.extend(
        catalogue::triggers()
            .iter()
            .map(|trigger| binding(EVENTS, ingest_queue(trigger.priority), trigger.key)),
    );
    objects
}

/// Dead-lettering that loses nothing: at least once, which the broker only does together with `reject-publish`.
fn dead_lettered(
    more: impl IntoIterator<Item = (&'static str, Argument)>,
) -> impl IntoIterator<Item = (&'static str, Argument)> {
    [
        ("x-dead-letter-exchange", Argument::Text(DLX)),
        ("x-dead-letter-strategy", Argument::Text("at-least-once")),
        ("x-overflow", Argument::Text("reject-publish")),
    ]
    .into_iter()
    .chain(more)
}

fn queue(name: &'static str, more: impl IntoIterator<Item = (&'static str, Argument)>) -> Object {
    let mut arguments = Arguments::from([
        ("x-queue-type", Argument::Text("quorum")),
        ("x-delivery-limit", Argument::Number(DELIVERY_LIMIT)),
    ]);
    arguments.extend(more);
    Object::Queue(Queue { name, arguments })
}

fn exchange(
    name: &'static str,
    kind: ExchangeKind,
    arguments: impl IntoIterator<Item = (&'static str, Argument)>,
) -> Object {
    Object::Exchange(Exchange { name, kind, arguments: arguments.into_iter().collect() })
}

fn binding(exchange: &'static str, queue: &'static str, routing_key: &'static str) -> Object {
    Object::Binding(Binding { exchange, queue, routing_key })
}

#[cfg(test)]
mod tests {
    use super::super::Topology;
    use super::*;

    #[test]
    fn every_target_is_declared_before_its_source() {
        let mut declared = Vec::new();
        for object in Topology::standard().objects() {
            match object {
                Object::Exchange(exchange) => {
                    assert!(targets(&exchange.arguments).all(|name| declared.contains(&name)), "{object}");
                    declared.push(exchange.name);
                }
                Object::Queue(queue) => {
                    // The work and ingest queues come after the exchange that takes their dead letters.
                    assert!(targets(&queue.arguments).all(|name| declared.contains(&name)), "{object}");
                    declared.push(queue.name);
                }
                Object::Binding(binding) => {
                    assert!(
                        declared.contains(&binding.exchange) && declared.contains(&binding.queue),
                        "{object}"
                    );
                }
            }
        }
    }

    fn targets(arguments: &Arguments) -> impl Iterator<Item = &'static str> {
        ["x-dead-letter-exchange", "alternate-exchange"].into_iter().filter_map(|key| {
            match arguments.get(key) {
                Some(Argument::Text(name)) => Some(*name),
                Some(Argument::Number(_)) | None => None,
            }
        })
    }

    #[test]
    fn every_queue_is_a_quorum_queue_whose_dead_letters_are_safe() {
        for queue in Topology::standard().queues() {
            let argument = |key| queue.arguments.get(key).copied();
            assert_eq!(argument("x-queue-type"), Some(Argument::Text("quorum")), "{}", queue.name);
            assert_eq!(argument("x-delivery-limit"), Some(Argument::Number(1_000_000)), "{}", queue.name);
            if argument("x-dead-letter-exchange").is_some() {
                assert_eq!(argument("x-dead-letter-strategy"), Some(Argument::Text("at-least-once")));
                assert_eq!(argument("x-overflow"), Some(Argument::Text("reject-publish")));
            }
        }
    }

    #[test]
    fn every_trigger_of_the_catalogue_goes_to_the_queue_of_its_priority() {
        let topology = Topology::standard();
        for trigger in catalogue::triggers() {
            let bound: Vec<_> = topology
                .bindings()
                .filter(|binding| binding.exchange == EVENTS && binding.routing_key == trigger.key)
                .map(|binding| binding.queue)
                .collect();
            assert_eq!(bound, [ingest_queue(trigger.priority)], "{}", trigger.key);
        }
    }
}
