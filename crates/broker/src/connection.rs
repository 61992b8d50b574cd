//! Opening and closing connections within a bounded time.

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::{ShortString, ShortStringError};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ErrorKind};
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
    /// Nobody answers there, or not as a broker does.
    #[error("no broker at {place}: {reason}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        reason: String,
    },
    /// A broker answers, and does not let this user into this virtual host.
    #[error("the broker at {place} refuses this login: {reason}")]
    Refused {
        /// Host and port.
        place: String,
        /// What it said.
        reason: String,
    },
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
    match within(PATIENCE, Connection::connect(url, properties(name))).await {
        Err(Error::Amqp(error)) => {
            let (place, reason) = (place(url), error.to_string());
            Err(match is_refusal(&error) {
                true => Error::Refused { place, reason },
                false => Error::Unreachable { place, reason },
            })
        }
        opened => opened,
    }
}

/// Wrong user or password, or a virtual host that is not there or not theirs.
fn is_refusal(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(
        error.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
    )
}

/// The virtual host of a URL, as a connection reads it; `None` when the URL cannot be read.
pub fn vhost_of(url: &str) -> Option<String> {
    url.parse().ok().map(|uri: AMQPUri| uri.vhost)
}

/// Host and port of a URL, without user and password.
fn place(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, place)| place).to_owned()
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
