//! Exchanges, queues and bindings: one table, from which everything is declared, checked and exported.

mod apply;
mod check;
mod export;
mod standard;

pub use apply::ApplyError;
pub use check::{Difference, Report};

use automation_domain::priority::Priority;
use serde::Serialize;
use std::collections::BTreeMap;

/// The topic exchange that events come in through; the routing key is the event's type.
pub const EVENTS: &str = "automation.events";
/// The alternate of [`EVENTS`]: types that nobody bound are custom events.
pub const CUSTOM: &str = "automation.custom";
/// The direct exchange for nudges; the routing key is the priority.
pub const WORK: &str = "automation.work";
/// The direct exchange for what was given up on.
pub const DLX: &str = "automation.dlx";
/// The inbox of dead nudges.
pub const DEAD: &str = "automation.dead";
/// The inbox of events that cannot be taken in, with their original bytes.
pub const PARKING: &str = "automation.parking";

/// The routing key on [`DLX`] of what the broker itself gave up on in an ingest queue.
pub const INGEST_KEY: &str = "ingest";
/// The routing key on [`DLX`] of what ingest parks.
pub const PARKING_KEY: &str = "parking";

/// The queue that events of a priority wait in.
pub fn ingest_queue(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "automation.ingest.high",
        Priority::Medium => "automation.ingest.medium",
        Priority::Low => "automation.ingest.low",
    }
}

/// The queue that nudges of a priority wait in.
pub fn work_queue(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "automation.work.high",
        Priority::Medium => "automation.work.medium",
        Priority::Low => "automation.work.low",
    }
}

/// Arguments of an exchange or queue, by name.
pub type Arguments = BTreeMap<&'static str, Argument>;

/// The value of an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Argument {
    /// A word.
    Text(&'static str),
    /// A whole number.
    Number(i64),
}

/// How an exchange routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExchangeKind {
    /// By equal routing key.
    Direct,
    /// To every bound queue.
    Fanout,
    /// By pattern of the routing key.
    Topic,
}

impl ExchangeKind {
    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
        }
    }
}

/// A durable exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// Name.
    pub name: &'static str,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Arguments.
    pub arguments: Arguments,
}

/// A durable quorum queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    /// Name.
    pub name: &'static str,
    /// Arguments.
    pub arguments: Arguments,
}

/// A binding of a queue to an exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Binding {
    /// The exchange.
    pub exchange: &'static str,
    /// The queue.
    pub queue: &'static str,
    /// The routing key; empty for a fanout exchange.
    pub routing_key: &'static str,
}

/// One line of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Object {
    /// An exchange.
    Exchange(Exchange),
    /// A queue.
    Queue(Queue),
    /// A binding.
    Binding(Binding),
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exchange(exchange) => write!(f, "exchange {}", exchange.name),
            Self::Queue(queue) => write!(f, "queue {}", queue.name),
            Self::Binding(binding) => binding.fmt(f),
        }
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "binding {} -[{}]-> {}", self.exchange, self.routing_key, self.queue)
    }
}

/// The table, in the order in which it is declared: every target before its source, so that no message ever meets
/// a dead end while a topology is being set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    objects: Vec<Object>,
}

impl Topology {
    /// The engine's topology.
    pub fn standard() -> Self {
        Self { objects: standard::objects() }
    }

    /// A topology of one's own.
    pub fn new(objects: Vec<Object>) -> Self {
        Self { objects }
    }

    /// The table, in order of declaration.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The exchanges, in order.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.objects.iter().filter_map(|object| match object {
            Object::Exchange(exchange) => Some(exchange),
            Object::Queue(_) | Object::Binding(_) => None,
        })
    }

    /// The queues, in order.
    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.objects.iter().filter_map(|object| match object {
            Object::Queue(queue) => Some(queue),
            Object::Exchange(_) | Object::Binding(_) => None,
        })
    }

    /// The bindings, in order.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.objects.iter().filter_map(|object| match object {
            Object::Binding(binding) => Some(binding),
            Object::Exchange(_) | Object::Queue(_) => None,
        })
    }
}
