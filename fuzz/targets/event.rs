//! Any bytes as a message, in each mode: each member is an event that can be stored, or a refusal with its code.
#![no_main]

use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_domain::event::envelope::{self, Envelope};
use automation_domain::json;
use automation_domain::limits::Limits;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|input: (u8, &[u8])| {
    let (mode, body) = input;
    let limits = Limits::default();
    let named = [("id", "1"), ("source", "shop"), ("type", "order.created"), ("tenantid", "acme")];
    let headers: BTreeMap<String, String> = std::iter::once(("specversion", "1.0"))
        .chain(named)
        .map(|(name, value)| (format!("ce-{name}"), value.to_owned()))
        .collect();
    let (content_type, headers) = match mode % 4 {
        0 => (Some(STRUCTURED), BTreeMap::new()),
        1 => (Some(BATCH), BTreeMap::new()),
        2 => (Some("application/json"), headers),
        _ => (None, BTreeMap::new()),
    };
    let envelope = Envelope { content_type, headers, routing_key: "order.created", body, ..Envelope::default() };
    for read in [envelope::read(&envelope, &limits), envelope::read_unrouted(&envelope, &limits)] {
        match read {
            Ok(members) => {
                for member in members {
                    assert!(member.bytes.end <= body.len());
                    match member.outcome {
                        Ok(event) => assert!(!json::has_nul(&event.data)),
                        Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.detail.is_empty()),
                    }
                }
            }
            Err(refusal) => assert!(!refusal.code.is_empty() && !refusal.detail.is_empty()),
        }
    }
});
