//! Consuming so that a consumer is never healthy but deaf.
//!
//! A consumer owns its connection. On any error, end of a stream or failed probe it drops the whole connection and
//! starts anew; what was not acknowledged is delivered again.

mod batch;
mod delivery;
mod feed;
mod held;
mod intake;
mod ledger;
mod session;
mod turns;

pub use batch::{Batch, WeightedReceiver};
pub use delivery::{Death, Delivery};
pub use held::HeldBytes;
pub use intake::Deliveries;
pub use ledger::{Acker, Settled};
pub use turns::{PRIORITY_WEIGHTS, Turns};

use backoff::{BackoffBuilder, ExponentialBuilder};
use feed::Outlet;
use held::Held;
use session::End;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How a consumer connects, and what it reads.
#[derive(Clone)]
pub struct ConsumerConfig {
    /// `amqp(s)://user:password@host:port/vhost`.
    pub url: String,
    /// What operators see in the list of connections.
    pub name: String,
    /// The queues; each has channels of its own.
    pub queues: Vec<QueueSpec>,
    /// How often to look whether the broker still knows the consumers. Default 5 s.
    pub probe_interval: Duration,
}

impl ConsumerConfig {
    /// The defaults.
    pub fn new(url: &str, name: &str, queues: Vec<QueueSpec>) -> Self {
        Self { url: url.to_owned(), name: name.to_owned(), queues, probe_interval: Duration::from_secs(5) }
    }
}

/// A queue to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueSpec {
    /// Its name.
    pub queue: String,
    /// Most deliveries that are not acknowledged yet; at least 1.
    pub prefetch: u16,
    /// What they may weigh; `None` where messages are small by nature.
    pub held_bytes: Option<HeldBytes>,
}

impl QueueSpec {
    /// A queue whose messages are small by nature.
    pub fn new(queue: &str, prefetch: u16) -> Self {
        Self { queue: queue.to_owned(), prefetch, held_bytes: None }
    }

    /// How many deliveries may be held whatever they weigh.
    fn always(&self) -> u16 {
        let most = self.prefetch.max(1);
        self.held_bytes.map_or(most, |bound| bound.any_size.clamp(1, most))
    }
}

/// What a consumer is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsumerHealth {
    /// Not connected, or not yet registered on every queue.
    Connecting,
    /// Registered on every queue.
    Consuming {
        /// Since when.
        since: Instant,
    },
    /// Takes nothing more; deliveries that were handed out can still be acknowledged.
    Draining,
    /// Disconnected for good.
    Closed,
}

/// A running consumer. Dropping it disconnects.
pub struct Consumer {
    health: watch::Receiver<ConsumerHealth>,
    reconnects: Arc<AtomicU64>,
    drain: CancellationToken,
    close: CancellationToken,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Starts consuming; gives the deliveries of each queue, in the order of the configuration.
    ///
    /// Connecting happens in the background, and goes on for ever: see [`Self::health`]. When `drain` is cancelled,
    /// the consumer takes nothing more, and every [`Deliveries`] ends at once.
    pub fn spawn(config: ConsumerConfig, drain: CancellationToken) -> (Self, Vec<Deliveries>) {
        let drain = drain.child_token();
        let close = CancellationToken::new();
        let reconnects = Arc::new(AtomicU64::new(0));
        let (report, health) = watch::channel(ConsumerHealth::Connecting);
        let mut outlets = Vec::new();
        let mut deliveries = Vec::new();
        for spec in &config.queues {
            // Room for all that may be unacknowledged: the connection never has to wait for a busy reader.
            let (sender, receiver) = mpsc::channel(usize::from(spec.prefetch.max(1)));
            outlets.push(Outlet { sender, held: Held::default() });
            deliveries.push(Deliveries::new(spec.queue.clone(), receiver, drain.clone()));
        }
        let control =
            Control { report, reconnects: reconnects.clone(), drain: drain.clone(), close: close.clone() };
        let task = tokio::spawn(run(config, outlets, control));
        (Self { health, reconnects, drain, close, task }, deliveries)
    }

    /// What it is doing, to look at or to wait for.
    pub fn health(&self) -> watch::Receiver<ConsumerHealth> {
        self.health.clone()
    }

    /// How often it had to start anew.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Stops taking messages; those that were handed out can still be acknowledged.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Drains and disconnects. What was not acknowledged goes back to its queue.
    pub async fn close(mut self) {
        self.drain.cancel();
        self.close.cancel();
        // Longer than each of the polite goodbyes in it.
        let _ = timeout(Duration::from_secs(30), &mut self.task).await;
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.drain.cancel();
        self.close.cancel();
    }
}

/// What the task shares with its [`Consumer`].
struct Control {
    report: watch::Sender<ConsumerHealth>,
    reconnects: Arc<AtomicU64>,
    drain: CancellationToken,
    close: CancellationToken,
}

async fn run(config: ConsumerConfig, outlets: Vec<Outlet>, control: Control) {
    let mut delays = delays().build();
    let mut outlets = Some(outlets);
    while let Some(open) = outlets.as_ref() {
        control.report.send_replace(ConsumerHealth::Connecting);
        let (end, consumed_for) = session::run(&config, open, &control).await;
        match end {
            End::Drained(open_session) => {
                // Readers learn that there is nothing more to come.
                outlets = None;
                control.report.send_replace(ConsumerHealth::Draining);
                if let Some(open_session) = open_session {
                    control.close.cancelled().await;
                    open_session.close().await;
                }
            }
            End::Failed(reason) => {
                control.reconnects.fetch_add(1, Ordering::Relaxed);
                if consumed_for > STABLE {
                    delays = self::delays().build();
                }
                let delay = delays.next().unwrap_or(MAX_DELAY);
                tracing::warn!(consumer = config.name, %reason, delay_ms = delay.as_millis(), "consumer starts anew");
                let _ = timeout(delay, control.drain.cancelled()).await;
            }
        }
    }
    control.report.send_replace(ConsumerHealth::Closed);
}

/// Jitter may double it: after an outage, nobody stays away for longer than ten seconds.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// A connection that consumed for this long was a good one: the next failure is a new one.
const STABLE: Duration = Duration::from_secs(2);

fn delays() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(MAX_DELAY)
        .with_jitter()
        .without_max_times()
}
