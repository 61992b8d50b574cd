//! How many messages and consumers queues have at this moment, asked over AMQP. The management API's numbers are up to five
//! seconds old, and need credentials of their own.

use crate::clock;
use crate::connection::{self, PATIENCE, short, within};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::connection::Error;

/// The longest that one queue's node is waited for, so that the other queues are heard of: [`PATIENCE`] is for all.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);

/// What a queue holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Depth {
    /// Messages that are with no consumer.
    pub ready: u32,
    /// Who takes from it.
    pub consumers: u32,
}

/// Asks once; see [`Depths`].
///
/// # Errors
///
/// [`Error`] when there is no connection.
pub async fn depths(url: &str, queues: &[String]) -> Result<BTreeMap<String, Depth>, Error> {
    let mut asking = Depths::new(url, "automation depths", queues.to_vec());
    let found = asking.read().await;
    asking.close().await;
    found
}

/// Asks how deep queues are, over a connection of its own that it keeps.
#[derive(Debug)]
pub struct Depths {
    url: String,
    name: String,
    queues: Vec<String>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// A refusal closes it: the next question has its own.
    channel: Option<Channel>,
}

impl Depths {
    /// Of these queues; connects when it is first asked.
    pub fn new(url: &str, name: &str, queues: Vec<String>) -> Self {
        Self { url: url.to_owned(), name: name.to_owned(), queues, open: None }
    }

    /// The depth of each queue. One that does not exist, or whose node does not answer, is left out; so are those that there
    /// was no time for within ten seconds.
    ///
    /// # Errors
    ///
    /// [`Error`] when there is no connection; the next call connects anew.
    pub async fn read(&mut self) -> Result<BTreeMap<String, Depth>, Error> {
        let read = self.read_open().await;
        if read.is_err() {
            self.close().await;
        }
        read
    }

    async fn read_open(&mut self) -> Result<BTreeMap<String, Depth>, Error> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let connection = connection::open(&self.url, &self.name).await?;
                self.open.insert(Open { connection, channel: None })
            }
        };
        let mut depths = BTreeMap::new();
        let deadline = clock::now() + PATIENCE;
        for queue in &self.queues {
            if clock::now() >= deadline {
                break;
            }
            let channel = match open.channel.take() {
                Some(channel) => channel,
                None => within(PATIENCE, open.connection.create_channel()).await?,
            };
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let declared = channel.queue_declare(short(queue)?, passive, FieldTable::default());
            if let Ok(declared) = within(QUEUE_PATIENCE, declared).await {
                let depth = Depth { ready: declared.message_count(), consumers: declared.consumer_count() };
                depths.insert(queue.clone(), depth);
                open.channel = Some(channel);
            }
        }
        Ok(depths)
    }

    /// Closes the connection.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            connection::close(&open.connection).await;
        }
    }
}
