//! Opening and closing connections within a bounded time.

use lapin::types::{ShortString, ShortStringError};
use lapin::{Connection, ConnectionProperties};
use std::time::Duration;
use tokio::time::timeout;

/// The longest that opening a connection or one exchange of frames with the broker may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest to wait for a polite goodbye; the broker notices the closed socket in any case.
const FAREWELL: Duration = Duration::from_secs(3);

/// Why a connection could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker, the network or the URL.
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    /// No answer in time.
    #[error("no answer from the broker within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A name longer than the 255 bytes AMQP has room for.
    #[error("a name is longer than AMQP allows: {0}")]
    Name(#[from] ShortStringError),
}

/// What a connection says about itself; `name` is what operators see in the list of connections.
///
/// Automatic recovery stays off: it hides outages and leaves confirms pending. Whoever owns a connection starts anew.
pub(crate) fn properties(name: &str) -> ConnectionProperties {
    ConnectionProperties::default().with_connection_name(name.into())
}

/// Opens a connection.
pub(crate) async fn open(url: &str, name: &str) -> Result<Connection, Error> {
    within(PATIENCE, Connection::connect(url, properties(name))).await
}

/// Closes a connection; whether the broker says goodbye is of no interest.
pub(crate) async fn close(connection: &Connection) {
    let _ = timeout(FAREWELL, connection.close(200, ShortString::from("OK"))).await;
}

/// Awaits an answer of the broker for at most `patience`.
pub(crate) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    match timeout(patience, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::TimedOut(patience)),
    }
}

/// A name for the wire.
pub(crate) fn short(name: &str) -> Result<ShortString, Error> {
    Ok(ShortString::try_new(name)?)
}
