//! How many messages and consumers queues have at this moment. The management API's numbers are up to five seconds old.

use crate::connection::{self, PATIENCE, short, within};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use std::collections::BTreeMap;

pub use crate::connection::Error;

/// What a queue holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Depth {
    /// Messages that wait.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// Asks the broker of `url` for each of these queues. A queue that does not exist, or whose node does not answer, is not among
/// what comes back.
///
/// # Errors
///
/// [`Error`] when there is no connection.
pub async fn depths(url: &str, queues: &[String]) -> Result<BTreeMap<String, Depth>, Error> {
    let connection = connection::open(url, "automation depths").await?;
    let mut found = BTreeMap::new();
    for queue in queues {
        // A refusal closes the channel, so each question has its own.
        let channel = within(PATIENCE, connection.create_channel()).await?;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(short(queue)?, options, FieldTable::default());
        if let Ok(declared) = within(PATIENCE, declared).await {
            let depth = Depth { ready: declared.message_count(), consumers: declared.consumer_count() };
            found.insert(queue.clone(), depth);
            let _ = within(PATIENCE, channel.close(200, "OK".into())).await;
        }
    }
    connection::close(&connection).await;
    Ok(found)
}
