//! One confirm channel on one pooled connection.

use super::message::Frames;
use super::{PublishError, Unconfirmed};
use crate::connection;
use backoff::{ExponentialBuilder, Retryable};
use deadpool_lapin::{Object, Pool};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::{Channel, Confirmation, ConnectionStatus, ErrorKind, PublisherConfirm};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

/// One confirm channel on one connection, both opened when needed.
///
/// A channel on which anything went wrong is never used again: after the node of a queue's leader died, one that was
/// opened before keeps refusing every message although a new one works at once.
pub(super) struct Lane {
    pub(super) number: usize,
    connection: Option<Object>,
    channel: Option<Channel>,
}

impl Lane {
    pub(super) fn new(number: usize) -> Self {
        Self { number, connection: None, channel: None }
    }

    pub(super) fn status(&self) -> Option<ConnectionStatus> {
        self.connection.as_ref().map(|connection| connection.status().clone())
    }

    /// Makes sure that there is an open channel.
    pub(super) async fn open(&mut self, pool: &Pool, deadline: Instant) -> Result<(), PublishError> {
        if self.status().is_some_and(|status| !status.connected()) {
            self.drop_connection();
        }
        if self.status().is_some_and(|status| status.blocked()) {
            // The connection is kept: another would be blocked as soon as it publishes.
            return Err(PublishError::Blocked);
        }
        if self.channel.as_ref().is_some_and(|channel| channel.status().connected()) {
            return Ok(());
        }
        self.channel = None;
        let mut reason = "no answer in time".to_owned();
        let kept = self.connection.take();
        let backoff = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(2))
            .with_jitter()
            .without_max_times();
        let opening = async {
            if let Some(connection) = kept {
                match confirm_channel(&connection).await {
                    Ok(channel) => return Ok((connection, channel)),
                    Err(_) => discard(connection),
                }
            }
            (|| open(pool)).retry(backoff).notify(|error: &String, _| reason.clone_from(error)).await
        };
        match timeout_at(deadline, opening).await {
            Ok(Ok((connection, channel))) => {
                (self.connection, self.channel) = (Some(connection), Some(channel));
                Ok(())
            }
            Ok(Err(reason)) => Err(PublishError::Unavailable(reason)),
            Err(_) => Err(PublishError::Unavailable(reason)),
        }
    }

    /// Publishes a window of messages, the first of which has the index `first`, and adds failures to `failed`.
    pub(super) async fn publish(
        &mut self,
        window: &[Frames],
        first: usize,
        deadline: Instant,
        failed: &mut Unconfirmed,
    ) {
        let Some(channel) = &self.channel else {
            failed.unknown.extend(first..first + window.len());
            return;
        };
        let mut confirms = Vec::with_capacity(window.len());
        let mut stopped_by = None;
        for message in window {
            // Sending itself waits without limit while the broker blocks the connection.
            match timeout_at(deadline, send(channel, message)).await {
                Ok(Ok(confirm)) => confirms.push(confirm),
                Ok(Err(error)) => {
                    failed.over_content |= is_over_content(&error);
                    stopped_by = Some(error.to_string());
                    break;
                }
                Err(_) => {
                    stopped_by = Some("no answer in time".to_owned());
                    break;
                }
            }
        }
        failed.unknown.extend(first + confirms.len()..first + window.len());
        for (index, confirm) in (first..).zip(confirms) {
            match timeout_at(deadline, confirm).await {
                Ok(Ok(Confirmation::Ack(None))) => {}
                // A message that no queue takes is acknowledged too: the return is what counts.
                Ok(Ok(Confirmation::Ack(Some(_)))) => failed.returned.push(index),
                Ok(Ok(Confirmation::Nack(_))) => failed.nacked.push(index),
                Ok(Ok(Confirmation::NotRequested)) => failed.unknown.push(index),
                Ok(Err(error)) => {
                    failed.over_content |= is_over_content(&error);
                    failed.cause.get_or_insert(error.to_string());
                    failed.unknown.push(index);
                }
                Err(_) => {
                    failed.cause.get_or_insert("no answer in time".to_owned());
                    failed.unknown.push(index);
                }
            }
        }
        // Sending only finds that the channel is closing; a message that was sent before knows why.
        failed.cause = failed.cause.take().or(stopped_by);
        failed.unknown.sort_unstable();
        if !failed.unknown.is_empty() && !self.status().is_some_and(|status| status.blocked()) {
            self.drop_connection();
        }
    }

    /// Gives up the channel; the connection stays.
    pub(super) fn retire(&mut self) {
        self.channel = None;
    }

    pub(super) async fn close(mut self) {
        self.channel = None;
        if let Some(connection) = self.connection.take() {
            connection::close(&connection).await;
            discard(connection);
        }
    }

    fn drop_connection(&mut self) {
        self.channel = None;
        if let Some(connection) = self.connection.take() {
            discard(connection);
        }
    }
}

/// 406: the broker closed the channel because of what a message says of itself.
fn is_over_content(error: &lapin::Error) -> bool {
    let precondition = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
    matches!(error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == precondition)
}

/// Takes a connection out of the pool, which would hand it out again; dropping it closes it.
fn discard(connection: Object) {
    drop(Object::take(connection));
}

async fn open(pool: &Pool) -> Result<(Object, Channel), String> {
    let connection = pool.get().await.map_err(|error| error.to_string())?;
    match confirm_channel(&connection).await {
        Ok(channel) => Ok((connection, channel)),
        Err(error) => {
            discard(connection);
            Err(error.to_string())
        }
    }
}

async fn confirm_channel(connection: &lapin::Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn send(channel: &Channel, message: &Frames) -> lapin::Result<PublisherConfirm> {
    channel
        .basic_publish(
            message.exchange.clone(),
            message.routing_key.clone(),
            MANDATORY,
            &message.body,
            message.properties.clone(),
        )
        .await
}
