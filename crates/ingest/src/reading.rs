//! From deliveries to events that ask to be let in.

use crate::parking::Refused;
use automation_broker::consumer::Delivery;
use automation_domain::event::Event;
use automation_domain::event::envelope::{self, Envelope, Members, Refusal};
use automation_domain::limits::Limits;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An event as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The event.
    pub(crate) event: Event,
    /// Index of its delivery in the batch.
    pub(crate) delivery: usize,
    /// Where in its message it stands.
    bytes: Range<usize>,
}

impl Arrival {
    /// The bytes it came as.
    pub(crate) fn original_bytes(&self, deliveries: &[Delivery]) -> Vec<u8> {
        deliveries[self.delivery].body[self.bytes.clone()].to_vec()
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
        match guarded(delivery, || envelope::read(&envelope_of(delivery), limits)) {
            Ok(members) => {
                for member in members {
                    match member.outcome {
                        Ok(event) => {
                            portion.arrivals.push(Arrival { event, delivery: index, bytes: member.bytes });
                        }
                        Err(refusal) => {
                            let bytes = delivery.body[member.bytes].to_vec();
                            portion.refused.push(Refused::new(
                                delivery,
                                &refusal.code,
                                refusal.detail,
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
fn guarded(delivery: &Delivery, read: impl FnOnce() -> Result<Members, Refusal>) -> Result<Members, Refusal> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
        tracing::error!(message.id = delivery.message_id, "reading a message panicked; it is parked");
        Err(Refusal::new("internal_error", "the engine failed while it read the message"))
    })
}

fn envelope_of(delivery: &Delivery) -> Envelope<'_> {
    Envelope {
        content_type: delivery.content_type.as_deref(),
        headers: delivery.headers.clone(),
        routing_key: &delivery.routing_key,
        body: &delivery.body,
    }
}
