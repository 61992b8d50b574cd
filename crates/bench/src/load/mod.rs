//! Publishing as another service would, at little cost: the load shares the machine with what it measures.

mod closed_loop;
mod event;
mod steady;

pub(crate) use closed_loop::{Bounds, ClosedLoop};
pub(crate) use event::{Ids, Matching, Renderer};
pub(crate) use steady::{Pace, steady};

use crate::fleet::Fleet;
use automation_broker::publisher::Message;
use automation_broker::topology::EVENTS;
use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_service_kit::ids::new_id;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// How events are put into messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    /// Up to this many in each, of many tenants. An event waits for others for `linger` at most.
    Batches { most: usize, linger: Duration },
    /// Each in a message of its own.
    Single,
}

impl Packing {
    /// Up to 50 events, as publishers are advised to.
    pub(crate) const FIFTY: Self = Self::Batches { most: 50, linger: Duration::from_millis(5) };
}

/// What is published.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) packing: Packing,
    pub(crate) ids: Ids,
    pub(crate) matching: Matching,
    /// Contacts of each tenant; they take turns.
    pub(crate) contacts: usize,
    /// The user of the broker who publishes.
    pub(crate) user: String,
    /// The source of its events.
    pub(crate) source: &'static str,
}

impl Load {
    /// Events that all start runs, under ordered ids, of the contacts that the fleet knows.
    pub(crate) fn all_matching(fleet: &Fleet, packing: Packing, source: &'static str) -> Self {
        Self {
            packing,
            ids: Ids::Ordered,
            matching: Matching::All,
            contacts: fleet.contacts,
            user: fleet.user.clone(),
            source,
        }
    }

    /// The messages of the events with these numbers, each of which happened at the time that `at` gives it.
    pub(crate) fn messages(
        &self,
        renderer: &mut Renderer,
        numbers: std::ops::Range<u64>,
        at: impl Fn(u64) -> DateTime<Utc>,
    ) -> Vec<Message> {
        match self.packing {
            Packing::Single => numbers
                .map(|number| {
                    let mut body = Vec::with_capacity(event::ROOM);
                    renderer.render(&mut body, self, number, at(number));
                    self.message(STRUCTURED, body)
                })
                .collect(),
            Packing::Batches { most, .. } => {
                let mut messages = Vec::new();
                let mut next = numbers.start;
                while next < numbers.end {
                    let end = numbers.end.min(next + most as u64);
                    let mut body = Vec::with_capacity(event::ROOM * most);
                    for number in next..end {
                        body.push(if number == next { b'[' } else { b',' });
                        renderer.render(&mut body, self, number, at(number));
                    }
                    body.push(b']');
                    messages.push(self.message(BATCH, body));
                    next = end;
                }
                messages
            }
        }
    }

    fn message(&self, content_type: &str, body: Vec<u8>) -> Message {
        Message {
            exchange: EVENTS.to_owned(),
            routing_key: event::TYPE.to_owned(),
            body,
            content_type: content_type.to_owned(),
            message_id: new_id().to_string(),
            user_id: Some(self.user.clone()),
            ..Message::default()
        }
    }
}
