//! One life of a consumer's connection.

use super::ledger::Ledger;
use super::{ConsumerConfig, ConsumerHealth, Control, Delivery, QueueSpec};
use crate::connection::{self, Error, PATIENCE, short, within};
use futures_util::StreamExt;
use futures_util::future::{join_all, select_all};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// Probes in a row that may find messages waiting while none arrives here, before the consumer is taken for deaf.
const DEAF_PROBES: u32 = 3;

/// Where the deliveries of one queue go.
pub(super) type Outlet = mpsc::Sender<Delivery>;

/// How a session ended.
pub(super) enum End {
    /// As asked. The session, if there was one yet, is still open for acknowledgements.
    Drained(Option<Box<Session>>),
    /// Something went wrong; the connection is gone.
    Failed(String),
}

/// A connection with a consumer on each queue.
pub(super) struct Session {
    connection: Connection,
    lines: Vec<Line>,
    probe: Channel,
    /// Cancelled when an acknowledgement could not be sent.
    fault: CancellationToken,
}

/// The consumer of one queue.
struct Line {
    queue: String,
    prefetch: u16,
    channel: Channel,
    stream: lapin::Consumer,
    ledger: Arc<Ledger>,
    received: AtomicU64,
}

/// Consumes until something fails or the consumer is drained; also says for how long it consumed.
pub(super) async fn run(config: &ConsumerConfig, outlets: &[Outlet], control: &Control) -> (End, Duration) {
    let opened = tokio::select! {
        opened = Session::open(config) => opened,
        () = control.drain.cancelled() => return (End::Drained(None), Duration::ZERO),
    };
    let session = match opened {
        Ok(session) => session,
        Err(error) => return (End::Failed(error.to_string()), Duration::ZERO),
    };
    let since = Instant::now();
    control.report.send_replace(ConsumerHealth::Consuming { since });
    let failure = tokio::select! {
        biased;
        () = control.drain.cancelled() => None,
        reason = session.consume(config, outlets) => Some(reason),
    };
    let end = match failure {
        None => {
            session.cancel().await;
            End::Drained(Some(Box::new(session)))
        }
        Some(reason) => {
            control.report.send_replace(ConsumerHealth::Connecting);
            session.close().await;
            End::Failed(reason)
        }
    };
    (end, since.elapsed())
}

impl Session {
    async fn open(config: &ConsumerConfig) -> Result<Self, Error> {
        let connection = connection::open(&config.url, &config.name).await?;
        let fault = CancellationToken::new();
        let mut lines = Vec::with_capacity(config.queues.len());
        for spec in &config.queues {
            lines.push(Line::open(&connection, spec, &fault).await?);
        }
        let probe = within(PATIENCE, connection.create_channel()).await?;
        Ok(Self { connection, lines, probe, fault })
    }

    /// Forwards deliveries until something goes wrong, and says what.
    async fn consume(&self, config: &ConsumerConfig, outlets: &[Outlet]) -> String {
        let (probe, fault) = (&self.probe, &self.fault);
        let mut streams: Vec<_> = self.lines.iter().map(|line| line.stream.clone()).collect();
        let lines = &self.lines;
        let forwards = lines
            .iter()
            .zip(&mut streams)
            .zip(outlets)
            .map(|((line, stream), outlet)| Box::pin(forward(line, stream, outlet)));
        tokio::select! {
            (reason, _, _) = select_all(forwards) => reason,
            reason = watch(probe, lines, outlets, config.probe_interval) => reason,
            () = fault.cancelled() => "an acknowledgement could not be sent".to_owned(),
        }
    }

    /// Tells the broker to send nothing more. What it has sent already stays unacknowledged.
    async fn cancel(&self) {
        join_all(self.lines.iter().map(|line| {
            within(PATIENCE, line.channel.basic_cancel(line.stream.tag(), BasicCancelOptions::default()))
        }))
        .await;
    }

    /// Closes the connection; everything that is not done goes back to its queue.
    pub(super) async fn close(self) {
        join_all(self.lines.iter().map(|line| line.ledger.flush())).await;
        connection::close(&self.connection).await;
    }
}

impl Line {
    async fn open(
        connection: &Connection,
        spec: &QueueSpec,
        fault: &CancellationToken,
    ) -> Result<Self, Error> {
        let channel = within(PATIENCE, connection.create_channel()).await?;
        let prefetch = spec.prefetch.max(1);
        // Per consumer: quorum queues refuse a limit per channel.
        within(PATIENCE, channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
        let (queue, tag) = (short(&spec.queue)?, short("")?);
        let stream = channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default());
        let stream = within(PATIENCE, stream).await?;
        let ledger = Arc::new(Ledger::new(prefetch, fault.clone()));
        Ok(Self { queue: spec.queue.clone(), prefetch, channel, stream, ledger, received: AtomicU64::new(0) })
    }
}

/// Hands deliveries on until the stream breaks; a stream that ends is broken too, since the queue may be gone while
/// the channel still looks healthy.
async fn forward(line: &Line, stream: &mut lapin::Consumer, outlet: &Outlet) -> String {
    loop {
        let delivery = match stream.next().await {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return format!("consumer of {}: {error}", line.queue),
            None => return format!("consumer of {} was cancelled", line.queue),
        };
        line.ledger.received(delivery.delivery_tag);
        line.received.fetch_add(1, Ordering::Relaxed);
        let delivery = Delivery::new(&line.queue, delivery, line.ledger.clone());
        if outlet.send(delivery).await.is_err() {
            // Nobody reads this queue: its deliveries stay unacknowledged until the consumer is closed.
            std::future::pending::<()>().await;
        }
    }
}

/// Asks the broker again and again whether the consumers are still there, until they are not.
async fn watch(probe: &Channel, lines: &[Line], outlets: &[Outlet], every: Duration) -> String {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut suspicions = vec![Suspicion::default(); lines.len()];
    loop {
        ticks.tick().await;
        for ((line, outlet), suspicion) in lines.iter().zip(outlets).zip(&mut suspicions) {
            let name = match short(&line.queue) {
                Ok(name) => name,
                Err(error) => return error.to_string(),
            };
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let asked = within(PATIENCE, probe.queue_declare(name, options, FieldTable::default())).await;
            let queue = match asked {
                Ok(queue) => queue,
                Err(error) => return format!("probe of {}: {error}", line.queue),
            };
            if queue.consumer_count() == 0 {
                return format!("the broker knows no consumer of {}", line.queue);
            }
            let received = line.received.load(Ordering::Relaxed);
            let could_take_more =
                line.ledger.unsettled() < usize::from(line.prefetch) && outlet.capacity() > 0;
            if suspicion.is_deaf(queue.message_count() > 0 && could_take_more, received) {
                return format!("messages wait in {} and none is delivered", line.queue);
            }
        }
    }
}

/// Other replicas may keep the consumer count above zero. What gives a deaf consumer away is that messages wait, it
/// has room for them, and gets none.
#[derive(Clone, Copy, Default)]
struct Suspicion {
    received: u64,
    probes: u32,
}

impl Suspicion {
    fn is_deaf(&mut self, should_receive: bool, received: u64) -> bool {
        if should_receive && received == self.received {
            self.probes += 1;
        } else {
            self.probes = 0;
        }
        self.received = received;
        self.probes >= DEAF_PROBES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_deaf_only_if_nothing_comes_while_something_should_for_several_probes() {
        let mut suspicion = Suspicion::default();
        assert!(!suspicion.is_deaf(true, 5));
        assert!(!suspicion.is_deaf(true, 5));
        assert!(!suspicion.is_deaf(true, 5));
        assert!(!suspicion.is_deaf(true, 6));
        assert!(!suspicion.is_deaf(true, 6));
        assert!(!suspicion.is_deaf(false, 6));
        assert!(!suspicion.is_deaf(true, 6));
        assert!(!suspicion.is_deaf(true, 6));
        assert!(suspicion.is_deaf(true, 6));
    }
}
