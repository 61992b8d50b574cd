//! The message that publishes a parked event again: the same bytes, on behalf of the same publisher.

use automation_broker::publisher::Message;
use automation_broker::topology::EVENTS;
use automation_domain::event::admission::{BrokerUsers, ON_BEHALF_OF};
use automation_store::events::parked::{Parked, ParkedStatus};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the broker and the engine add to a message begins with one of these.
const NOT_THE_PUBLISHERS: [&str; 2] = ["x-", "automation-"];
const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// Who publishes, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Speakers<'a> {
    /// The user of the connection: the broker accepts no other.
    pub user: &'a str,
    /// Users who may publish for others.
    pub users: &'a BrokerUsers,
    /// Whom to publish for when nobody is known to have published it.
    pub stand_in: Option<&'a str>,
}

/// Why a parked event is not published again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unreplayable {
    /// It was handled before.
    #[error("it is {0}")]
    NotOpen(ParkedStatus),
    /// A work message that nobody can read.
    #[error("it is no event")]
    NotAnEvent,
    /// It came while the quota of parked bytes was used up.
    #[error("its bytes were not kept, because the tenant's quota of parked bytes was used up")]
    NotKept,
    /// Without a publisher there is no grant to check it against.
    #[error("nobody vouched for it: name the user on whose behalf it is to be published with --as")]
    NoPublisher,
    /// It was parked again, or handled by somebody else, while it was published.
    #[error("it was refused again, or handled by somebody else meanwhile")]
    Again,
}

impl Unreplayable {
    /// Stable code, listed in `docs/errors.md`.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotOpen(_) => "parked_not_open",
            Self::NotAnEvent => "parked_not_an_event",
            Self::NotKept => "parked_not_kept",
            Self::NoPublisher => "parked_without_publisher",
            Self::Again => "parked_again",
        }
    }
}

/// The message, and on whose behalf it is.
pub(super) fn message(
    parked: &Parked,
    speakers: Speakers<'_>,
) -> Result<(Message, Option<String>), Unreplayable> {
    match parked.status {
        ParkedStatus::Open => {}
        other @ (ParkedStatus::Replayed | ParkedStatus::Discarded) => {
            return Err(Unreplayable::NotOpen(other));
        }
    }
    let Some(body) = parked.body.bytes() else { return Err(Unreplayable::NotKept) };
    if parked.reason == "dead_letter" {
        return Err(Unreplayable::NotAnEvent);
    }
    let on_behalf_of = speaker(parked, speakers)?;
    let mut headers: BTreeMap<String, String> = parked
        .headers
        .iter()
        .filter(|(name, _)| !NOT_THE_PUBLISHERS.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    headers.extend(on_behalf_of.iter().map(|user| (ON_BEHALF_OF.to_owned(), user.clone())));
    let message = Message {
        exchange: EVENTS.to_owned(),
        routing_key: parked.routing_key.clone(),
        body: body.to_vec(),
        content_type: content_type(parked, body),
        headers,
        message_id: parked.parked_id.to_string(),
        timestamp: None,
        user_id: Some(speakers.user.to_owned()),
    };
    Ok((message, on_behalf_of))
}

/// Who published it, as far as anybody vouches for that.
pub(super) fn publisher(parked: &Parked, users: &BrokerUsers) -> Option<String> {
    let user = parked.amqp_user.as_ref()?;
    Some(on_behalf_of(parked, user, users).unwrap_or_else(|| user.clone()))
}

/// For whom `user` published it; `None` for what the engine published by itself.
fn on_behalf_of(parked: &Parked, user: &str, users: &BrokerUsers) -> Option<String> {
    let claimed = parked.headers.get(ON_BEHALF_OF).map(text);
    // What somebody claimed without the right to does not count.
    let speaker = users.speaker(user, claimed.as_deref()).unwrap_or(Some(user));
    speaker.map(str::to_owned)
}

/// On whose behalf; `None` for what the engine published by itself.
fn speaker(parked: &Parked, speakers: Speakers<'_>) -> Result<Option<String>, Unreplayable> {
    match &parked.amqp_user {
        Some(user) => Ok(on_behalf_of(parked, user, speakers.users)),
        None => speakers.stand_in.map(|user| Some(user.to_owned())).ok_or(Unreplayable::NoPublisher),
    }
}

/// A bad member of a batch was parked alone, under the batch's content type.
fn content_type(parked: &Parked, body: &[u8]) -> String {
    let content_type = parked.content_type.clone().unwrap_or_else(|| ONE.to_owned());
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_batch = content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(BATCH));
    if is_batch && first != Some(&b'[') { ONE.to_owned() } else { content_type }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_store::events::parked::ParkedBody;
    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    fn parked(user: Option<&str>, headers: Value) -> Parked {
        Parked {
            parked_id: Uuid::from_u128(1),
            tenant_id: None,
            reason: "not_granted".to_owned(),
            detail: String::new(),
            queue: "automation.ingest.high".to_owned(),
            routing_key: "form.submitted".to_owned(),
            content_type: Some(ONE.to_owned()),
            amqp_user: user.map(str::to_owned),
            headers: headers.as_object().cloned().unwrap_or_default(),
            body: ParkedBody::Kept(b"{}".to_vec()),
            occurrences: 1,
            first_seen_at: DateTime::UNIX_EPOCH,
            last_seen_at: DateTime::UNIX_EPOCH,
            status: ParkedStatus::Open,
            changed_at: None,
            changed_by: None,
            note: None,
        }
    }

    fn behalf(parked: &Parked, stand_in: Option<&str>) -> Result<Option<String>, Unreplayable> {
        let users = BrokerUsers { engine: vec!["engine".to_owned()], door: vec!["door".to_owned()] };
        let speakers = Speakers { user: "engine", users: &users, stand_in };
        let (message, behalf) = message(parked, speakers)?;
        assert_eq!(message.headers.get(ON_BEHALF_OF), behalf.as_ref());
        assert_eq!(message.user_id.as_deref(), Some("engine"));
        Ok(behalf)
    }

    #[test]
    fn the_publisher_is_whoever_is_spoken_for_by_one_who_may() {
        let users = BrokerUsers { engine: vec!["engine".to_owned()], door: vec!["door".to_owned()] };
        let claims = |name: &str| json!({ ON_BEHALF_OF: name });
        for (user, headers, expected) in [
            (Some("crm"), json!({}), Some("crm")),
            (Some("door"), claims("apikey:st"), Some("apikey:st")),
            (Some("engine"), claims("crm"), Some("crm")),
            (Some("engine"), json!({}), Some("engine")),
            (Some("door"), claims("crm"), Some("door")),
            (Some("crm"), claims("apikey:st"), Some("crm")),
            (None, claims("apikey:st"), None),
        ] {
            assert_eq!(publisher(&parked(user, headers), &users).as_deref(), expected, "{user:?}");
        }
    }

    #[test]
    fn it_is_published_for_whoever_published_it() {
        assert_eq!(behalf(&parked(Some("crm"), json!({})), None), Ok(Some("crm".to_owned())));
        // What a publisher claimed about itself does not count.
        let forged = parked(Some("crm"), json!({ ON_BEHALF_OF: "admin" }));
        assert_eq!(behalf(&forged, Some("admin")), Ok(Some("crm".to_owned())));
        let again = parked(Some("engine"), json!({ ON_BEHALF_OF: "crm" }));
        assert_eq!(behalf(&again, None), Ok(Some("crm".to_owned())));
        let by_http = parked(Some("door"), json!({ ON_BEHALF_OF: "apikey:shop" }));
        assert_eq!(behalf(&by_http, None), Ok(Some("apikey:shop".to_owned())));
        // A door that was taken over gains nothing by an operator who publishes again what was parked.
        for forged in [json!({ ON_BEHALF_OF: "crm" }), json!({})] {
            assert_eq!(behalf(&parked(Some("door"), forged), None), Ok(Some("door".to_owned())));
        }
        assert_eq!(behalf(&parked(Some("engine"), json!({})), None), Ok(None));
        assert_eq!(behalf(&parked(None, json!({})), None), Err(Unreplayable::NoPublisher));
        assert_eq!(behalf(&parked(None, json!({})), Some("crm")), Ok(Some("crm".to_owned())));
    }

    #[test]
    fn headers_of_the_broker_and_of_the_engine_stay_behind() {
        let given = json!({ "x-death": "[]", "automation-reason": "r", "cloudevents:id": "7", "traceparent": "00-1" });
        let users = BrokerUsers::default();
        let speakers = Speakers { user: "engine", users: &users, stand_in: None };
        let (message, _) = message(&parked(Some("crm"), given), speakers).unwrap();
        let names: Vec<_> = message.headers.keys().map(String::as_str).collect();
        assert_eq!(names, [ON_BEHALF_OF, "cloudevents:id", "traceparent"]);
    }

    #[test]
    fn a_member_of_a_batch_goes_alone() {
        let mut one = parked(Some("crm"), json!({}));
        one.content_type = Some(format!("{BATCH}; charset=utf-8"));
        for (body, expected) in
            [(" {\"id\":1}", ONE), ("x", ONE), (" [{}]", "application/cloudevents-batch+json; charset=utf-8")]
        {
            assert_eq!(content_type(&one, body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_is_handled_or_no_event_is_refused() {
        let mut one = parked(Some("crm"), json!({}));
        one.status = ParkedStatus::Discarded;
        assert_eq!(behalf(&one, None), Err(Unreplayable::NotOpen(ParkedStatus::Discarded)));
        let mut nudge = parked(Some("engine"), json!({}));
        nudge.reason = "dead_letter".to_owned();
        assert_eq!(behalf(&nudge, None), Err(Unreplayable::NotAnEvent));
    }
}
