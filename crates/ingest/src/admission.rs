//! Who may say what for whom.

use crate::directory::KnownTenant;
use automation_broker::consumer::Delivery;
use automation_domain::event::admission::{ON_BEHALF_OF, Reason, check_depth, check_type};
use automation_domain::event::{ENGINE_SOURCE, Event};
use automation_domain::limits::Limits;
use chrono::{DateTime, SecondsFormat, Utc};

/// Checks the publisher against the tenant's grants as of `now`, the database's clock, and the event's place in its chain
/// of causes.
pub(crate) fn check(
    event: &Event,
    delivery: &Delivery,
    tenant: &KnownTenant,
    engine_users: &[String],
    limits: &Limits,
    now: DateTime<Utc>,
) -> Result<(), Reason> {
    let Some(user) = &delivery.user_id else {
        return Err((
            "no_user_id",
            "the message has no user_id property, so nobody vouches for it".to_owned(),
        ));
    };
    let is_engine = engine_users.contains(user);
    let on_behalf_of = delivery.headers.get(ON_BEHALF_OF);
    // Whoever speaks for somebody else has that one's rights, and no more.
    let speaks_for_itself = is_engine && on_behalf_of.is_none();
    if !speaks_for_itself && event.source == ENGINE_SOURCE {
        return Err(("reserved_source", format!("only the engine publishes as source \"{ENGINE_SOURCE}\"")));
    }
    check_type(event)?;
    if !is_engine && on_behalf_of.is_some() {
        return Err((
            "reserved_header",
            format!("only the engine's users may set the header {ON_BEHALF_OF}"),
        ));
    }
    let speaker = match (is_engine, on_behalf_of) {
        (true, None) => None,
        (true, Some(other)) => Some(other),
        (false, _) => Some(user),
    };
    if let Some(speaker) = speaker {
        check_grant(event, speaker, tenant, now)?;
    }
    check_depth(event, limits)
}

fn check_grant(event: &Event, speaker: &str, tenant: &KnownTenant, now: DateTime<Utc>) -> Result<(), Reason> {
    let Some(grant) = tenant.grant(speaker, &event.event_type) else {
        return Err((
            "not_granted",
            format!("user \"{speaker}\" has no grant for {} of tenant \"{}\"", event.event_type, tenant.key),
        ));
    };
    match grant.expires_at {
        Some(at) if grant.is_over(now) => Err((
            "grant_expired",
            format!(
                "the grant of user \"{speaker}\" for tenant \"{}\" ended at {}",
                tenant.key,
                at.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        )),
        Some(_) | None => Ok(()),
    }
}
