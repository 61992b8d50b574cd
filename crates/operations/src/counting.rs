//! What had happened to a contact when an event came, for conditions that count it.

use automation_domain::condition::Aggregate;
use automation_domain::event::RecordedEvent;
use automation_domain::id::{ContactId, TenantId};
use automation_domain::past::{self, History, Past};
use automation_store::events::history::{self, Window};
use automation_store::role::Api;
use automation_store::{Conn, Error};
use chrono::TimeDelta;

/// Events may be dated so far ahead of their receipt.
const MOST_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// What had happened.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Before {
    /// This, as it was known when the event came.
    Known(History),
    /// The event is about nobody.
    Nobody,
}

impl Before {
    pub(crate) fn as_ref(&self) -> Past<'_> {
        match self {
            Self::Known(history) => Past::Of(history),
            Self::Nobody => Past::Nobody,
        }
    }
}

/// Reads what these figures are of.
pub(crate) async fn before<'w>(
    connection: &mut Conn<Api>,
    tenant_id: TenantId,
    recorded: &RecordedEvent,
    aggregates: impl Iterator<Item = &'w Aggregate>,
) -> Result<Before, Error> {
    let Some(subject) = &recorded.event.subject else { return Ok(Before::Nobody) };
    let (contact_id, now) = (ContactId::derive(tenant_id, subject), recorded.received_at);
    let window = |asked: past::Asked<'_>| Window {
        tenant_id,
        contact_id,
        event_type: asked.event.to_owned(),
        from: now - asked.within,
        until: Some(now + MOST_AHEAD),
    };
    let windows: Vec<Window> =
        past::together(aggregates.map(Aggregate::asks)).into_values().map(window).collect();
    let mut histories = history::read(connection, &windows).await?;
    let history = histories.remove(&(tenant_id, contact_id)).unwrap_or(History::new(now));
    Ok(Before::Known(history.as_of(now)))
}
