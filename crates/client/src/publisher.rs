//! Publishing with confirms.

use crate::clock;
use crate::error::PublishError;
use crate::event::Event;
use crate::message::{Message, Packing, pack, pack_one_batch};
use crate::session::Session;
use lapin::uri::AMQPUri;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How a [`Publisher`] behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The connection's name in the broker's console. Default `automation-client`.
    pub connection_name: String,
    /// How long a message waits for its confirm, and a connection for its opening. Default 10 s.
    pub patience: Duration,
    /// Most messages that are under way without a confirm, for each call. Default 256.
    pub window: usize,
}

/// Publishes events over one connection, which it replaces when it breaks; clones share it.
///
/// Every message is persistent, mandatory and confirmed, and carries the URL's user, which the broker validates. A
/// message that is not confirmed is sent once more on a new channel, with the same ids.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    uri: AMQPUri,
    config: Config,
    session: Mutex<Option<Arc<Session>>>,
}

impl Default for Config {
    fn default() -> Self {
        let connection_name = "automation-client".to_owned();
        Self { connection_name, patience: Duration::from_secs(10), window: 256 }
    }
}

impl Publisher {
    /// Connects to `amqp://user:password@host:port/vhost`; the virtual host is usually `automation`.
    ///
    /// # Errors
    ///
    /// [`PublishError::Url`] and [`PublishError::Unavailable`].
    pub async fn connect(amqp_url: &str) -> Result<Self, PublishError> {
        Self::connect_with(amqp_url, Config::default()).await
    }

    /// Connects as [`connect`](Self::connect) does, with other settings.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(amqp_url: &str, config: Config) -> Result<Self, PublishError> {
        let uri = amqp_url.parse().map_err(PublishError::Url)?;
        let shared = Shared { uri, config, session: Mutex::new(None) };
        let publisher = Self { shared: Arc::new(shared) };
        publisher.session().await?;
        Ok(publisher)
    }

    /// Publishes one event and waits for the confirm.
    ///
    /// # Errors
    ///
    /// Any [`PublishError`]; only after [`PublishError::Unconfirmed`] may the event have arrived.
    pub async fn publish(&self, event: &Event) -> Result<(), PublishError> {
        only(self.publish_all(std::slice::from_ref(event), Packing::Single).await)
    }

    /// Publishes up to 500 events of one type as one message and waits for the confirm: all of them or none.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); [`PublishError::Limit`] for no events, too many, too large, or of several types.
    pub async fn publish_batch(&self, events: &[Event]) -> Result<(), PublishError> {
        let message = pack_one_batch(events)?;
        only(self.deliver(&[message]).await)
    }

    /// Publishes any events, pipelined; one outcome per event, in their order.
    pub async fn publish_all(&self, events: &[Event], packing: Packing) -> Vec<Result<(), PublishError>> {
        let (messages, refused) = pack(events, packing);
        let mut outcomes = vec![Ok(()); events.len()];
        for (place, error) in refused {
            outcomes[place] = Err(error);
        }
        for (message, outcome) in messages.iter().zip(self.deliver(&messages).await) {
            for place in &message.members {
                outcomes[*place] = outcome.clone();
            }
        }
        outcomes
    }

    /// Closes the connection in an orderly way; without it, it closes when the last clone is dropped.
    pub async fn close(self) {
        if let Some(session) = self.shared.session.lock().await.take() {
            session.close(clock::now() + self.shared.config.patience).await;
        }
    }

    /// Sends messages; those that are not confirmed once more, on another channel.
    async fn deliver(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        let all: Vec<&Message> = messages.iter().collect();
        let mut outcomes = self.attempt(&all).await;
        let open: Vec<usize> = outcomes
            .iter()
            .enumerate()
            .filter(|(_, outcome)| outcome.as_ref().is_err_and(PublishError::is_worth_another_channel))
            .map(|(place, _)| place)
            .collect();
        if open.is_empty() {
            return outcomes;
        }
        let again: Vec<&Message> = open.iter().map(|place| &messages[*place]).collect();
        for (place, second) in open.into_iter().zip(self.attempt(&again).await) {
            outcomes[place] = match (&outcomes[place], second) {
                // The first try may have reached the broker, whatever became of the second.
                (Err(PublishError::Unconfirmed(_)), Err(PublishError::Unavailable(reason))) => {
                    Err(PublishError::Unconfirmed(reason))
                }
                (_, second) => second,
            };
        }
        outcomes
    }

    async fn attempt(&self, messages: &[&Message]) -> Vec<Result<(), PublishError>> {
        let Config { window, patience, .. } = &self.shared.config;
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => return vec![Err(error); messages.len()],
        };
        let user = &self.shared.uri.authority.userinfo.username;
        let outcomes = session.publish(user, messages, (*window).max(1), *patience).await;
        if outcomes.iter().any(Result::is_err) {
            self.retire(&session).await;
        }
        outcomes
    }

    /// The open session, or a new one.
    async fn session(&self) -> Result<Arc<Session>, PublishError> {
        let Shared { uri, config, session } = &*self.shared;
        let mut current = session.lock().await;
        if let Some(open) = current.as_ref().filter(|session| session.is_open()) {
            return Ok(open.clone());
        }
        let kept = current.take().map(|session| session.connection());
        let opened =
            Session::open(uri, &config.connection_name, kept, clock::now() + config.patience).await?;
        Ok(current.insert(Arc::new(opened)).clone())
    }

    /// Gives up the channel of `session`, unless somebody else did so already.
    async fn retire(&self, session: &Arc<Session>) {
        let mut current = self.shared.session.lock().await;
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            session.retire();
            let deadline = clock::now() + self.shared.config.patience;
            let (uri, name) = (&self.shared.uri, &self.shared.config.connection_name);
            *current =
                Session::open(uri, name, Some(session.connection()), deadline).await.ok().map(Arc::new);
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.debug_struct("Publisher").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

fn only(outcomes: Vec<Result<(), PublishError>>) -> Result<(), PublishError> {
    outcomes.into_iter().next().expect("one outcome for one message")
}
