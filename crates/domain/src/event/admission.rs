//! What holds of an event whoever publishes it: the same at the door, which can still tell the caller, and at ingest.

use super::{ENGINE_SOURCE, Event};
use crate::limits::Limits;
use crate::schedule::EVENT_PREFIX;

/// The header of a message by which an engine's user publishes for somebody else, whose grant then counts.
pub const ON_BEHALF_OF: &str = "automation-on-behalf-of";

/// Why an event is not let in: code and sentence.
pub type Reason = (&'static str, String);

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

/// Checks the event's place in its chain of causes.
///
/// # Errors
///
/// `causation_depth_exceeded`.
pub fn check_depth(event: &Event, limits: &Limits) -> Result<(), Reason> {
    if event.causation_depth > limits.causation_depth {
        return Err((
            "causation_depth_exceeded",
            format!(
                "the event is number {} in a chain of causes; at most {} are followed: is there a loop of workflows?",
                event.causation_depth, limits.causation_depth
            ),
        ));
    }
    Ok(())
}
