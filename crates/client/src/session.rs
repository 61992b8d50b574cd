//! One connection with one confirm channel.

use crate::EXCHANGE;
use crate::clock;
use crate::error::PublishError;
use crate::message::Message;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind, PublisherConfirm,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };
const PERSISTENT: u8 = 2;

/// An open channel. Once anything went wrong on it, it is given up: a channel that was opened before a node of the
/// broker died may refuse every message although a new one works at once.
pub(crate) struct Session {
    connection: Arc<Connection>,
    channel: Channel,
}

impl Session {
    /// Opens a channel on `kept` if that connection still works, else on a new one.
    pub(crate) async fn open(
        uri: &AMQPUri,
        name: &str,
        kept: Option<Arc<Connection>>,
        deadline: Instant,
    ) -> Result<Self, PublishError> {
        let opening = async {
            if let Some(connection) = kept.filter(|connection| connection.status().connected())
                && let Ok(channel) = confirm_channel(&connection).await
            {
                return Ok(Self { connection, channel });
            }
            let properties = ConnectionProperties::default().with_connection_name(name.into());
            let connection = Connection::connect_uri(uri.clone(), properties).await?;
            let channel = confirm_channel(&connection).await?;
            lapin::Result::Ok(Self { connection: Arc::new(connection), channel })
        };
        match timeout_at(deadline, opening).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(PublishError::Unavailable(error.to_string())),
            Err(_) => Err(PublishError::Unavailable("no answer in time".to_owned())),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.connection.clone()
    }

    /// Publishes messages with at most `window` confirms outstanding; the outcomes stand in the messages' order.
    ///
    /// A message waits at most `patience` for its confirm.
    pub(crate) async fn publish(
        &self,
        user: &str,
        messages: &[&Message],
        window: usize,
        patience: Duration,
    ) -> Vec<Result<(), PublishError>> {
        let mut outcomes = Vec::with_capacity(messages.len());
        let mut pending = VecDeque::with_capacity(window);
        let mut stopped = None;
        for message in messages {
            if pending.len() >= window
                && let Some((message, confirm, deadline)) = pending.pop_front()
            {
                outcomes.push(settle(message, confirm, deadline).await);
            }
            let deadline = clock::now() + patience;
            // Sending itself waits without limit while the broker blocks the connection.
            match timeout_at(deadline, self.send(user, message)).await {
                Ok(Ok(confirm)) => pending.push_back((*message, confirm, deadline)),
                Ok(Err(error)) => {
                    stopped = Some(classify(&error));
                    break;
                }
                Err(_) => {
                    stopped = Some(PublishError::Unconfirmed("no answer in time".to_owned()));
                    break;
                }
            }
        }
        for (message, confirm, deadline) in pending {
            outcomes.push(settle(message, confirm, deadline).await);
        }
        if let Some(error) = stopped {
            outcomes.resize(messages.len(), Err(error));
        }
        outcomes
    }

    /// Gives up the channel; the connection stays.
    pub(crate) fn retire(&self) {
        let channel = self.channel.clone();
        // Nobody waits: the broker may be the reason why it is given up.
        tokio::spawn(async move { channel.close(200, "retired".into()).await });
    }

    pub(crate) async fn close(&self, deadline: Instant) {
        // What is not closed in time is cut off when the process ends.
        let _ = timeout_at(deadline, self.connection.close(200, "goodbye".into())).await;
    }

    async fn send(&self, user: &str, message: &Message) -> lapin::Result<PublisherConfirm> {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(message.content_type.into())
            .with_user_id(user.into());
        // For people who look at queues: what counts is the id in the body, which may be a byte longer than AMQP's.
        if let Ok(id) = ShortString::try_new(message.id.as_str()) {
            properties = properties.with_message_id(id);
        }
        let routing_key = ShortString::from(message.event_type.as_str());
        self.channel.basic_publish(EXCHANGE.into(), routing_key, MANDATORY, &message.body, properties).await
    }
}

async fn confirm_channel(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn settle(message: &Message, confirm: PublisherConfirm, deadline: Instant) -> Result<(), PublishError> {
    match timeout_at(deadline, confirm).await {
        Ok(Ok(Confirmation::Ack(None))) => Ok(()),
        // A message that no queue takes is acknowledged too: the return is what counts.
        Ok(Ok(Confirmation::Ack(Some(returned)))) => Err(PublishError::Unroutable {
            event_type: message.event_type.clone(),
            reason: format!("{} {}", returned.reply_code, returned.reply_text),
        }),
        Ok(Ok(Confirmation::Nack(_))) => {
            Err(PublishError::Unconfirmed("the broker answered with a nack".to_owned()))
        }
        Ok(Ok(Confirmation::NotRequested)) => {
            Err(PublishError::Unconfirmed("the channel does not confirm".to_owned()))
        }
        Ok(Err(error)) => Err(classify(&error)),
        Err(_) => Err(PublishError::Unconfirmed("no answer in time".to_owned())),
    }
}

fn classify(error: &lapin::Error) -> PublishError {
    if let ErrorKind::ProtocolError(refusal) = error.kind()
        && error.is_amqp_soft_error()
    {
        PublishError::Refused { code: refusal.get_id(), reason: refusal.get_message().to_string() }
    } else {
        PublishError::Unconfirmed(error.to_string())
    }
}
