//! The reading end of one queue.

use super::Delivery;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The deliveries of one queue, across all reconnections.
///
/// It ends as soon as the consumer is drained, even if deliveries are buffered: those go back to their queue.
pub struct Deliveries {
    queue: String,
    receiver: mpsc::Receiver<Delivery>,
    drain: CancellationToken,
}

impl Deliveries {
    pub(super) fn new(queue: String, receiver: mpsc::Receiver<Delivery>, drain: CancellationToken) -> Self {
        Self { queue, receiver, drain }
    }

    /// The queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The next delivery; `None` once the consumer is drained.
    pub async fn recv(&mut self) -> Option<Delivery> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next delivery if there is one at once.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        while !self.drain.is_cancelled() {
            let delivery = self.receiver.try_recv().ok()?;
            if !delivery.is_stale() {
                return Some(delivery);
            }
        }
        None
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Skips what was left over from a lost connection: it is delivered again.
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            if self.drain.is_cancelled() {
                return Poll::Ready(None);
            }
            let next = ready!(self.receiver.poll_recv(context));
            if !next.as_ref().is_some_and(Delivery::is_stale) {
                return Poll::Ready(next);
            }
        }
    }
}
