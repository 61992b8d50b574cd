//! Acknowledging many deliveries at once, and only those.
//!
//! To a quorum queue an acknowledgement is a command as a message is: it goes through the log and its `fsync`. So
//! acknowledgements of many small batches go together, which takes a fifth off the broker's CPU at low load.

use super::Delivery;
use crate::connection::{PATIENCE, within};
use lapin::options::{BasicAckOptions, BasicNackOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest that an acknowledgement waits for others. What was done in the meantime is delivered again after a crash.
const LINGER: Duration = Duration::from_millis(50);
/// So many are acknowledged without waiting: an eighth of the prefetch, so that the broker never holds back for want of
/// room, but not fewer than eight, or than half of a smaller prefetch.
fn enough(prefetch: usize) -> usize {
    (prefetch / 8).max(8.min(prefetch / 2)).max(1)
}

/// The deliveries of one channel that are not settled yet, by tag.
///
/// An acknowledgement of many covers every earlier tag of its channel, also those somebody else is still working on.
/// The ledger knows them.
pub(super) struct Ledger {
    unsettled: Mutex<BTreeSet<u64>>,
    /// Held from looking at the ledger until the frames are sent: two settlements that overtook each other would name
    /// a tag that is gone, which closes the channel.
    wire: tokio::sync::Mutex<()>,
    waiting: Mutex<Waiting>,
    /// So many do not wait.
    enough: usize,
    fault: CancellationToken,
}

/// What is done and not acknowledged yet.
#[derive(Default)]
struct Waiting {
    ackers: BTreeMap<u64, lapin::Acker>,
    /// Whether somebody will acknowledge them when their time is up.
    is_attended: bool,
}

impl Ledger {
    pub(super) fn new(prefetch: u16, fault: CancellationToken) -> Self {
        Self {
            unsettled: Mutex::default(),
            wire: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            enough: enough(usize::from(prefetch)),
            fault,
        }
    }

    pub(super) fn received(&self, tag: u64) {
        self.lock().insert(tag);
    }

    pub(super) fn unsettled(&self) -> usize {
        self.lock().len()
    }

    /// Acknowledges whatever is done.
    pub(super) async fn flush(&self) {
        let ackers = {
            let mut waiting = self.waiting();
            waiting.is_attended = false;
            std::mem::take(&mut waiting.ackers)
        };
        settle_channel(self, ackers, Settling::Done).await;
    }

    /// Adds what is done; `true` when there is enough of it to acknowledge it now.
    fn done(self: &Arc<Self>, ackers: BTreeMap<u64, lapin::Acker>) -> bool {
        let mut waiting = self.waiting();
        waiting.ackers.extend(ackers);
        if waiting.ackers.len() >= self.enough {
            return true;
        }
        if !waiting.is_attended {
            waiting.is_attended = true;
            let ledger = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                ledger.flush().await;
            });
        }
        false
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic while the lock is held leaves a set that is still right.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of deliveries that were settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// The broker was told.
    pub settled: usize,
    /// Their channel is gone: they will be delivered again, whatever was done about them.
    pub redelivered: usize,
}

/// Settles deliveries.
#[derive(Clone, Copy, Debug)]
pub struct Acker;

#[derive(Clone, Copy)]
enum Settling {
    Done,
    Requeue,
}

impl Acker {
    /// Acknowledges deliveries, of any queues, with as few frames as is safe.
    ///
    /// One that cannot be acknowledged any more is delivered again; that is not an error, since everything may
    /// arrive twice.
    pub async fn ack_all(deliveries: Vec<Delivery>) -> Settled {
        settle(deliveries, Settling::Done).await
    }

    /// Acknowledges deliveries together with others that are done within 50 ms, or at once when there are enough of them: an
    /// eighth of the prefetch or so. What still waits when the consumer is closed is acknowledged then; after a crash it is delivered again.
    pub async fn ack_soon(deliveries: Vec<Delivery>) {
        for (ledger, ackers) in by_channel(deliveries) {
            if ledger.done(ackers) {
                ledger.flush().await;
            }
        }
    }

    /// Gives deliveries back to their queues. Quorum queues put them at the end, or at the front on newer brokers.
    pub async fn nack_requeue(deliveries: Vec<Delivery>) -> Settled {
        settle(deliveries, Settling::Requeue).await
    }
}

fn by_channel(deliveries: Vec<Delivery>) -> impl Iterator<Item = (Arc<Ledger>, BTreeMap<u64, lapin::Acker>)> {
    let mut by_channel: BTreeMap<usize, (Arc<Ledger>, BTreeMap<u64, lapin::Acker>)> = BTreeMap::new();
    for delivery in deliveries {
        let channel = by_channel
            .entry(Arc::as_ptr(&delivery.ledger).addr())
            .or_insert_with(|| (delivery.ledger.clone(), BTreeMap::new()));
        channel.1.insert(delivery.tag, delivery.acker);
    }
    by_channel.into_values()
}

async fn settle(deliveries: Vec<Delivery>, settling: Settling) -> Settled {
    let mut outcome = Settled::default();
    for (ledger, ackers) in by_channel(deliveries) {
        let count = ackers.len();
        let settled = settle_channel(&ledger, ackers, settling).await;
        outcome.settled += settled;
        outcome.redelivered += count - settled;
    }
    outcome
}

/// Settles deliveries of one channel; returns how many the broker was told about.
async fn settle_channel(ledger: &Ledger, ackers: BTreeMap<u64, lapin::Acker>, settling: Settling) -> usize {
    if ackers.is_empty() {
        return 0;
    }
    let _wire = ledger.wire.lock().await;
    let group: BTreeSet<u64> = ackers.keys().copied().collect();
    let plan = Frames::new(&ledger.lock(), &group);
    let frames = plan.up_to.iter().map(|tag| (*tag, true)).chain(plan.single.iter().map(|tag| (*tag, false)));
    let mut settled = 0;
    for (tag, multiple) in frames {
        let sent = match settling {
            Settling::Done => within(PATIENCE, ackers[&tag].ack(BasicAckOptions { multiple })).await,
            Settling::Requeue => {
                within(PATIENCE, ackers[&tag].nack(BasicNackOptions { multiple, requeue: true })).await
            }
        };
        match sent {
            Ok(true) => {}
            Ok(false) => return settled,
            Err(_) => {
                ledger.fault.cancel();
                return settled;
            }
        }
        let mut unsettled = ledger.lock();
        if multiple {
            settled += group.range(..=tag).count();
            *unsettled = unsettled.split_off(&(tag + 1));
        } else {
            settled += 1;
            unsettled.remove(&tag);
        }
    }
    settled
}

/// The fewest frames that settle a group and nothing else.
#[derive(PartialEq, Eq, Debug)]
struct Frames {
    /// Settle this tag and all before it.
    up_to: Option<u64>,
    /// Settle these one by one.
    single: Vec<u64>,
}

impl Frames {
    fn new(unsettled: &BTreeSet<u64>, group: &BTreeSet<u64>) -> Self {
        let first_of_others = unsettled.difference(group).next().copied().unwrap_or(u64::MAX);
        Self {
            up_to: group.range(..first_of_others).next_back().copied(),
            single: group.range(first_of_others..).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stands_before_an_open_delivery_goes_in_one_frame_and_the_rest_one_by_one() {
        let plan = Frames::new(&(4..=10).collect(), &BTreeSet::from([4, 5, 7, 9]));
        assert_eq!(plan, Frames { up_to: Some(5), single: vec![7, 9] });
    }

    #[test]
    fn an_eighth_of_the_prefetch_is_acknowledged_at_once_but_not_too_few() {
        assert_eq!([1, 2, 4, 16, 63, 64, 1_600].map(enough), [1, 1, 2, 8, 8, 8, 200]);
    }

    #[test]
    fn a_whole_channel_goes_in_one_frame() {
        let plan = Frames::new(&(1..=500).collect(), &(1..=500).collect());
        assert_eq!(plan, Frames { up_to: Some(500), single: vec![] });
    }

    proptest! {
        #[test]
        fn exactly_the_group_is_settled(tags in prop::collection::btree_map(1u64..200, any::<bool>(), 0..60)) {
            let unsettled: BTreeSet<u64> = tags.keys().copied().collect();
            let group: BTreeSet<u64> = tags.iter().filter(|(_, mine)| **mine).map(|(tag, _)| *tag).collect();
            let plan = Frames::new(&unsettled, &group);
            let mut settled: BTreeSet<u64> = plan.single.iter().copied().collect();
            if let Some(tag) = plan.up_to {
                settled.extend(unsettled.range(..=tag));
            }
            prop_assert_eq!(settled, group);
        }
    }
}
