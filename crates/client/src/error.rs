//! What can go wrong, by what a caller does about it.

/// Why an event cannot be built; the text names the attribute and its rule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{attribute} {rule}")]
pub struct InvalidEvent {
    /// The CloudEvents attribute: `type`, `tenantid`, `data`, …
    pub attribute: &'static str,
    /// What it must be.
    pub rule: String,
}

/// Why an event is not confirmed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublishError {
    /// The URL is not one of an AMQP server.
    #[error("not an AMQP URL: {0}")]
    Url(String),
    /// The broker cannot be reached, or does not let the user in. Nothing was sent.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// The event, or the batch, breaks a limit of the contract. Nothing was sent.
    #[error("{0}")]
    Limit(String),
    /// No queue takes the event: the engine's topology is not declared there. Publishing again helps once it is.
    #[error("no queue takes events of type {event_type}: {reason}")]
    Unroutable {
        /// The event's type.
        event_type: String,
        /// The broker's words.
        reason: String,
    },
    /// The broker closed the channel over this message or one published beside it: no permission, no such exchange.
    #[error("refused by the broker: {code} {reason}")]
    Refused {
        /// AMQP's reply code: 403, 404, 406.
        code: u16,
        /// The broker's words.
        reason: String,
    },
    /// No confirm, twice: the event may have arrived. Publish the same event again, with its id.
    #[error("not confirmed, and perhaps published: {0}")]
    Unconfirmed(String),
}

impl PublishError {
    /// Whether a new channel may bring what this one did not.
    pub(crate) fn is_worth_another_channel(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Unconfirmed(_) => true,
            Self::Url(_) | Self::Limit(_) | Self::Unroutable { .. } | Self::Refused { .. } => false,
        }
    }
}
