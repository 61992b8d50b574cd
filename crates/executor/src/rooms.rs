//! How many requests may be on their way at once: in all, of one tenant, to one destination, so that a slow one holds up no
//! other, and a tenant with many none of another's.

use crate::Requests;
use automation_domain::id::TenantId;
use automation_service_kit::shares::{Place, Shares};
use chrono::TimeDelta;
use std::sync::Arc;
use uuid::Uuid;

/// Longest exponent of the waits for room: 2^4 seconds.
const MOST_DOUBLINGS: u32 = 4;

/// Whom a room is counted for. Destinations are hosts and ports as the guard reads them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Party {
    Tenant(TenantId),
    Destination(String),
    /// A tenant's requests to one destination, which others may want to reach too.
    TenantThere(TenantId, String),
}

/// A room that is taken, until it is dropped.
pub(crate) type Room = Place<Party>;

/// The rooms of a process.
#[derive(Debug)]
pub(crate) struct Rooms {
    shares: Arc<Shares<Party>>,
    per_tenant: usize,
    per_destination: usize,
}

impl Rooms {
    pub(crate) fn new(requests: &Requests) -> Self {
        Self {
            shares: Shares::new(requests.at_once),
            per_tenant: requests.per_tenant,
            per_destination: requests.per_host,
        }
    }

    /// Takes a room, if there is one.
    pub(crate) fn take(&self, tenant: TenantId, destination: &str) -> Option<Room> {
        let there = || destination.to_owned();
        let parties = vec![
            (Party::Tenant(tenant), self.per_tenant),
            (Party::Destination(there()), self.per_destination),
            // Half of it, so that nobody keeps others from a service that all of them use.
            (Party::TenantThere(tenant, there()), self.per_destination.div_ceil(2)),
        ];
        self.shares.take(parties).ok()
    }

    /// From now on there is none: the process drains.
    pub(crate) fn close(&self) {
        self.shares.close();
    }
}

/// How long a step waits for room that found none `postponed` times in a row: about a second at first, then twice as long
/// each time. `seed` spreads the steps that wait for the same, by a quarter up or down.
pub(crate) fn wait_for_room(postponed: u32, seed: Uuid) -> TimeDelta {
    let base = 1_000_i64 << postponed.min(MOST_DOUBLINGS);
    let spread = i64::try_from(seed.as_u128() % 512).unwrap_or(0) - 256;
    TimeDelta::milliseconds(base + base * spread / 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_destination_nor_a_tenant_takes_the_rooms_of_others() {
        let requests = Requests { at_once: 10, per_tenant: 6, per_host: 4, ..Requests::default() };
        let rooms = Rooms::new(&requests);
        let tenant = |number| TenantId(Uuid::from_u128(number));
        let take = |who, destination: &str, most: usize| -> Vec<Room> {
            (0..most).map_while(|_| rooms.take(tenant(who), destination)).collect()
        };
        let first = take(1, "slow:443", 10);
        assert_eq!(first.len(), 2, "half of what there is for a destination");
        let second = take(2, "slow:443", 10);
        assert_eq!(second.len(), 2);
        assert!(take(3, "slow:443", 1).is_empty(), "the destination has all four");
        let more = ["a:443", "b:443", "c:443"].map(|destination| take(1, destination, 10));
        assert_eq!(more.iter().map(Vec::len).sum::<usize>(), 4, "six of a tenant in all");
        let other = take(3, "d:443", 10);
        assert_eq!(other.len(), 2, "and others go on");
        drop((first, second));
        assert_eq!(take(3, "slow:443", 10).len(), 2);
        rooms.close();
        assert!(take(4, "e:443", 1).is_empty());
    }

    #[test]
    fn waits_double_and_are_spread() {
        let seconds = |postponed, seed| wait_for_room(postponed, Uuid::from_u128(seed)).as_seconds_f64();
        assert_eq!(seconds(0, 256), 1.0);
        assert_eq!(
            [0, 1, 2, 3, 4, 9].map(|postponed| seconds(postponed, 256)),
            [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]
        );
        assert_eq!((seconds(0, 0), seconds(0, 511) < 1.25), (0.75, true));
    }
}
