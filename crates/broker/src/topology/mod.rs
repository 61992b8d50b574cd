//! Exchanges, queues and bindings: one table, from which everything is declared, checked and exported.

mod apply;
mod check;
mod export;
mod retire;
mod standard;

pub use apply::ApplyError;
pub use check::{Difference, Report};
pub use retire::{RetireError, Retired};

use automation_domain::priority::Priority;
use automation_domain::rungs::Rungs;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// The topic exchange that events come in through; the routing key is the event's type.
pub const EVENTS: &str = "automation.events";
/// The alternate of [`EVENTS`]: types that nobody bound are custom events.
pub const CUSTOM: &str = "automation.custom";
/// The direct exchange for nudges; the routing key is the priority.
pub const WORK: &str = "automation.work";
/// The headers exchange for nudges that are due later: the header [`crate::retry::DELAY_HEADER`] chooses the wait queue,
/// and the routing key stays free for the priority.
pub const RETRY: &str = "automation.retry";
/// The topic exchange for commands to the modules that own a screen.
pub const COMMANDS: &str = "automation.commands";
/// The alternate of [`COMMANDS`], and the queue behind it: commands that no module took.
pub const UNCLAIMED: &str = "automation.commands.unclaimed";
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

/// What the names of all wait queues begin with.
pub const WAIT_PREFIX: &str = "automation.wait.";

/// The queue that nudges wait in for this long, in whole milliseconds: the delay is in the name, because arguments are
/// immutable.
pub fn wait_queue(delay: Duration) -> String {
    format!("{WAIT_PREFIX}{}", delay.as_millis())
}

/// Name of an exchange or queue.
pub type Name = Cow<'static, str>;

/// Arguments of an exchange, queue or binding, by name.
pub type Arguments = BTreeMap<&'static str, Argument>;

/// The value of an argument.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(untagged)]
pub enum Argument {
    /// A word.
    Text(Name),
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
    /// By equal headers.
    Headers,
    /// By pattern of the routing key.
    Topic,
}

impl ExchangeKind {
    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Headers => "headers",
            Self::Topic => "topic",
        }
    }
}

/// A durable exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// Name.
    pub name: Name,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Arguments.
    pub arguments: Arguments,
}

/// A durable quorum queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    /// Name.
    pub name: Name,
    /// Arguments.
    pub arguments: Arguments,
}

/// A binding of a queue to an exchange.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Binding {
    /// The exchange.
    pub exchange: Name,
    /// The queue.
    pub queue: Name,
    /// The routing key; empty for a fanout or headers exchange.
    pub routing_key: Name,
    /// Arguments: the headers that have to be equal.
    pub arguments: Arguments,
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

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
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
        let arguments: Vec<_> =
            self.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let by = [self.routing_key.to_string(), arguments.join(" ")].join("");
        write!(f, "binding {} -[{by}]-> {}", self.exchange, self.queue)
    }
}

/// The table, in the order in which it is declared: every target before its source, so that no message ever meets
/// a dead end while a topology is being set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    objects: Vec<Object>,
}

impl Topology {
    /// The engine's topology with the default rungs: what `rabbitmq/definitions.json` holds.
    pub fn standard() -> Self {
        Self::with_rungs(&Rungs::default())
    }

    /// The engine's topology with a wait queue for each of these rungs.
    pub fn with_rungs(rungs: &Rungs) -> Self {
        Self { objects: standard::objects(rungs) }
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
