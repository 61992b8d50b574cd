//! Publishing so that nothing is lost: confirmed, mandatory, persistent, and within a bounded time.

mod lane;
mod message;

pub use message::{InvalidMessage, Message};

use crate::clock;
use crate::connection::{self, PATIENCE, properties};
use deadpool_lapin::{Config, CreatePoolError, Pool, PoolConfig, Runtime};
use lane::Lane;
use lapin::ConnectionStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How often an idle publisher looks whether the broker is there.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Messages sent ahead of their confirms on one channel.
const WINDOW: usize = 500;

/// How a publisher connects.
#[derive(Clone)]
pub struct PublisherConfig {
    /// `amqp(s)://user:password@host:port/vhost`.
    pub url: String,
    /// What operators see in the list of connections.
    pub name: String,
    /// How many batches are published at once; each has a connection and a channel of its own. Default 2.
    pub lanes: usize,
    /// The longest to wait for a connection, and then for the confirms of every 500 messages. Default 10 s.
    pub timeout: Duration,
}

impl PublisherConfig {
    /// The defaults.
    pub fn new(url: &str, name: &str) -> Self {
        Self { url: url.to_owned(), name: name.to_owned(), lanes: 2, timeout: PATIENCE }
    }
}

/// Why a batch was not confirmed as a whole.
///
/// Whatever is not known to be confirmed is published again with the same message id: consumers tell repeats apart.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A message cannot be put on the wire; nothing was sent.
    #[error("message {index} cannot be published: {reason}")]
    Invalid {
        /// Which message.
        index: usize,
        /// Why.
        reason: InvalidMessage,
    },
    /// No channel within the time; nothing was sent.
    #[error("no channel to the broker: {0}")]
    Unavailable(String),
    /// The broker does not let this user into this virtual host; nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// The broker takes no messages, because it runs out of memory or disk; nothing was sent.
    #[error("the broker blocks publishers")]
    Blocked,
    /// Some messages were not confirmed.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
}

impl From<connection::Error> for PublishError {
    fn from(error: connection::Error) -> Self {
        match error {
            connection::Error::Refused { .. } => Self::Refused(error.to_string()),
            connection::Error::Amqp(_)
            | connection::Error::Unreachable { .. }
            | connection::Error::TimedOut(_)
            | connection::Error::Name(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl PublishError {
    /// The indexes that have to be published again, out of a batch of `count`; ascending.
    pub fn unconfirmed(&self, count: usize) -> Vec<usize> {
        match self {
            Self::Invalid { .. } | Self::Unavailable(_) | Self::Refused(_) | Self::Blocked => {
                (0..count).collect()
            }
            Self::Unconfirmed(unconfirmed) => unconfirmed.indexes(),
        }
    }

    /// The indexes of which nothing is known, out of a batch of `count`: the connection failed, not a queue.
    pub fn unanswered(&self, count: usize) -> Vec<usize> {
        match self {
            Self::Invalid { .. } | Self::Unavailable(_) | Self::Refused(_) | Self::Blocked => {
                (0..count).collect()
            }
            Self::Unconfirmed(unconfirmed) => unconfirmed.unknown.clone(),
        }
    }

    /// Whether a message of the batch is at fault: published again as it is, it fails again.
    pub fn blames_a_message(&self) -> bool {
        match self {
            Self::Invalid { .. } => true,
            Self::Unconfirmed(unconfirmed) => unconfirmed.over_content,
            Self::Unavailable(_) | Self::Refused(_) | Self::Blocked => false,
        }
    }
}

/// The messages of a batch that were not confirmed, by index; all others were.
#[derive(Clone, PartialEq, Eq, Debug, Default, thiserror::Error)]
#[error(
    "of a batch, {} messages were returned as unroutable, {} refused, and of {} nothing is known{}",
    returned.len(), nacked.len(), unknown.len(),
    cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default()
)]
pub struct Unconfirmed {
    /// No queue is bound to take them: the topology is broken.
    pub returned: Vec<usize>,
    /// The broker refused them: a queue is full or has no leader.
    pub nacked: Vec<usize>,
    /// No answer came, or they were not sent any more. They may well arrive.
    pub unknown: Vec<usize>,
    /// What went wrong with the channel, if something did.
    pub cause: Option<String>,
    /// Whether that was about a message itself: it is larger than the broker takes, or names another user.
    pub over_content: bool,
}

impl Unconfirmed {
    fn indexes(&self) -> Vec<usize> {
        let mut all = [&self.returned[..], &self.nacked, &self.unknown].concat();
        all.sort_unstable();
        all
    }

    fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.nacked.is_empty() && self.unknown.is_empty()
    }
}

/// Whether a publisher can publish, as far as it knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublisherState {
    /// At least one connection is open.
    Connected,
    /// The broker refuses to take messages.
    Blocked,
    /// No connection is open.
    Disconnected,
    /// [`Publisher::close`] was called.
    Closed,
}

/// Publishes to one virtual host. Clones share connections.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    timeout: Duration,
    lane_count: usize,
    free: Semaphore,
    /// A stack, so that little traffic keeps to one connection.
    idle: Mutex<Vec<Lane>>,
    statuses: Mutex<Vec<Option<ConnectionStatus>>>,
    /// What the broker said of the last messages, if it refused them.
    refused: Mutex<Option<String>>,
}

impl Publisher {
    /// A publisher with the default settings; fails at once when the broker cannot be reached, with the cause.
    pub async fn connect(url: &str, name: &str) -> Result<Self, PublishError> {
        Self::connect_with(PublisherConfig::new(url, name)).await
    }

    /// A publisher; fails at once when the broker cannot be reached, with the cause.
    pub async fn connect_with(config: PublisherConfig) -> Result<Self, PublishError> {
        // The pool would try again until time is up, with nobody there; a person who waits is told at once.
        let first = match timeout(config.timeout, connection::open(&config.url, &config.name)).await {
            Ok(opened) => opened?,
            Err(_) => return Err(connection::Error::TimedOut(config.timeout).into()),
        };
        connection::close(&first).await;
        let publisher = Self::lazy_with(config)?;
        publisher.probe().await?;
        Ok(publisher)
    }

    /// A publisher that connects when it is first used; fails when `url` cannot be one.
    pub fn lazy(url: &str, name: &str) -> Result<Self, PublishError> {
        Self::lazy_with(PublisherConfig::new(url, name))
    }

    /// The same, with settings of its own.
    pub fn lazy_with(config: PublisherConfig) -> Result<Self, PublishError> {
        let lanes = config.lanes.max(1);
        Ok(Self {
            inner: Arc::new(Inner {
                pool: pool(&config, lanes).map_err(|error| PublishError::Unavailable(error.to_string()))?,
                timeout: config.timeout,
                lane_count: lanes,
                free: Semaphore::new(lanes),
                idle: Mutex::new((0..lanes).rev().map(Lane::new).collect()),
                statuses: Mutex::new(vec![None; lanes]),
                refused: Mutex::new(None),
            }),
        })
    }

    /// Publishes all messages and waits until the broker has confirmed each of them.
    ///
    /// Success means that every message is on disk in a queue. On failure the error tells which are not known to be.
    pub async fn publish_all(&self, messages: Vec<Message>) -> Result<(), PublishError> {
        if messages.is_empty() {
            return Ok(());
        }
        let frames = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| {
                message.into_frames().map_err(|reason| PublishError::Invalid { index, reason })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut lane = self.open_lane().await?;
        let mut failed = Unconfirmed::default();
        for (number, window) in frames.chunks(WINDOW).enumerate() {
            let first = number * WINDOW;
            if failed.is_empty() {
                let deadline = clock::now() + self.inner.timeout;
                lane.lane.publish(window, first, deadline, &mut failed).await;
            } else {
                failed.unknown.extend(first..first + window.len());
            }
        }
        if failed.is_empty() {
            lane.keep();
            *lock(&self.inner.refused) = None;
            return Ok(());
        }
        // What the connection did is seen in its state; what a queue does, only here.
        if !(failed.returned.is_empty() && failed.nacked.is_empty()) {
            *lock(&self.inner.refused) = Some(failed.to_string());
        }
        Err(failed.into())
    }

    /// Opens a channel if none is open, and so finds out whether publishing is possible.
    pub async fn probe(&self) -> Result<(), PublishError> {
        self.open_lane().await.map(LaneGuard::keep)
    }

    /// Connects, and again after each outage, until `until` is cancelled: an idle process would otherwise not know whether
    /// it can publish.
    pub async fn keep_connected(self, until: CancellationToken) {
        let kept = async {
            loop {
                if let Err(error) = self.probe().await {
                    tracing::warn!(%error, "waiting for the broker");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        // Given up between two steps of the probe, a lane is dropped as after a failure.
        until.run_until_cancelled(kept).await;
    }

    /// Whether publishing is possible, as far as is known without asking the broker.
    pub fn state(&self) -> PublisherState {
        if self.inner.free.is_closed() {
            return PublisherState::Closed;
        }
        let statuses = lock(&self.inner.statuses);
        let mut open = statuses.iter().flatten().filter(|status| status.connected()).peekable();
        if open.peek().is_none() {
            PublisherState::Disconnected
        } else if open.any(ConnectionStatus::blocked) {
            PublisherState::Blocked
        } else {
            PublisherState::Connected
        }
    }

    /// Whether what is published arrives, as far as is known without asking the broker; else what is in the way.
    ///
    /// What was refused for want of a queue, or by one, counts until something is published again.
    pub fn health(&self) -> Result<(), String> {
        match self.state() {
            PublisherState::Connected => lock(&self.inner.refused).clone().map_or(Ok(()), Err),
            PublisherState::Blocked => Err("the broker is refusing messages (alarm)".to_owned()),
            PublisherState::Disconnected => Err("no connection to the broker".to_owned()),
            PublisherState::Closed => Err("closed".to_owned()),
        }
    }

    /// Whether the broker refuses to take messages.
    pub fn is_blocked(&self) -> bool {
        self.state() == PublisherState::Blocked
    }

    /// Waits for batches under way, for as long as one may take, and closes the connections.
    pub async fn close(&self) {
        let all = u32::try_from(self.inner.lane_count).unwrap_or(u32::MAX);
        let _ = timeout(self.inner.timeout, self.inner.free.acquire_many(all)).await;
        self.inner.free.close();
        let lanes = std::mem::take(&mut *lock(&self.inner.idle));
        for lane in lanes {
            lane.close().await;
        }
        self.inner.pool.close();
    }

    async fn open_lane(&self) -> Result<LaneGuard<'_>, PublishError> {
        let deadline = clock::now() + self.inner.timeout;
        let permit = match timeout_at(deadline, self.inner.free.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(PublishError::Unavailable("the publisher is closed".to_owned())),
            Err(_) => return Err(PublishError::Unavailable("every channel is busy".to_owned())),
        };
        let idle = lock(&self.inner.idle).pop();
        let Some(lane) = idle else {
            return Err(PublishError::Unavailable("the publisher is closed".to_owned()));
        };
        let mut guard = LaneGuard { inner: &self.inner, lane, keep: false, _permit: permit };
        let opened = guard.lane.open(&self.inner.pool, deadline).await;
        lock(&self.inner.statuses)[guard.lane.number] = guard.lane.status();
        opened.map(|()| guard)
    }
}

/// A lane in use. Unless it is kept, its channel is retired when it goes back: also when the caller gave up waiting.
struct LaneGuard<'a> {
    inner: &'a Inner,
    lane: Lane,
    keep: bool,
    // Released after the lane is back.
    _permit: SemaphorePermit<'a>,
}

impl LaneGuard<'_> {
    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for LaneGuard<'_> {
    fn drop(&mut self) {
        let number = self.lane.number;
        let mut lane = std::mem::replace(&mut self.lane, Lane::new(number));
        if !self.keep {
            lane.retire();
        }
        lock(&self.inner.statuses)[number] = lane.status();
        lock(&self.inner.idle).push(lane);
    }
}

fn pool(config: &PublisherConfig, size: usize) -> Result<Pool, CreatePoolError> {
    let name = config.name.clone();
    Config { url: Some(config.url.clone()), pool: Some(PoolConfig::new(size)) }
        .create_pool(move || properties(&name), Runtime::Tokio1)
}

/// A panic while one of these locks is held leaves nothing half-written behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
