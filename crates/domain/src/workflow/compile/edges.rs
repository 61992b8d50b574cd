//! The arrows of the graph, as written.

use super::reader::{Keys, Reader, Section};
use serde_json::Value;

const EDGE: Keys = Keys { what: "an edge", known: &["from", "to", "case"], later: &[] };

/// An edge before its ends are known.
pub(super) struct DraftEdge {
    pub(super) at: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) case: Option<String>,
}

/// The edges; `None` in place of one that could not be read.
pub(super) fn read(reader: &mut Reader<'_>, document: Section<'_>) -> Vec<Option<DraftEdge>> {
    let items = reader.list(document, "edges").unwrap_or_default();
    let most = reader.limits.edges;
    if items.len() > most {
        let message = format!("a workflow may have at most {most} edges; this has {}", items.len());
        reader.problem::<()>("too_many_edges", "edges", message);
    }
    items
        .iter()
        .take(most)
        .enumerate()
        .map(|(index, item)| edge(reader, item, format!("edges[{index}]")))
        .collect()
}

fn edge(reader: &mut Reader<'_>, item: &Value, at: String) -> Option<DraftEdge> {
    match item {
        Value::Array(ends) => match ends.as_slice() {
            [Value::String(from), Value::String(to)] => {
                Some(DraftEdge { at, from: from.clone(), to: to.clone(), case: None })
            }
            _ => reader.problem("wrong_type", at, "a short edge is two names: [from, to]"),
        },
        Value::Object(_) => {
            let section = reader.section(item, &at, &EDGE)?;
            let (from, to) = (reader.text(section, "from"), reader.text(section, "to"));
            let case = match section.get("case") {
                None => None,
                Some(_) => Some(reader.text(section, "case")?.to_owned()),
            };
            Some(DraftEdge { from: from?.to_owned(), to: to?.to_owned(), case, at: at.clone() })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            reader.problem("wrong_type", at, "an edge is [from, to] or {from, case, to}")
        }
    }
}
