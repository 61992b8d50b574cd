//! Declares the table over AMQP.

use super::{Argument, Arguments, Binding, Exchange, ExchangeKind, Object, Queue, Topology};
use crate::connection::{self, PATIENCE, short, within};
use lapin::Channel;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

/// Why a topology could not be declared.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// No connection.
    #[error("cannot connect to declare the topology: {0}")]
    Connect(connection::Error),
    /// The broker refused one line of the table: it exists with other arguments (406), or the user may not (403).
    #[error("cannot declare {object}: {source}")]
    Declare {
        /// Which line.
        object: String,
        /// What the broker said.
        source: connection::Error,
    },
}

impl Topology {
    /// Declares everything in the virtual host of `url`, in order; what exists already is left as it is.
    ///
    /// Nothing is ever deleted or changed: arguments are immutable, and a line that exists with others is an error.
    pub async fn apply(&self, url: &str) -> Result<(), ApplyError> {
        let connection = connection::open(url, "automation topology").await.map_err(ApplyError::Connect)?;
        let outcome = self.declare_all(&connection).await;
        connection::close(&connection).await;
        outcome
    }

    async fn declare_all(&self, connection: &lapin::Connection) -> Result<(), ApplyError> {
        let channel = within(PATIENCE, connection.create_channel()).await.map_err(ApplyError::Connect)?;
        for object in self.objects() {
            declare(&channel, object)
                .await
                .map_err(|source| ApplyError::Declare { object: object.to_string(), source })?;
        }
        Ok(())
    }
}

async fn declare(channel: &Channel, object: &Object) -> Result<(), connection::Error> {
    match object {
        Object::Exchange(exchange) => declare_exchange(channel, exchange).await,
        Object::Queue(queue) => declare_queue(channel, queue).await,
        Object::Binding(binding) => bind(channel, binding).await,
    }
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> Result<(), connection::Error> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let kind = match exchange.kind {
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
        ExchangeKind::Headers => lapin::ExchangeKind::Headers,
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
    };
    let name = short(&exchange.name)?;
    within(PATIENCE, channel.exchange_declare(name, kind, options, table(&exchange.arguments)?)).await
}

async fn declare_queue(channel: &Channel, queue: &Queue) -> Result<(), connection::Error> {
    let options = QueueDeclareOptions::durable();
    within(PATIENCE, channel.queue_declare(short(&queue.name)?, options, table(&queue.arguments)?)).await?;
    Ok(())
}

async fn bind(channel: &Channel, binding: &Binding) -> Result<(), connection::Error> {
    let (queue, exchange) = (short(&binding.queue)?, short(&binding.exchange)?);
    let key = short(&binding.routing_key)?;
    let options = QueueBindOptions::default();
    within(PATIENCE, channel.queue_bind(queue, exchange, key, options, table(&binding.arguments)?)).await
}

fn table(arguments: &Arguments) -> Result<FieldTable, connection::Error> {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_ref().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        table.insert(short(name)?, value);
    }
    Ok(table)
}
