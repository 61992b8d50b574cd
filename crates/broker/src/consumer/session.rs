//! One life of a consumer's connection.

use super::feed::{Feed, Outlet};
use super::{ConsumerConfig, ConsumerHealth, Control};
use crate::clock;
use crate::connection::{self, Error, PATIENCE, short, within};
use futures_util::future::{join_all, select_all};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// Probes in a row that may find messages waiting while none arrives here, before the consumer is taken for deaf.
const DEAF_PROBES: u32 = 3;

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
    feeds: Vec<Feed>,
    probe: Channel,
    /// Cancelled when an acknowledgement could not be sent.
    fault: CancellationToken,
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
    let since = clock::now();
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
        let mut feeds = Vec::with_capacity(config.queues.len());
        for spec in &config.queues {
            feeds.push(Feed::open(&connection, spec, &fault).await?);
        }
        let probe = within(PATIENCE, connection.create_channel()).await?;
        Ok(Self { connection, feeds, probe, fault })
    }

    /// Forwards deliveries until something goes wrong, and says what.
    async fn consume(&self, config: &ConsumerConfig, outlets: &[Outlet]) -> String {
        let feeds = &self.feeds;
        let forwards =
            feeds.iter().zip(outlets).map(|(feed, outlet)| Box::pin(feed.forward(&self.connection, outlet)));
        tokio::select! {
            (reason, _, _) = select_all(forwards) => reason,
            reason = watch(&self.probe, feeds, outlets, config.probe_interval) => reason,
            () = self.fault.cancelled() => "an acknowledgement could not be sent".to_owned(),
        }
    }

    /// Tells the broker to send nothing more. What it has sent already stays unacknowledged.
    async fn cancel(&self) {
        join_all(self.feeds.iter().map(Feed::cancel)).await;
    }

    /// Closes the connection; everything that is not done goes back to its queue.
    pub(super) async fn close(self) {
        join_all(self.feeds.iter().map(Feed::flush)).await;
        connection::close(&self.connection).await;
    }
}

/// Asks the broker again and again whether the consumers are still there, until they are not.
async fn watch(probe: &Channel, feeds: &[Feed], outlets: &[Outlet], every: Duration) -> String {
    let mut ticks = interval_at(clock::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut suspicions = vec![Suspicion::default(); feeds.len()];
    loop {
        ticks.tick().await;
        for ((feed, outlet), suspicion) in feeds.iter().zip(outlets).zip(&mut suspicions) {
            let queue_name = feed.queue();
            let name = match short(queue_name) {
                Ok(name) => name,
                Err(error) => return error.to_string(),
            };
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            let asked = within(PATIENCE, probe.queue_declare(name, options, FieldTable::default())).await;
            let queue = match asked {
                Ok(queue) => queue,
                Err(error) => return format!("probe of {queue_name}: {error}"),
            };
            if queue.consumer_count() == 0 {
                return format!("the broker knows no consumer of {queue_name}");
            }
            let could_take_more = feed.has_room(outlet);
            if suspicion.is_deaf(queue.message_count() > 0 && could_take_more, feed.received()) {
                return format!("messages wait in {queue_name} and none is delivered");
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
