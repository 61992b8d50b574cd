//! A message as it was delivered.

use super::held::{Held, Share};
use super::ledger::Ledger;
use chrono::{DateTime, Datelike, SecondsFormat};
use lapin::types::{AMQPValue, FieldTable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A delivered message. Until it is settled through [`super::Acker`], it belongs to the queue.
pub struct Delivery {
    /// The queue it came from.
    pub queue: String,
    /// The exchange it was published to; empty for the default exchange.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The content.
    pub body: Vec<u8>,
    /// What the content is said to be.
    pub content_type: Option<String>,
    /// How the content is said to be coded: `gzip`.
    pub content_encoding: Option<String>,
    /// The publisher's headers that can be written as text, by lower-cased name, in CloudEvents' canonical form: times by
    /// RFC 3339, numbers in digits, `true` and `false`. They are the same however often the message is delivered: what the
    /// broker itself counts in headers is left out.
    pub headers: BTreeMap<String, String>,
    /// The publisher's headers that cannot, by lower-cased name, and what they are: `a list`.
    pub opaque_headers: BTreeMap<String, &'static str>,
    /// The publisher's id of the message.
    pub message_id: Option<String>,
    /// Who published it; checked by the broker when it is there.
    pub user_id: Option<String>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Where the broker gave up on it before, latest first. For people: counts differ between broker versions.
    pub deaths: Vec<Death>,
    pub(super) acker: lapin::Acker,
    pub(super) tag: u64,
    pub(super) ledger: Arc<Ledger>,
    pub(super) held: Share,
}

/// One entry of `x-death`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Death {
    /// The queue it left.
    pub queue: String,
    /// `rejected`, `expired`, `maxlen` or `delivery_limit`.
    pub reason: String,
    /// The exchange it had been published to.
    pub exchange: String,
    /// The routing keys it had been published with.
    pub routing_keys: Vec<String>,
    /// How often.
    pub count: u64,
}

impl Delivery {
    pub(super) fn new(
        queue: &str,
        delivery: lapin::message::Delivery,
        ledger: Arc<Ledger>,
        held: &Held,
    ) -> Self {
        let properties = delivery.properties;
        let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(ToString::to_string);
        let table = properties.headers().as_ref();
        let headers = table.map(publishers).unwrap_or_default();
        let opaque_headers = table.map(opaque).unwrap_or_default();
        let in_headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let held = held.share(delivery.data.len() + in_headers);
        Self {
            queue: queue.to_owned(),
            exchange: delivery.exchange.into(),
            routing_key: delivery.routing_key.into(),
            body: delivery.data,
            content_type: text(properties.content_type()),
            content_encoding: text(properties.content_encoding()),
            headers,
            opaque_headers,
            message_id: text(properties.message_id()),
            user_id: text(properties.user_id()),
            redelivered: delivery.redelivered,
            deaths: table.map(deaths).unwrap_or_default(),
            acker: delivery.acker,
            tag: delivery.delivery_tag,
            ledger,
            held,
        }
    }

    /// Whether its channel is gone: it cannot be acknowledged any more, and will be delivered again.
    pub fn is_stale(&self) -> bool {
        self.acker.poisoned()
    }
}

impl std::fmt::Debug for Delivery {
    /// Without the content, which may be personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("queue", &self.queue)
            .field("routing_key", &self.routing_key)
            .field("message_id", &self.message_id)
            .field("size_bytes", &self.body.len())
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}

/// What the broker adds to a message: how often it was delivered, and where it gave up on it.
const BROKERS_OWN: [&str; 4] = ["x-delivery-count", "x-acquired-count", "x-first-death-", "x-last-death-"];

fn publishers(table: &FieldTable) -> BTreeMap<String, String> {
    let mut headers = texts(table);
    headers.retain(|name, _| !BROKERS_OWN.iter().any(|own| name.starts_with(own)));
    headers
}

fn texts(table: &FieldTable) -> BTreeMap<String, String> {
    table
        .inner()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_ascii_lowercase(), text(value)?)))
        .collect()
}

/// The value as CloudEvents writes its types as text; `None` for what is none of them, or nothing.
fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::ByteArray(bytes) => std::str::from_utf8(bytes.as_slice()).ok().map(str::to_owned),
        AMQPValue::Boolean(value) => Some(value.to_string()),
        AMQPValue::ShortShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortShortUInt(number) => Some(number.to_string()),
        AMQPValue::ShortInt(number) => Some(number.to_string()),
        AMQPValue::ShortUInt(number) => Some(number.to_string()),
        AMQPValue::LongInt(number) => Some(number.to_string()),
        AMQPValue::LongUInt(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        AMQPValue::Timestamp(seconds) => Some(time(*seconds)),
        AMQPValue::Float(number) => Some(number.to_string()),
        AMQPValue::Double(number) => Some(number.to_string()),
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::Void => None,
    }
}

/// By RFC 3339. What is no time of its four-digit years, such as milliseconds sent for seconds, stays the number it is.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    match time.filter(|time| time.year() <= 9_999) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        None => seconds.to_string(),
    }
}

fn opaque(table: &FieldTable) -> BTreeMap<String, &'static str> {
    let kind = |value: &AMQPValue| match value {
        AMQPValue::FieldArray(_) => Some("a list"),
        AMQPValue::FieldTable(_) => Some("a table"),
        AMQPValue::DecimalValue(_) => Some("a decimal"),
        AMQPValue::ByteArray(bytes) if std::str::from_utf8(bytes.as_slice()).is_err() => {
            Some("an array of bytes that are not UTF-8")
        }
        AMQPValue::ByteArray(_)
        | AMQPValue::LongString(_)
        | AMQPValue::ShortString(_)
        | AMQPValue::Boolean(_)
        | AMQPValue::ShortShortInt(_)
        | AMQPValue::ShortShortUInt(_)
        | AMQPValue::ShortInt(_)
        | AMQPValue::ShortUInt(_)
        | AMQPValue::LongInt(_)
        | AMQPValue::LongUInt(_)
        | AMQPValue::LongLongInt(_)
        | AMQPValue::Timestamp(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::Void => None,
    };
    let opaque = table.inner().iter().filter(|(name, _)| !name.as_str().starts_with("x-"));
    opaque.filter_map(|(name, value)| Some((name.as_str().to_ascii_lowercase(), kind(value)?))).collect()
}

fn deaths(table: &FieldTable) -> Vec<Death> {
    let Some(AMQPValue::FieldArray(entries)) = table.inner().get("x-death") else { return Vec::new() };
    entries.as_slice().iter().filter_map(|entry| entry.as_field_table().map(death)).collect()
}

fn death(entry: &FieldTable) -> Death {
    let fields = texts(entry);
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let routing_keys = match entry.inner().get("routing-keys") {
        Some(AMQPValue::FieldArray(keys)) => keys.as_slice().iter().filter_map(text).collect(),
        Some(_) | None => Vec::new(),
    };
    Death {
        queue: field("queue"),
        reason: field("reason"),
        exchange: field("exchange"),
        routing_keys,
        count: field("count").parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::{ByteArray, FieldArray};

    #[test]
    fn headers_in_the_brokers_types_are_text_as_cloudevents_writes_it() {
        for (value, expected) in [
            (AMQPValue::LongString("ü".into()), Some("ü")),
            (AMQPValue::ByteArray(ByteArray::from(&b"e-1"[..])), Some("e-1")),
            (AMQPValue::ByteArray(ByteArray::from(&b"\xff"[..])), None),
            (AMQPValue::Boolean(true), Some("true")),
            (AMQPValue::ShortShortInt(-1), Some("-1")),
            (AMQPValue::LongLongInt(i64::MAX), Some("9223372036854775807")),
            (AMQPValue::Timestamp(1_790_000_000), Some("2026-09-21T14:13:20Z")),
            (AMQPValue::Timestamp(0), Some("1970-01-01T00:00:00Z")),
            (AMQPValue::Timestamp(1_790_000_000_000), Some("1790000000000")),
            (AMQPValue::Timestamp(u64::MAX), Some("18446744073709551615")),
            (AMQPValue::FieldArray(FieldArray::default()), None),
            (AMQPValue::Void, None),
        ] {
            assert_eq!(text(&value).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn headers_that_are_no_text_are_named() {
        let mut table = FieldTable::default();
        table.insert("cloudEvents:subject".into(), AMQPValue::FieldArray(FieldArray::default()));
        table.insert("cloudEvents:id".into(), AMQPValue::ByteArray(ByteArray::from(&b"\xff"[..])));
        table.insert("cloudEvents:time".into(), AMQPValue::Timestamp(0));
        table.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::default()));
        table.insert("nothing".into(), AMQPValue::Void);
        let expected = [
            ("cloudevents:id".to_owned(), "an array of bytes that are not UTF-8"),
            ("cloudevents:subject".to_owned(), "a list"),
        ];
        assert_eq!(opaque(&table), BTreeMap::from(expected));
    }
}
