//! Who may say what for whom.

use crate::directory::KnownTenant;
use automation_broker::consumer::Delivery;
use automation_domain::event::admission::{BrokerUsers, ON_BEHALF_OF, Reason, check_depth, check_type};
use automation_domain::event::{ENGINE_SOURCE, Event};
use automation_domain::limits::Limits;
use automation_store::upkeep::usage::{Grows, growing};
use chrono::{DateTime, SecondsFormat, Utc};

/// Checks the publisher against the tenant's grants as of `now`, the database's clock, and the event's place in its chain
/// of causes.
pub(crate) fn check(
    event: &Event,
    delivery: &Delivery,
    tenant: &KnownTenant,
    users: &BrokerUsers,
    limits: &Limits,
    now: DateTime<Utc>,
) -> Result<(), Reason> {
    let Some(user) = &delivery.user_id else {
        return Err((
            "no_user_id",
            "the message has no user_id property, so nobody vouches for it; set it to the name that the publisher logs in with"
                .to_owned(),
        ));
    };
    let speaker = users.speaker(user, delivery.headers.get(ON_BEHALF_OF).map(String::as_str));
    // Whoever speaks for somebody else has that one's rights, and no more.
    if speaker != Ok(None) && event.source == ENGINE_SOURCE {
        return Err(("reserved_source", format!("only the engine publishes as source \"{ENGINE_SOURCE}\"")));
    }
    check_type(event)?;
    if let Some(speaker) = speaker? {
        check_grant(event, speaker, tenant, now)?;
    }
    check_depth(event, limits)
}

/// Refuses events of a tenant that keeps more than it may of what events make: nothing more is taken in until its days pass,
/// records are deleted or its quota is raised.
pub(crate) fn check_quota(tenant: &KnownTenant, over: Option<&Vec<String>>) -> Result<(), Reason> {
    let tables = over.map(|over| growing(over, Grows::ByEvents)).unwrap_or_default();
    if tables.is_empty() {
        return Ok(());
    }
    let detail = format!("tenant \"{}\" keeps more than its quota of {}", tenant.key, tables.join(", "));
    Err(("quota_exceeded", detail))
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
