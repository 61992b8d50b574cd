//! A definition as people write it: what a part is called comes first, and the graph last.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Keys in the order of the file format; others stand behind them, by the alphabet.
const ORDER: [&str; 37] = [
    "apiVersion",
    "key",
    "id",
    "name",
    "description",
    "owner",
    "tags",
    "priority",
    "event",
    "schedule",
    "cron",
    "every",
    "timezone",
    "action",
    "field",
    "op",
    "value",
    "from",
    "case",
    "to",
    "mode",
    "where",
    "reentry",
    "on_conflict",
    "with",
    "timeout",
    "delivery",
    "retry",
    "on_error",
    "enrolment",
    "exit",
    "goal",
    "triggers",
    "nodes",
    "edges",
    "layout",
    "off",
];

/// A definition that is written with its keys in the order of the format. Read again it is the same.
#[derive(Clone, Copy, Debug)]
pub struct Readable<'a>(pub &'a Value);

impl Readable<'_> {
    /// The definition as YAML.
    pub fn to_yaml(self) -> String {
        yaml_serde::to_string(&self).unwrap_or_else(|_| self.0.to_string())
    }
}

impl Serialize for Readable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
                sorted.sort_by_key(|(key, _)| (rank(key), *key));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (key, value) in sorted {
                    map.serialize_entry(key, &Readable(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Readable(item))?;
                }
                list.end()
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                plain.serialize(serializer)
            }
        }
    }
}

fn rank(key: &str) -> usize {
    ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_stand_in_the_order_of_the_format_and_say_the_same() {
        let definition = json!({
            "edges": [["a", "b"]], "zeta": 1, "alpha": 2.5, "nodes": [{ "with": {}, "action": "x", "id": "b" }],
            "key": "k", "apiVersion": "automation/v1",
        });
        let text = serde_json::to_string(&Readable(&definition)).unwrap();
        let expected = r#"{"apiVersion":"automation/v1","key":"k","nodes":[{"id":"b","action":"x","with":{}}],"edges":[["a","b"]],"alpha":2.5,"zeta":1}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), definition);
        assert!(Readable(&definition).to_yaml().starts_with("apiVersion: automation/v1\nkey: k\nnodes:\n"));
    }
}
