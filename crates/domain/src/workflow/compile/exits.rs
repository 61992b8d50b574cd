//! What ends a run before its way is over.

use super::reader::{Keys, Reader, Section};
use crate::workflow::Exit;
use crate::workflow::event_filter::{EventFilter, look_back};

const EXIT: Keys = Keys { what: "an exit", known: &["event", "where", "look_back"], later: &[] };

/// Most exits of a workflow.
pub(in crate::workflow) const MOST: usize = 50;

pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Vec<Exit> {
    let items = reader.list(document, "exit").unwrap_or_default();
    if items.len() > MOST {
        let message = format!("a workflow may have at most {MOST} exits; this has {}", items.len());
        reader.problem::<()>("bad_value", "exit", message);
        return Vec::new();
    }
    let mut exits = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("exit[{index}]");
        let Some(section) = reader.section(item, &at, &EXIT) else { continue };
        let filter = EventFilter::read(reader, section);
        let look_back = look_back(reader, section, "an exit").unwrap_or_default();
        exits.extend(filter.map(|filter| Exit { filter, look_back }));
    }
    exits
}
