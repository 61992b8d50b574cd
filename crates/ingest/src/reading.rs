//! From deliveries to events that ask to be let in.

use crate::parking::Refused;
use automation_broker::consumer::Delivery;
use automation_domain::event::Event;
use automation_domain::event::envelope::{self, Envelope, Members, Rejection};
use automation_domain::limits::Limits;
use automation_service_kit::in_hand::{self, Doing};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An event as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The event.
    pub(crate) event: Event,
    /// Index of its delivery in the batch.
    pub(crate) delivery: usize,
    /// Its place among the events of its message, where that may hold several.
    member: Option<usize>,
    /// Where in its message it stands.
    bytes: Range<usize>,
}

impl Arrival {
    /// How many bytes it came as.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes it came as.
    pub(crate) fn bytes<'d>(&self, deliveries: &'d [Delivery]) -> &'d [u8] {
        &deliveries[self.delivery].body[self.bytes.clone()]
    }

    /// Refuses it, with the bytes it came as.
    pub(crate) fn refused(&self, deliveries: &[Delivery], code: &str, detail: String) -> Refused {
        let delivery = &deliveries[self.delivery];
        let bytes = delivery.body[self.bytes.clone()].to_vec();
        Refused::new(delivery, code, of_member(self.member, detail), bytes)
    }
}

/// The sentence with the place in a batch in front, as only the rest of the batch could tell it otherwise.
fn of_member(member: Option<usize>, detail: String) -> String {
    match member {
        Some(index) => format!("member {index} of the batch, counted from 0: {detail}"),
        None => detail,
    }
}

/// What the first few of many deliveries hold.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    /// How many deliveries were read.
    pub(crate) deliveries: usize,
    /// Their events.
    pub(crate) arrivals: Vec<Arrival>,
    /// What could not be read.
    pub(crate) refused: Vec<Refused>,
}

/// Reads deliveries until they hold `enough` events; a delivery is read whole. What cannot be read is refused at once.
///
/// Events take several times the room of their bytes, so that not all of a backlog is read before the first is done.
pub(crate) fn read(deliveries: &[Delivery], enough: usize, limits: &Limits) -> Portion {
    let mut portion = Portion::default();
    for (index, delivery) in deliveries.iter().enumerate() {
        if portion.arrivals.len() + portion.refused.len() >= enough {
            break;
        }
        portion.deliveries += 1;
        let _hand = in_hand::take(Doing::Message(delivery.message_id.as_deref().unwrap_or_default()));
        match guarded(delivery, || envelope::read(&envelope_of(delivery), limits)) {
            Ok(members) => {
                for member in members {
                    match member.outcome {
                        Ok(event) => {
                            portion.arrivals.push(Arrival {
                                event,
                                delivery: index,
                                member: member.index,
                                bytes: member.bytes,
                            });
                        }
                        Err(refusal) => {
                            let bytes = delivery.body[member.bytes].to_vec();
                            portion.refused.push(Refused::new(
                                delivery,
                                &refusal.code,
                                of_member(member.index, refusal.detail),
                                bytes,
                            ));
                        }
                    }
                }
            }
            Err(refusal) => {
                let bytes = delivery.body.clone();
                portion.refused.push(Refused::new(delivery, &refusal.code, refusal.detail, bytes));
            }
        }
    }
    portion
}

/// A message that makes the reader panic is parked: it would come back to each replica in turn and take them all down.
fn guarded(
    delivery: &Delivery,
    read: impl FnOnce() -> Result<Members, Rejection>,
) -> Result<Members, Rejection> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
        tracing::error!(message.id = delivery.message_id, "reading a message panicked; it is parked");
        Err(Rejection::new("internal_error", "the engine failed while it read the message"))
    })
}

fn envelope_of(delivery: &Delivery) -> Envelope<'_> {
    Envelope {
        content_type: delivery.content_type.as_deref(),
        content_encoding: delivery.content_encoding.as_deref(),
        headers: delivery.headers.clone(),
        opaque_headers: delivery.opaque_headers.clone(),
        routing_key: &delivery.routing_key,
        body: &delivery.body,
    }
}
