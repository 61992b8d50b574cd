//! Taking deliveries in batches.

use super::{Deliveries, Delivery, Turns};
use crate::clock;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout_at;

/// Batches of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Batch;

impl Batch {
    /// Waits for a delivery, takes what else is there up to `max`, and waits up to `linger` for more.
    ///
    /// With no `linger`, a batch closes as soon as nothing is waiting. `None` once the consumer is drained.
    /// A future that is dropped while it lingers leaves what it has unacknowledged until the consumer is closed.
    pub async fn collect(from: &mut Deliveries, max: usize, linger: Duration) -> Option<Vec<Delivery>> {
        let mut batch = vec![from.recv().await?];
        let deadline = clock::now() + linger;
        while batch.len() < max {
            let next = match from.try_recv() {
                Some(delivery) => Some(delivery),
                None if linger.is_zero() => None,
                None => timeout_at(deadline, from.recv()).await.ok().flatten(),
            };
            let Some(delivery) = next else { break };
            batch.push(delivery);
        }
        Some(batch)
    }
}

/// Batches of several queues, shared by weight.
pub struct WeightedReceiver {
    inputs: Vec<Input>,
    turns: Turns,
}

/// A queue, and the delivery that was taken from it to see whether one is there.
struct Input {
    deliveries: Deliveries,
    ahead: Option<Delivery>,
}

impl WeightedReceiver {
    /// Reads `inputs`, the most urgent first, with these weights: [`super::PRIORITY_WEIGHTS`] for three priorities.
    pub fn new(inputs: Vec<Deliveries>, weights: impl IntoIterator<Item = u32>) -> Self {
        let inputs: Vec<_> = inputs.into_iter().map(|deliveries| Input { deliveries, ahead: None }).collect();
        let weights: Vec<_> = weights.into_iter().chain(std::iter::repeat(1)).take(inputs.len()).collect();
        Self { inputs, turns: Turns::new(weights) }
    }

    /// Waits for a delivery of any queue, and takes what is there up to `max`, by weight.
    ///
    /// `None` once the consumer is drained. Nothing is lost when the future is dropped.
    pub async fn recv_batch(&mut self, max: usize) -> Option<Vec<Delivery>> {
        self.recv_batch_of(max, usize::MAX).await
    }

    /// Like [`Self::recv_batch`], but takes nothing more once the bodies have `bytes` or more.
    pub async fn recv_batch_of(&mut self, max: usize, bytes: usize) -> Option<Vec<Delivery>> {
        let mut batch = Vec::new();
        // What made it ready may have become stale by the time it is taken.
        while batch.is_empty() {
            self.ready().await?;
            self.add_to(&mut batch, max, bytes);
        }
        Some(batch)
    }

    /// Takes what is there by now into a batch, within the same bounds.
    pub fn add_to(&mut self, batch: &mut Vec<Delivery>, max: usize, bytes: usize) {
        let mut taken: usize = batch.iter().map(|delivery| delivery.body.len()).sum();
        while batch.len() < max.max(1) && taken < bytes.max(1) {
            let next = self.turns.next(|input| !self.inputs[input].look());
            let Some(delivery) = next.and_then(|input| self.inputs[input].ahead.take()) else { break };
            taken += delivery.body.len();
            batch.push(delivery);
        }
    }

    /// Waits until some input has a delivery; `None` when none will ever come.
    async fn ready(&mut self) -> Option<()> {
        poll_fn(|context| {
            let mut ended = true;
            for input in &mut self.inputs {
                if input.look() {
                    return Poll::Ready(Some(()));
                }
                match input.deliveries.poll_recv(context) {
                    Poll::Ready(Some(delivery)) => {
                        input.ahead = Some(delivery);
                        return Poll::Ready(Some(()));
                    }
                    Poll::Ready(None) => {}
                    Poll::Pending => ended = false,
                }
            }
            if ended { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

impl Input {
    /// Whether a delivery is there.
    fn look(&mut self) -> bool {
        if self.ahead.as_ref().is_some_and(Delivery::is_stale) || self.deliveries.is_drained() {
            self.ahead = None;
        }
        if self.ahead.is_none() {
            self.ahead = self.deliveries.try_recv();
        }
        self.ahead.is_some()
    }
}
