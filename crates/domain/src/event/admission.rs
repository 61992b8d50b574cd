//! What holds of an event whoever publishes it: the same at the door, which can still tell the caller, and at ingest.

use super::{ENGINE_SOURCE, Event};
use crate::grant;
use crate::limits::Limits;
use crate::schedule::EVENT_PREFIX;

/// The header of a message by which an engine's user publishes for somebody else, whose grant then counts.
pub const ON_BEHALF_OF: &str = "automation-on-behalf-of";

/// Why an event is not let in: code and sentence.
pub type Reason = (&'static str, String);

/// Users of the broker who may publish for others.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct BrokerUsers {
    /// Those who may speak as the engine, and on behalf of anybody.
    pub engine: Vec<String>,
    /// Those of the door: they speak on behalf of API keys and webhooks, and of nobody else.
    pub door: Vec<String>,
}

impl BrokerUsers {
    /// For whom `user` speaks in a message with this header; `None` for the engine itself.
    ///
    /// # Errors
    ///
    /// `reserved_header` when it may not speak for that one.
    pub fn speaker<'a>(
        &self,
        user: &'a str,
        on_behalf_of: Option<&'a str>,
    ) -> Result<Option<&'a str>, Reason> {
        let is_one_of = |users: &[String]| users.iter().any(|one| one == user);
        match on_behalf_of {
            None if is_one_of(&self.engine) => Ok(None),
            None => Ok(Some(user)),
            Some(other) if is_one_of(&self.engine) => Ok(Some(other)),
            Some(other) if is_one_of(&self.door) && grant::is_engine_made(other) => Ok(Some(other)),
            Some(_) => Err((
                "reserved_header",
                format!(
                    "only the engine's users may set the header {ON_BEHALF_OF}, and the door's for API keys and webhooks"
                ),
            )),
        }
    }

    /// Those who may publish for `other`.
    pub fn speaking_for(&self, other: &str) -> Vec<String> {
        let door = self.door.iter().filter(|_| grant::is_engine_made(other));
        self.engine.iter().chain(door).cloned().collect()
    }

    /// Whether `user` may speak on behalf of API keys and webhooks.
    pub fn speaks_for_callers(&self, user: &str) -> bool {
        self.engine.iter().chain(&self.door).any(|one| one == user)
    }
}

/// Checks that a slot of a schedule comes from the engine.
///
/// # Errors
///
/// `reserved_type`.
pub fn check_type(event: &Event) -> Result<(), Reason> {
    if event.event_type.starts_with(EVENT_PREFIX) && event.source != ENGINE_SOURCE {
        return Err(("reserved_type", format!("only the engine's own schedules publish {EVENT_PREFIX}…")));
    }
    Ok(())
}

/// The code of an event that is one link too many of its chain of causes.
pub const TOO_LONG_A_CHAIN: &str = "causation_depth_exceeded";

/// Checks the event's place in its chain of causes.
///
/// # Errors
///
/// `causation_depth_exceeded`.
pub fn check_depth(event: &Event, limits: &Limits) -> Result<(), Reason> {
    if event.causation_depth > limits.causation_depth {
        return Err((
            TOO_LONG_A_CHAIN,
            format!(
                "the event is number {} in a chain of causes; at most {} are followed: is there a loop of workflows?",
                event.causation_depth, limits.causation_depth
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_speaks_for_keys_and_webhooks_and_never_for_the_engine_or_a_user_of_the_broker() {
        let users = BrokerUsers { engine: vec!["engine".to_owned()], door: vec!["door".to_owned()] };
        let speaker = |user, behalf| users.speaker(user, behalf).map_err(|(code, _)| code);
        assert_eq!(speaker("engine", None), Ok(None));
        assert_eq!(speaker("engine", Some("crm")), Ok(Some("crm")));
        assert_eq!(speaker("door", Some("apikey:shop")), Ok(Some("apikey:shop")));
        assert_eq!(speaker("door", Some("hook:stripe")), Ok(Some("hook:stripe")));
        // Without the header it is a publisher like others, and has no grant.
        assert_eq!(speaker("door", None), Ok(Some("door")));
        for (user, behalf) in
            [("door", "crm"), ("door", "engine"), ("door", ""), ("crm", "apikey:shop"), ("crm", "crm")]
        {
            assert_eq!(speaker(user, Some(behalf)), Err("reserved_header"), "{user} for {behalf}");
        }
        assert_eq!(users.speaking_for("apikey:shop"), ["engine", "door"]);
        assert_eq!(users.speaking_for("crm"), ["engine"]);
        assert!(users.speaks_for_callers("door") && users.speaks_for_callers("engine"));
        assert!(!users.speaks_for_callers("crm"));
    }
}
