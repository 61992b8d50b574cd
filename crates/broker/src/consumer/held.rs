//! How much of a queue is held in memory.
//!
//! RabbitMQ counts what may be unacknowledged in messages and in nothing else (`prefetch_size` is not implemented), and
//! a message may be an event of 500 bytes or a batch of megabytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What deliveries of one queue may weigh that are in memory: bodies and headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldBytes {
    /// So many bytes. When messages grow all at once, what was already on its way is above it for a moment.
    pub most: usize,
    /// So many deliveries may be held whatever they weigh; at least 1. More, up to the prefetch, as long as they should weigh
    /// half of `most` at most, by the size that messages had of late.
    pub any_size: u16,
}

impl HeldBytes {
    /// How many messages of this mean size may be held.
    pub(super) fn prefetch(self, mean: usize, most: u16) -> u16 {
        u16::try_from(self.most / 2 / mean.max(1)).unwrap_or(most).clamp(self.any_size.min(most), most)
    }
}

/// The bytes of one queue that are in memory, across all reconnections: what is left over from a lost connection lies there
/// until its turn to be thrown away.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: AtomicUsize,
    fell: Notify,
}

/// The part of one delivery, until it is dropped.
pub(super) struct Share {
    held: Held,
    pub(super) bytes: usize,
}

impl Held {
    pub(super) fn share(&self, bytes: usize) -> Share {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Share { held: self.clone(), bytes }
    }

    pub(super) fn exceeds(&self, most: usize) -> bool {
        self.0.bytes.load(Ordering::Relaxed) > most
    }

    /// Waits until it does not exceed `most`.
    pub(super) async fn until_within(&self, most: usize) {
        loop {
            let fell = self.0.fell.notified();
            if !self.exceeds(most) {
                return;
            }
            fell.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.held.0.fell.notify_waiters();
    }
}

/// The size of messages, so many at a time.
pub(super) struct Sizes {
    at_a_time: usize,
    messages: usize,
    bytes: usize,
}

impl Sizes {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self { at_a_time, messages: 0, bytes: 0 }
    }

    /// The mean of the latest, when there are enough of them, and begins anew.
    pub(super) fn add(&mut self, bytes: usize) -> Option<usize> {
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.messages < self.at_a_time {
            return None;
        }
        let mean = self.bytes / self.messages;
        *self = Self::new(self.at_a_time);
        Some(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_messages_are_the_fewer_are_held() {
        const KIB: usize = 1024;
        let held = HeldBytes { most: 64 * KIB * KIB, any_size: 16 };
        let prefetch = |mean| held.prefetch(mean, 1_500);
        assert_eq!([0, 500, 21 * KIB].map(prefetch), [1_500; 3]);
        assert_eq!([25 * KIB, 256 * KIB, KIB * KIB].map(prefetch), [1_310, 128, 32]);
        assert_eq!([4 * KIB * KIB, usize::MAX].map(prefetch), [16; 2]);
        assert_eq!(held.prefetch(usize::MAX, 10), 10);
    }

    #[test]
    fn sizes_are_a_mean_of_so_many_at_a_time() {
        let mut sizes = Sizes::new(3);
        assert_eq!(
            [1, 2, 6, 1, 1, 1].map(|bytes| sizes.add(bytes)),
            [None, None, Some(3), None, None, Some(1)]
        );
    }

    #[tokio::test]
    async fn what_is_held_is_given_back_when_a_delivery_is_dropped() {
        let held = Held::default();
        let shares = [held.share(3), held.clone().share(4)];
        assert!(held.exceeds(6));
        assert!(!held.exceeds(7));
        held.until_within(7).await;
        let waiting = tokio::spawn({
            let held = held.clone();
            async move { held.until_within(6).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(shares);
        waiting.await.unwrap();
        assert!(!held.exceeds(0));
    }
}
