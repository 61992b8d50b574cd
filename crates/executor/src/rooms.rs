//! How many requests may be on their way at once: in all, and to one destination, so that a slow one holds up no other.

use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Longest exponent of the waits for room: 2^4 seconds.
const MOST_DOUBLINGS: u32 = 4;

/// The rooms of a process.
#[derive(Debug)]
pub(crate) struct Rooms {
    most: usize,
    most_per_destination: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_destination: BTreeMap<String, usize>,
    is_closed: bool,
}

/// A room that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    rooms: Arc<Rooms>,
    destination: String,
}

impl Rooms {
    pub(crate) fn new(most: usize, most_per_destination: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_destination, taken: Mutex::default() })
    }

    /// Takes a room, if there is one.
    pub(crate) fn take(self: &Arc<Self>, destination: &str) -> Option<Room> {
        let mut taken = self.taken();
        let there = taken.by_destination.get(destination).copied().unwrap_or(0);
        if taken.is_closed || taken.all >= self.most || there >= self.most_per_destination {
            return None;
        }
        taken.all += 1;
        taken.by_destination.insert(destination.to_owned(), there + 1);
        Some(Room { rooms: self.clone(), destination: destination.to_owned() })
    }

    /// From now on there is none: the process drains.
    pub(crate) fn close(&self) {
        self.taken().is_closed = true;
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.rooms.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(there) = taken.by_destination.get_mut(&self.destination) {
            *there = there.saturating_sub(1);
            if *there == 0 {
                taken.by_destination.remove(&self.destination);
            }
        }
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
    fn one_destination_does_not_take_the_rooms_of_others() {
        let rooms = Rooms::new(3, 2);
        let (a, b) = (rooms.take("slow").unwrap(), rooms.take("slow").unwrap());
        assert!(rooms.take("slow").is_none());
        let other = rooms.take("fast").unwrap();
        assert!(rooms.take("third").is_none(), "all three are taken");
        drop((a, other));
        assert_eq!(rooms.taken().all, 1);
        let again = rooms.take("slow");
        assert!(again.is_some() && rooms.take("slow").is_none());
        drop((b, again));
        rooms.close();
        assert!(rooms.take("fast").is_none());
        assert_eq!(rooms.taken().by_destination.len(), 0);
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
