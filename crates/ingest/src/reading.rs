//! From deliveries to events that ask to be let in.

use crate::parking::Refused;
use automation_broker::consumer::Delivery;
use automation_domain::event::Event;
use automation_domain::event::envelope::{self, Envelope};
use automation_domain::limits::Limits;

/// An event as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The event.
    pub(crate) event: Event,
    /// Index of its delivery in the batch.
    pub(crate) delivery: usize,
    /// Index of the event in its message.
    pub(crate) member: usize,
}

/// Reads every delivery; what cannot be read is refused at once.
pub(crate) fn read(deliveries: &[Delivery], limits: &Limits) -> (Vec<Arrival>, Vec<Refused>) {
    let (mut arrivals, mut refused) = (Vec::with_capacity(deliveries.len()), Vec::new());
    for (index, delivery) in deliveries.iter().enumerate() {
        match envelope::read(&envelope_of(delivery), limits) {
            Ok(members) => {
                for (member, outcome) in members.into_iter().enumerate() {
                    match outcome {
                        Ok(event) => arrivals.push(Arrival { event, delivery: index, member }),
                        Err((refusal, bytes)) => {
                            refused.push(Refused::new(delivery, &refusal.code, refusal.detail, bytes));
                        }
                    }
                }
            }
            Err(refusal) => {
                refused.push(Refused::new(delivery, &refusal.code, refusal.detail, delivery.body.clone()));
            }
        }
    }
    (arrivals, refused)
}

/// The bytes of an event that is refused after it could be read.
pub(crate) fn original_bytes(deliveries: &[Delivery], arrival: &Arrival, limits: &Limits) -> Vec<u8> {
    envelope::original_bytes(&envelope_of(&deliveries[arrival.delivery]), arrival.member, limits)
}

fn envelope_of(delivery: &Delivery) -> Envelope<'_> {
    Envelope {
        content_type: delivery.content_type.as_deref(),
        headers: delivery.headers.clone(),
        routing_key: &delivery.routing_key,
        body: &delivery.body,
    }
}
