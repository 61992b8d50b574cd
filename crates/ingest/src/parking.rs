//! Parking what is refused: on the broker first, with the reason in headers and the original bytes as the body.

use automation_broker::consumer::Delivery;
use automation_broker::publisher::Message;
use automation_broker::topology::{DLX, PARKING_KEY};
use std::collections::BTreeMap;

/// Longest text in a header of a parked message. All headers of a message share one frame, of 128 KiB by default; a
/// broker closes the connection of whoever sends more.
const MOST_IN_HEADER: usize = 2 * 1024;
/// Most bytes of the original headers that are kept.
const MOST_OF_HEADERS: usize = 8 * 1024;

/// An event, or a whole message, that is not let in.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Refused {
    code: String,
    detail: String,
    tenant: Option<String>,
    queue: String,
    routing_key: String,
    content_type: Option<String>,
    user: Option<String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Refused {
    /// Keeps what a person needs to understand and replay it.
    pub(crate) fn new(delivery: &Delivery, code: &str, detail: String, body: Vec<u8>) -> Self {
        Self {
            code: code.to_owned(),
            detail,
            tenant: None,
            queue: delivery.queue.clone(),
            routing_key: delivery.routing_key.clone(),
            content_type: delivery.content_type.clone(),
            user: delivery.user_id.clone(),
            headers: delivery.headers.clone(),
            body,
        }
    }

    /// Adds the tenant, once it is known to exist.
    pub(crate) fn of_tenant(mut self, tenant_id: String) -> Self {
        self.tenant = Some(tenant_id);
        self
    }

    /// The message that parks it. Headers are cut to what fits, never the body.
    pub(crate) fn into_message(self, message_id: String) -> Message {
        let mut headers = BTreeMap::from([
            ("automation-reason".to_owned(), self.code),
            ("automation-detail".to_owned(), cut(self.detail)),
            ("automation-queue".to_owned(), self.queue),
            ("automation-routing-key".to_owned(), self.routing_key),
        ]);
        let optional = [
            ("automation-tenant-id", self.tenant),
            ("automation-user", self.user),
            ("automation-content-type", self.content_type),
        ];
        headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        if let Ok(original) = serde_json::to_string(&fitting(self.headers)) {
            headers.insert("automation-headers".to_owned(), original);
        }
        Message {
            exchange: DLX.to_owned(),
            routing_key: PARKING_KEY.to_owned(),
            body: self.body,
            content_type: "application/octet-stream".to_owned(),
            headers,
            message_id,
            timestamp: None,
            user_id: None,
        }
    }
}

/// The original headers, each cut to what fits; those that do not fit any more are left out. What says which event it
/// was comes first: in binary mode, without it the event could not be published again.
fn fitting(headers: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, cut(value))).collect();
    headers.sort_by_key(|(name, _)| importance(name));
    let mut bytes = 0;
    headers.retain(|(name, value)| {
        let fits = bytes + name.len() + value.len() <= MOST_OF_HEADERS;
        if fits {
            bytes += name.len() + value.len();
        }
        fits
    });
    headers.into_iter().collect()
}

/// 0 for the attributes that an event is known by, 1 for other attributes, 2 for headers of any other kind.
fn importance(header: &str) -> u8 {
    let attribute =
        ["cloudevents:", "cloudevents_", "ce-"].iter().find_map(|prefix| header.strip_prefix(prefix));
    match attribute {
        Some("specversion" | "id" | "source" | "type" | "subject" | "time" | "tenantid") => 0,
        Some(_) => 1,
        None => 2,
    }
}

/// The text, or as much of its beginning as fits a header, at a boundary of characters.
fn cut(mut text: String) -> String {
    if text.len() > MOST_IN_HEADER {
        text.truncate(text.floor_char_boundary(MOST_IN_HEADER));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_which_event_it_was_is_kept_before_all_else() {
        let mut headers: BTreeMap<_, _> =
            (0..9).map(|number| (format!("a{number}"), "x".repeat(2_000))).collect();
        headers.insert("cloudevents:id".to_owned(), "e-1".to_owned());
        headers.insert("cloudevents:source".to_owned(), "shop".to_owned());
        let kept = fitting(headers);
        assert_eq!(kept["cloudevents:id"], "e-1");
        assert_eq!(kept["cloudevents:source"], "shop");
        assert!(kept.contains_key("a0") && !kept.contains_key("a8"));
    }

    #[test]
    fn what_a_publisher_wrote_fits_the_headers_of_a_parked_message_however_long_it_is() {
        let refused = Refused {
            code: "duplicate_key".to_owned(),
            detail: "ü".repeat(200_000),
            tenant: None,
            queue: "automation.ingest.low".to_owned(),
            routing_key: "k".repeat(255),
            content_type: Some("c".repeat(255)),
            user: Some("u".repeat(255)),
            // Escaped as JSON, each of these characters takes six bytes.
            headers: (0..100).map(|number| (format!("h{number:02}"), "\u{1}".repeat(5_000))).collect(),
            body: b"as it was".to_vec(),
        };
        let message = refused.into_message("1".to_owned());
        let bytes: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes < 120_000, "{bytes}");
        assert!(message.headers["automation-detail"].ends_with('…'));
        let kept: BTreeMap<String, String> =
            serde_json::from_str(&message.headers["automation-headers"]).unwrap();
        assert_eq!(kept.keys().take(2).collect::<Vec<_>>(), ["h00", "h01"]);
        assert_eq!(message.body, b"as it was");
    }
}
