//! Types that somebody may publish, as people type them.

use crate::output::note;
use automation_domain::catalogue;

/// Warns of types that are nearly one of the catalogue: they are taken as they are.
pub fn warn_of_nearly_known(types: &[String]) {
    for message in types.iter().filter_map(|event_type| catalogue::nearly_known(event_type)) {
        note(format!("warning: {message} [unknown_event]"));
    }
}
