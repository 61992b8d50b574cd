//! A message to publish.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString, ShortStringError};
use std::collections::BTreeMap;

/// Delivery mode 2: kept on disk.
const PERSISTENT: u8 = 2;

/// A message to publish.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The content.
    pub body: Vec<u8>,
    /// What the content is.
    pub content_type: String,
    /// Headers. Those that begin with `x-` are the broker's own and are left out: a copied `x-death` makes the broker
    /// take a retry for a loop, and drop the message.
    pub headers: BTreeMap<String, String>,
    /// The same at every try; left out when it is longer than the 255 bytes that AMQP has room for.
    pub message_id: String,
    /// Seconds since the epoch.
    pub timestamp: Option<u64>,
    /// Who publishes; the broker refuses any name but that of the connection's user.
    pub user_id: Option<String>,
}

/// Why a message cannot be put on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("its {field} is longer than the 255 bytes that AMQP has room for")]
pub struct InvalidMessage {
    /// Which part of it.
    pub field: &'static str,
}

/// A message in the form that is sent.
pub(super) struct Frames {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn into_frames(self) -> Result<Frames, InvalidMessage> {
        let mut headers = FieldTable::default();
        for (name, value) in self.headers {
            if !name.to_ascii_lowercase().starts_with("x-") {
                headers.insert(short("header", name)?, AMQPValue::LongString(value.into()));
            }
        }
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(short("content type", self.content_type)?)
            .with_headers(headers);
        if let Ok(id) = ShortString::try_new(self.message_id) {
            properties = properties.with_message_id(id);
        }
        if let Some(timestamp) = self.timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        if let Some(user) = self.user_id {
            properties = properties.with_user_id(short("user id", user)?);
        }
        Ok(Frames {
            exchange: short("exchange", self.exchange)?,
            routing_key: short("routing key", self.routing_key)?,
            properties,
            body: self.body,
        })
    }
}

fn short(field: &'static str, text: String) -> Result<ShortString, InvalidMessage> {
    ShortString::try_new(text).map_err(|_: ShortStringError| InvalidMessage { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_broker_are_left_out() {
        let headers =
            ["x-death", "X-First-Death-Queue", "traceparent"].map(|name| (name.to_owned(), String::new()));
        let message = Message { headers: headers.into(), ..Message::default() };
        let frames = message.into_frames().unwrap();
        let sent = frames.properties.headers().as_ref().unwrap().inner().keys().map(ToString::to_string);
        assert_eq!(sent.collect::<Vec<_>>(), ["traceparent"]);
    }

    #[test]
    fn an_event_id_that_is_too_long_for_amqp_is_left_out() {
        for (length, is_sent) in [(255, true), (256, false)] {
            let message = Message { message_id: "i".repeat(length), ..Message::default() };
            let frames = message.into_frames().unwrap();
            assert_eq!(frames.properties.message_id().is_some(), is_sent, "{length}");
        }
    }

    #[test]
    fn a_key_that_is_too_long_is_refused_by_name() {
        let message = Message { routing_key: "k".repeat(256), ..Message::default() };
        assert_eq!(message.into_frames().err(), Some(InvalidMessage { field: "routing key" }));
    }
}
