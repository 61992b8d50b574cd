//! The events of the load, written as bytes: building each as JSON first would cost more than the engine's reading it.

use super::Load;
use crate::prepared::TENANTS;
use automation_service_kit::ids::new_id;
use chrono::{DateTime, Utc};
use std::io::Write as _;
use uuid::{Builder, Uuid};

/// The type of every event.
pub(crate) const TYPE: &str = "order.created";
/// Bytes that an event takes, and a few more.
pub(crate) const ROOM: usize = 448;

/// The ids that publishers give their events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ids {
    /// UUIDs of version 7: they begin with the time, so that receipts written one after another lie side by side.
    Ordered,
    /// UUIDs of version 4: random all over.
    Random,
}

/// Which events the workflow's trigger lets in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Matching {
    /// Each.
    All,
    /// One in ten, of every tenant as many.
    Tenth,
}

impl Matching {
    /// How many runs the first `events` events make.
    pub(crate) fn runs(self, events: u64) -> u64 {
        match self {
            Self::All => events,
            Self::Tenth => {
                let (whole, rest) = (events / 10, events / 10 * 10..events);
                whole + rest.filter(|number| self.lets_in(*number)).count() as u64
            }
        }
    }

    /// Tenants take turns by the number, so that the round is in it too: each tenant comes to its turn.
    fn lets_in(self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::Tenth => (number + number / TENANTS as u64).is_multiple_of(10),
        }
    }
}

/// Writes events one after another.
pub(crate) struct Renderer {
    randomness: u64,
}

impl Renderer {
    pub(crate) fn new() -> Self {
        Self { randomness: new_id().as_u64_pair().1 }
    }

    /// Appends an event: tenants take turns, and so do the contacts of each.
    pub(super) fn render(&mut self, into: &mut Vec<u8>, load: &Load, number: u64, at: DateTime<Utc>) {
        let tenants = TENANTS as u64;
        let total = if load.matching.lets_in(number) { 51 + number % 1_000 } else { 1 + number % 50 };
        let written = write!(
            into,
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"{source}\",\"type\":\"{TYPE}\",\
             \"time\":\"{time}\",\"tenantid\":\"tenant-{tenant}\",\"subject\":\"customer-{customer}\",\
             \"data\":{{\"order_id\":\"order-{number}\",\"total\":{total},\"currency\":\"EUR\",\
             \"items\":[{{\"sku\":\"sku-{sku}\",\"quantity\":{quantity}}}]}}}}",
            id = self.id(load.ids, at).as_hyphenated(),
            source = load.source,
            time = Time(at),
            tenant = number % tenants,
            customer = number / tenants % load.contacts as u64,
            sku = number % 97,
            quantity = 1 + number % 3,
        );
        written.expect("a vector takes whatever is written to it");
    }

    fn id(&mut self, ids: Ids, at: DateTime<Utc>) -> Uuid {
        let random = (u128::from(self.random()) << 64 | u128::from(self.random())).to_be_bytes();
        match ids {
            Ids::Random => Builder::from_random_bytes(random).into_uuid(),
            Ids::Ordered => {
                let mut tail = [0; 10];
                tail.copy_from_slice(&random[..10]);
                let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
                Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
            }
        }
    }

    /// `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), begun with 64 random bits.
    fn random(&mut self) -> u64 {
        self.randomness = self.randomness.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.randomness ^ (self.randomness >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A time as CloudEvents wants it, to the microsecond.
struct Time(DateTime<Utc>);

impl std::fmt::Display for Time {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use chrono::{Datelike as _, Timelike as _};
        let (date, time) = (self.0.date_naive(), self.0.time());
        write!(
            to,
            "{}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.nanosecond() / 1_000 % 1_000_000,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Packing;
    use super::*;
    use automation_domain::event::envelope::{Envelope, read};
    use automation_domain::limits::Limits;
    use automation_service_kit::clock::wall_clock;
    use std::collections::BTreeSet;

    fn load(packing: Packing, ids: Ids, matching: Matching) -> Load {
        Load { packing, ids, matching, contacts: 200, user: "bench".to_owned(), source: "shop" }
    }

    #[test]
    fn every_event_is_one_that_the_engine_reads() {
        for packing in [Packing::Single, Packing::FIFTY] {
            for ids in [Ids::Ordered, Ids::Random] {
                let (load, now) = (load(packing, ids, Matching::All), wall_clock());
                let messages = load.messages(&mut Renderer::new(), 0..1_000, |_| now);
                let mut seen = BTreeSet::new();
                for message in messages {
                    let envelope = Envelope {
                        content_type: Some(&message.content_type),
                        routing_key: TYPE,
                        body: &message.body,
                        ..Envelope::default()
                    };
                    for member in read(&envelope, &Limits::default()).unwrap() {
                        assert!(member.bytes.len() <= ROOM);
                        let event = member.outcome.unwrap();
                        assert_eq!(event.time.timestamp_micros(), now.timestamp_micros());
                        seen.insert(event.id);
                    }
                }
                assert_eq!(seen.len(), 1_000);
            }
        }
    }

    #[test]
    fn one_in_ten_matches_in_every_message_and_of_every_tenant() {
        let matching = (0..5_000).filter(|number| Matching::Tenth.lets_in(*number));
        let (mut by_tenant, mut by_message) = ([0; TENANTS], [0; 100]);
        for number in matching {
            by_tenant[usize::try_from(number).unwrap() % TENANTS] += 1;
            by_message[usize::try_from(number).unwrap() / 50] += 1;
        }
        assert_eq!(by_tenant, [10; TENANTS]);
        assert_eq!(by_message, [5; 100]);
    }

    #[test]
    fn runs_are_counted_as_they_are_let_in() {
        for events in [0, 1, 9, 10, 11, 49, 50, 51, 59, 60, 500, 4_987] {
            let counted = (0..events).filter(|number| Matching::Tenth.lets_in(*number)).count() as u64;
            assert_eq!(Matching::Tenth.runs(events), counted, "{events}");
        }
    }
}
