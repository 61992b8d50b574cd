//! Compares the table with what the broker has in effect.

use super::{Arguments, COMMANDS, Topology};
use crate::management::{self, Management};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Every name of the engine's begins with this.
const PREFIX: &str = "automation.";

/// Keys by which a policy can destroy or delay messages behind the back of a queue's own arguments.
const POLICY_KEYS: [&str; 10] = [
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "dead-letter-strategy",
    "delivery-limit",
    "expires",
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "overflow",
    "alternate-exchange",
];

/// One field that is not as it should be.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Difference {
    /// Which object: `queue automation.dead`.
    pub object: String,
    /// Which field: `type`, `durable`, or the name of an argument.
    pub field: String,
    /// What the table says; null for nothing.
    pub expected: Value,
    /// What is in effect; null for nothing.
    pub actual: Value,
}

/// Everything that is not as it should be.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize)]
pub struct Report {
    /// Objects that exist, but otherwise.
    pub differences: Vec<Difference>,
    /// Objects of the table that do not exist.
    pub missing: Vec<String>,
    /// Objects called `automation.…` that the table does not know.
    pub unexpected: Vec<String>,
}

impl Report {
    /// Whether all is well.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.missing.is_empty() && self.unexpected.is_empty()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for missing in &self.missing {
            writeln!(f, "missing: {missing}")?;
        }
        for Difference { object, field, expected, actual } in &self.differences {
            writeln!(f, "{object}: {field} is {actual}, should be {expected}")?;
        }
        for unexpected in &self.unexpected {
            writeln!(f, "unexpected: {unexpected}")?;
        }
        Ok(())
    }
}

impl Topology {
    /// Compares the table with a virtual host: types, arguments, bindings, and policies that would add
    /// to them.
    ///
    /// The credentials need the tag `administrator`.
    pub async fn check(&self, management: &Management, vhost: &str) -> Result<Report, management::Error> {
        let mut report = Report::default();
        self.check_exchanges(&mut report, management.exchanges(vhost).await?);
        self.check_queues(&mut report, management.queues(vhost).await?);
        self.check_bindings(&mut report, management.bindings(vhost).await?);
        check_policies(&mut report, &management.policies(vhost).await?);
        check_feature_flags(&mut report, &management.feature_flags().await?);
        Ok(report)
    }

    fn check_exchanges(&self, report: &mut Report, actual: Vec<management::Exchange>) {
        let mut actual: BTreeMap<_, _> = actual
            .into_iter()
            .filter(|exchange| exchange.name.starts_with(PREFIX))
            .map(|exchange| (exchange.name.clone(), exchange))
            .collect();
        for expected in self.exchanges() {
            let object = format!("exchange {}", expected.name);
            let Some(actual) = actual.remove(expected.name.as_ref()) else {
                report.missing.push(object);
                continue;
            };
            let mut compare = Comparison { object, report };
            compare.field("type", json!(expected.kind.as_str()), json!(actual.kind));
            compare.field("durable", json!(true), json!(actual.durable));
            compare.field("auto_delete", json!(false), json!(actual.auto_delete));
            compare.field("internal", json!(false), json!(actual.internal));
            compare.arguments(&expected.arguments, &actual.arguments);
        }
        report.unexpected.extend(actual.into_keys().map(|name| format!("exchange {name}")));
    }

    fn check_queues(&self, report: &mut Report, actual: Vec<management::Queue>) {
        let mut actual: BTreeMap<_, _> = actual
            .into_iter()
            .filter(|queue| queue.name.starts_with(PREFIX))
            .map(|queue| (queue.name.clone(), queue))
            .collect();
        for expected in self.queues() {
            let object = format!("queue {}", expected.name);
            let Some(actual) = actual.remove(expected.name.as_ref()) else {
                report.missing.push(object);
                continue;
            };
            let mut compare = Comparison { object, report };
            compare.field("durable", json!(true), json!(actual.durable));
            compare.field("auto_delete", json!(false), json!(actual.auto_delete));
            compare.arguments(&expected.arguments, &actual.arguments);
        }
        report.unexpected.extend(actual.into_keys().map(|name| format!("queue {name}")));
    }

    fn check_bindings(&self, report: &mut Report, actual: Vec<management::Binding>) {
        let expected: BTreeSet<_> = self.bindings().map(ToString::to_string).collect();
        let actual: BTreeSet<_> = actual
            .iter()
            // Every queue is bound to the nameless default exchange, which is not ours to declare.
            .filter(|binding| !binding.source.is_empty())
            .filter(|binding| binding.source.starts_with(PREFIX) || binding.destination.starts_with(PREFIX))
            // Modules take their commands into queues of their own.
            .filter(|binding| binding.source != COMMANDS || binding.destination.starts_with(PREFIX))
            .map(line)
            .collect();
        report.missing.extend(expected.difference(&actual).cloned());
        report.unexpected.extend(actual.difference(&expected).cloned());
    }
}

/// In the words of [`super::Binding`].
fn line(binding: &management::Binding) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let arguments: Vec<_> =
        binding.arguments.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    let by = [binding.routing_key.clone(), arguments.join(" ")].join("");
    format!("binding {} -[{by}]-> {}", binding.source, binding.destination)
}

/// A policy adds arguments that the queue itself does not show. Which objects it matches is for the broker to say, and
/// what it says lags behind; the virtual host is the engine's own, so every policy that could harm is named.
fn check_policies(report: &mut Report, policies: &[management::Policy]) {
    for policy in policies {
        let mut compare = Comparison { object: format!("policy {}", policy.name), report };
        for (key, value) in policy.definition.iter().filter(|(key, _)| POLICY_KEYS.contains(&key.as_str())) {
            compare.field(key, Value::Null, value.clone());
        }
    }
}

/// On 3.10 dead-lettering at least once needs the flag `stream_queue`; without it the broker silently falls back to
/// at most once. On 4.x the flag is always on, and may not be listed.
fn check_feature_flags(report: &mut Report, flags: &[management::FeatureFlag]) {
    if let Some(flag) = flags.iter().find(|flag| flag.name == "stream_queue") {
        let mut compare = Comparison { object: "feature flag stream_queue".to_owned(), report };
        compare.field("state", json!("enabled"), json!(flag.state));
    }
}

struct Comparison<'a> {
    object: String,
    report: &'a mut Report,
}

impl Comparison<'_> {
    fn field(&mut self, field: &str, expected: Value, actual: Value) {
        if expected != actual {
            let (object, field) = (self.object.clone(), field.to_owned());
            self.report.differences.push(Difference { object, field, expected, actual });
        }
    }

    fn arguments(&mut self, expected: &Arguments, actual: &Map<String, Value>) {
        let names: BTreeSet<&str> =
            expected.keys().copied().chain(actual.keys().map(String::as_str)).collect();
        for name in names {
            let expected = expected.get(name).map_or(Value::Null, |argument| json!(argument));
            let actual = actual.get(name).cloned().unwrap_or(Value::Null);
            self.field(name, expected, actual);
        }
    }
}
