//! What each kind of user may do: nothing but its work.
//!
//! Users and their passwords belong to the deployment; the patterns belong here, because they follow the topology.

use automation_domain::grant;
use serde::{Deserialize, Serialize};

/// The user of the engine's roles.
pub const ENGINE_USER: &str = "automation-engine";
/// The user of the door, apart from the engine's: it faces the internet.
pub const DOOR_USER: &str = "automation-door";
/// The tag of users that the engine's command line made for publishers. It gives no right; without it, the command line
/// changes and deletes no user.
pub const PUBLISHER_TAG: &str = "automation-publisher";

/// Patterns of the objects a user may configure, write to and read from; anchored by the pattern itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Permissions {
    /// Exchanges and queues it may declare and delete.
    pub configure: String,
    /// Exchanges it may publish to.
    pub write: String,
    /// Queues it may consume from.
    pub read: String,
}

/// Patterns of the routing keys a user may use on one topic exchange.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TopicPermissions {
    /// The exchange.
    pub exchange: String,
    /// Routing keys it may publish with.
    pub write: String,
    /// Routing keys it may bind with.
    pub read: String,
}

/// The engine's roles: publish and consume, but never declare, so that a mistake in a role cannot change the topology.
pub fn engine() -> (Permissions, TopicPermissions) {
    let permissions = Permissions {
        configure: "^$".to_owned(),
        write: r"^automation\.(events|work|retry|commands|dlx)$".to_owned(),
        read: r"^automation\.((ingest|work)\.(high|medium|low)|dead|parking)$".to_owned(),
    };
    (permissions, events_topic(".*"))
}

/// The door: a publisher of every type. It reads nothing, and wakes nobody.
pub fn door() -> (Permissions, TopicPermissions) {
    publisher(".*")
}

/// A service that publishes events: it may write to `automation.events`, with routing keys that match
/// `event_types` (`^crm\.`), and do nothing else.
///
/// Passive declaration cannot be forbidden: any user can ask how long a queue is.
pub fn publisher(event_types: &str) -> (Permissions, TopicPermissions) {
    let permissions = Permissions {
        configure: "^$".to_owned(),
        write: r"^automation\.events$".to_owned(),
        read: "^$".to_owned(),
    };
    (permissions, events_topic(event_types))
}

/// A service that publishes events of these types, as granted: each exact, or with a trailing `*`.
pub fn publisher_of(event_types: &[String]) -> (Permissions, TopicPermissions) {
    publisher(&grant::regular_expression(event_types))
}

/// Whoever applies the topology: it may declare what is the engine's, and bind it.
pub fn deployer() -> Permissions {
    let own = r"^automation\.".to_owned();
    Permissions { configure: own.clone(), write: own.clone(), read: own }
}

fn events_topic(write: &str) -> TopicPermissions {
    TopicPermissions {
        exchange: crate::topology::EVENTS.to_owned(),
        write: write.to_owned(),
        read: "^$".to_owned(),
    }
}
