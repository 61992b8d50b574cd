//! How many messages make a batch, and when it begins.

use automation_broker::consumer::{Delivery, WeightedReceiver};
use automation_service_kit::clock;
use std::time::Duration;
use tokio::time::Instant;

/// Where a batch of messages ends, in bytes of their bodies: two messages of the largest size that a batch of events
/// may have.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// A batch that has so many messages, or so many bytes, is large: it is committed at once, and another worker takes messages
/// beside it.
const LARGE_MESSAGES: usize = 50;
const LARGE_BYTES: usize = 50 * 1024;
/// Batches that are not large begin so far apart, and a millisecond more for each KiB that is there, up to [`MOST_PACE`]: what
/// arrives meanwhile makes one batch instead of many. A transaction for two events costs little more than one for one, and
/// so does what follows it (docs/adr/0010, 0012). After a pause, nothing waits.
const PACE: Duration = Duration::from_millis(5);
const MOST_PACE: Duration = Duration::from_millis(12);

/// Where all workers of a process take their batches from, one at a time.
pub(crate) struct Intake {
    receiver: WeightedReceiver,
    small_batch_at: Option<Instant>,
}

impl Intake {
    pub(crate) fn new(receiver: WeightedReceiver) -> Self {
        Self { receiver, small_batch_at: None }
    }

    /// The next batch, of `most` messages at most; `None` once the consumer is drained.
    pub(crate) async fn next(&mut self, most: usize) -> Option<Vec<Delivery>> {
        let mut batch = self.receiver.recv_batch_of(most, MOST_BYTES).await?;
        if !is_large(&batch) {
            if let Some(before) = self.small_batch_at {
                tokio::time::sleep_until(before + pace(bytes(&batch))).await;
                self.receiver.add_to(&mut batch, most, MOST_BYTES);
            }
            self.small_batch_at = Some(clock::timer_now());
        }
        Some(batch)
    }
}

/// Whether a batch is worth a transaction of its own.
pub(crate) fn is_large(batch: &[Delivery]) -> bool {
    batch.len() >= LARGE_MESSAGES || bytes(batch) >= LARGE_BYTES
}

/// How long after the batch before it a small batch begins, when there are so many bytes.
fn pace(bytes: usize) -> Duration {
    let more = u64::try_from(bytes / 1024).map_or(Duration::MAX, Duration::from_millis);
    PACE.saturating_add(more).min(MOST_PACE)
}

fn bytes(batch: &[Delivery]) -> usize {
    batch.iter().map(|delivery| delivery.body.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_begin_further_apart_the_more_there_is() {
        for (bytes, millis) in
            [(0, 5), (1_023, 5), (1_024, 6), (6 * 1_024, 11), (LARGE_BYTES, 12), (usize::MAX, 12)]
        {
            assert_eq!(pace(bytes), Duration::from_millis(millis), "{bytes} bytes");
        }
    }
}
