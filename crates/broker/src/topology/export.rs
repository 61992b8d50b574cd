//! The table as files for operators.

use super::Topology;
use crate::permissions::{self, DOOR_USER, ENGINE_USER};
use serde_json::{Value, json};

impl Topology {
    /// The table in the broker's own format for definitions, for a virtual host of this name.
    ///
    /// There are no users in it, and so no permissions: an import that names a user the broker does not know is
    /// refused as a whole. Permissions are a file of their own, [`Self::export_permissions`].
    ///
    /// An import never changes what exists: one whose arguments differ succeeds and does nothing. Hence
    /// [`Self::check`] after it.
    pub fn export(&self, vhost: &str) -> Value {
        let exchanges: Vec<_> = self
            .exchanges()
            .map(|exchange| {
                json!({
                    "name": exchange.name, "vhost": vhost, "type": exchange.kind.as_str(), "durable": true,
                    "auto_delete": false, "internal": false, "arguments": exchange.arguments,
                })
            })
            .collect();
        let queues: Vec<_> = self
            .queues()
            .map(|queue| {
                json!({
                    "name": queue.name, "vhost": vhost, "durable": true, "auto_delete": false,
                    "arguments": queue.arguments,
                })
            })
            .collect();
        let bindings: Vec<_> = self
            .bindings()
            .map(|binding| {
                json!({
                    "source": binding.exchange, "vhost": vhost, "destination": binding.queue,
                    "destination_type": "queue", "routing_key": binding.routing_key,
                    "arguments": binding.arguments,
                })
            })
            .collect();
        json!({
            "vhosts": [{ "name": vhost }],
            "exchanges": exchanges,
            "queues": queues,
            "bindings": bindings,
        })
    }

    /// What the users of the engine and of its door may do, in the broker's format; to be imported once they exist.
    pub fn export_permissions(&self, vhost: &str) -> Value {
        let users = [(ENGINE_USER, permissions::engine()), (DOOR_USER, permissions::door())];
        let (general, topics): (Vec<Value>, Vec<Value>) = users
            .into_iter()
            .map(|(user, (permissions, topic))| {
                let general = json!({
                    "user": user, "vhost": vhost,
                    "configure": permissions.configure, "write": permissions.write, "read": permissions.read,
                });
                let topic = json!({
                    "user": user, "vhost": vhost,
                    "exchange": topic.exchange, "write": topic.write, "read": topic.read,
                });
                (general, topic)
            })
            .unzip();
        json!({ "permissions": general, "topic_permissions": topics })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Compares, or writes the file when `AUTOMATION_BLESS` is set.
    fn assert_is_committed(file: &str, exported: &Value) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../rabbitmq").join(file);
        if std::env::var_os("AUTOMATION_BLESS").is_some() {
            std::fs::write(&path, serde_json::to_string_pretty(exported).unwrap() + "\n").unwrap();
        }
        let committed: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            &committed, exported,
            "rabbitmq/{file} is not what the code exports: run the tests of automation-broker once with \
             AUTOMATION_BLESS=1 and commit the file"
        );
    }

    #[test]
    fn committed_definitions_are_what_the_code_exports() {
        assert_is_committed("definitions.json", &Topology::standard().export(crate::VHOST));
    }

    #[test]
    fn committed_permissions_are_what_the_code_exports() {
        assert_is_committed("permissions.json", &Topology::standard().export_permissions(crate::VHOST));
    }
}
