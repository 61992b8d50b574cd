//! Parking what is refused: on the broker first, with the reason in headers and the original bytes as the body.

use automation_broker::consumer::Delivery;
use automation_broker::publisher::Message;
use automation_broker::topology::{DLX, PARKING_KEY};
use std::collections::BTreeMap;

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
            ("automation-detail".to_owned(), self.detail),
            ("automation-queue".to_owned(), self.queue),
            ("automation-routing-key".to_owned(), self.routing_key),
        ]);
        let optional = [
            ("automation-tenant-id", self.tenant),
            ("automation-user", self.user),
            ("automation-content-type", self.content_type),
        ];
        headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        if let Ok(original) = serde_json::to_string(&self.headers) {
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
