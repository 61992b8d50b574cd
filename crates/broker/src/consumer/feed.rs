//! What one queue delivers over one connection: over a channel that may always hold a few deliveries, and over another
//! that may hold many while messages are small.

use super::held::{Held, HeldBytes, Sizes};
use super::ledger::Ledger;
use super::{Delivery, QueueSpec};
use crate::connection::{Error, PATIENCE, short, within};
use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// After so many messages, their sizes are looked at for the first time.
const FIRST_LOOK: usize = 64;

/// Priorities of consumers: the broker delivers to the first as long as it has room. So at low load one channel has all that
/// is to be acknowledged, and fewer acknowledgements tell of it.
const FIRST: i32 = 1;
const LAST: i32 = 0;

/// Where the deliveries of one queue go, over all connections.
pub(super) struct Outlet {
    pub(super) sender: mpsc::Sender<Delivery>,
    pub(super) held: Held,
}

/// The deliveries of one queue over one connection.
pub(super) struct Feed {
    spec: QueueSpec,
    always: Arc<Line>,
    more: Mutex<Option<Arc<Line>>>,
    received: AtomicU64,
}

/// A consumer on a channel of its own.
struct Line {
    prefetch: u16,
    channel: Channel,
    stream: lapin::Consumer,
    ledger: Arc<Ledger>,
}

impl Feed {
    /// Begins to consume. `fault` is cancelled when an acknowledgement could not be sent.
    pub(super) async fn open(
        connection: &Connection,
        spec: &QueueSpec,
        fault: &CancellationToken,
    ) -> Result<Self, Error> {
        Ok(Self {
            always: Arc::new(Line::open(connection, &spec.queue, spec.always(), LAST, fault.clone()).await?),
            spec: spec.clone(),
            more: Mutex::default(),
            received: AtomicU64::default(),
        })
    }

    pub(super) fn queue(&self) -> &str {
        &self.spec.queue
    }

    /// How many deliveries came.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether the broker has reason to deliver what waits.
    pub(super) fn has_room(&self, outlet: &Outlet) -> bool {
        self.lines().all(|line| line.ledger.unsettled() < usize::from(line.prefetch))
            && outlet.sender.capacity() > 0
            && self.spec.held_bytes.is_none_or(|bound| !outlet.held.exceeds(bound.most))
    }

    /// Hands deliveries on until a stream breaks, and says how; a stream that ends is broken too, since the queue may be
    /// gone while the channel still looks healthy.
    pub(super) async fn forward(&self, connection: &Connection, outlet: &Outlet) -> String {
        let Err(reason) = self.hand_all_on(connection, outlet).await;
        reason
    }

    async fn hand_all_on(&self, connection: &Connection, outlet: &Outlet) -> Result<Infallible, String> {
        let mut always = self.always.stream.clone();
        let Some(bound) = self.spec.held_bytes else {
            loop {
                self.hand_on(always.next().await, &self.always, outlet).await?;
            }
        };
        // What is left over from a connection that was lost.
        outlet.held.until_within(bound.most).await;
        let mut look = FIRST_LOOK;
        loop {
            let mut more = Some(self.until_more(&mut always, bound, look, outlet).await?);
            while let Some(so_many) = more {
                more = self.with_more(&mut always, bound, so_many, connection, outlet).await?;
            }
            // Sizes vary: a look at as many as may be held is one to rely on.
            look = usize::from(self.spec.prefetch);
        }
    }

    /// Few at a time, until messages are small enough for twice as many; gives how many more.
    async fn until_more(
        &self,
        always: &mut lapin::Consumer,
        bound: HeldBytes,
        look: usize,
        outlet: &Outlet,
    ) -> Result<u16, String> {
        let few = self.always.prefetch;
        let worth_it = few.min(self.spec.prefetch.saturating_sub(few)).max(1);
        let mut sizes = Sizes::new(look);
        loop {
            let bytes = self.hand_on(always.next().await, &self.always, outlet).await?;
            let prefetch = sizes.add(bytes).map_or(few, |mean| bound.prefetch(mean, self.spec.prefetch));
            let more = prefetch.saturating_sub(few);
            if more >= worth_it {
                return Ok(more);
            }
        }
    }

    /// So many more, over a channel of their own, until too much is held. When messages became small enough for four times
    /// as many, it ends as well, and gives how many more that are.
    async fn with_more(
        &self,
        always: &mut lapin::Consumer,
        bound: HeldBytes,
        more: u16,
        connection: &Connection,
        outlet: &Outlet,
    ) -> Result<Option<u16>, String> {
        let queue = self.queue();
        // Its own: what cannot be acknowledged after the channel was closed is no fault.
        let fault = CancellationToken::new();
        let line = match Line::open(connection, queue, more, FIRST, fault.clone()).await {
            Ok(line) => Arc::new(line),
            Err(error) => {
                tracing::warn!(queue, %error, "no second channel: goes on with few messages at a time");
                return Ok(None);
            }
        };
        tracing::debug!(queue, more, "messages are small: fetches more ahead");
        let mut stream = line.stream.clone();
        self.set_more(Some(line.clone()));
        let few = self.always.prefetch;
        let mut sizes = Sizes::new(usize::from(self.spec.prefetch));
        let mut next = None;
        while next.is_none() && !outlet.held.exceeds(bound.most) {
            let bytes = tokio::select! {
                delivery = always.next() => self.hand_on(delivery, &self.always, outlet).await?,
                delivery = stream.next() => self.hand_on(delivery, &line, outlet).await?,
                () = fault.cancelled() => return Err("an acknowledgement could not be sent".to_owned()),
            };
            next = sizes
                .add(bytes)
                .map(|mean| bound.prefetch(mean, self.spec.prefetch))
                .filter(|prefetch| u32::from(*prefetch) >= 4 * (u32::from(few) + u32::from(more)))
                .map(|prefetch| prefetch - few);
        }
        tracing::info!(queue, fetched_ahead = more, next, "the size of messages has changed");
        self.set_more(None);
        let closed = line.close(stream).await;
        closed.map(|()| next).map_err(|error| format!("closing a consumer of {queue}: {error}"))
    }

    /// Gives its size in bytes.
    async fn hand_on(
        &self,
        next: Option<lapin::Result<lapin::message::Delivery>>,
        line: &Line,
        outlet: &Outlet,
    ) -> Result<usize, String> {
        let delivery = match next {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return Err(format!("consumer of {}: {error}", self.queue())),
            None => return Err(format!("consumer of {} was cancelled", self.queue())),
        };
        line.ledger.received(delivery.delivery_tag);
        self.received.fetch_add(1, Ordering::Relaxed);
        let delivery = Delivery::new(self.queue(), delivery, line.ledger.clone(), &outlet.held);
        let bytes = delivery.held.bytes;
        if outlet.sender.send(delivery).await.is_err() {
            // Nobody reads this queue: its deliveries stay unacknowledged until the consumer is closed.
            std::future::pending::<()>().await;
        }
        Ok(bytes)
    }

    /// Tells the broker to send nothing more. What it has sent already stays unacknowledged.
    pub(super) async fn cancel(&self) {
        join_all(self.lines().map(|line| async move {
            let cancelled = line.channel.basic_cancel(line.stream.tag(), BasicCancelOptions::default());
            within(PATIENCE, cancelled).await
        }))
        .await;
    }

    /// Acknowledges whatever is done.
    pub(super) async fn flush(&self) {
        join_all(self.lines().map(|line| async move { line.ledger.flush().await })).await;
    }

    fn lines(&self) -> impl Iterator<Item = Arc<Line>> {
        let more = self.more.lock().unwrap_or_else(PoisonError::into_inner).clone();
        std::iter::once(self.always.clone()).chain(more)
    }

    fn set_more(&self, line: Option<Arc<Line>>) {
        *self.more.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}

impl Line {
    async fn open(
        connection: &Connection,
        queue: &str,
        prefetch: u16,
        priority: i32,
        fault: CancellationToken,
    ) -> Result<Self, Error> {
        let channel = within(PATIENCE, connection.create_channel()).await?;
        // Per consumer: quorum queues refuse a limit per channel.
        within(PATIENCE, channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
        let (queue, tag) = (short(queue)?, short("")?);
        let mut arguments = FieldTable::default();
        arguments.insert("x-priority".into(), AMQPValue::LongInt(priority));
        let stream = channel.basic_consume(queue, tag, BasicConsumeOptions::default(), arguments);
        let stream = within(PATIENCE, stream).await?;
        Ok(Self { prefetch, channel, stream, ledger: Arc::new(Ledger::new(prefetch, fault)) })
    }

    /// Acknowledges what is done, and gives everything else back to the queue at once, also what waits to be read.
    async fn close(&self, mut stream: lapin::Consumer) -> Result<(), Error> {
        self.ledger.flush().await;
        let closing = within(PATIENCE, self.channel.close(200, short("OK")?));
        // What comes until the broker has heard of it would pile up. The stream ends before the answer is here.
        let thrown_away = async {
            while let Some(Ok(_)) = stream.next().await {}
            std::future::pending().await
        };
        tokio::select! {
            closed = closing => closed,
            never = thrown_away => never,
        }
    }
}
