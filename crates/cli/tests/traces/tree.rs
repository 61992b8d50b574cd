//! A trace as text: each span under its parent, in the order of their beginnings.

use crate::collector::Received;
use std::fmt::Write as _;

/// What is shown of a span, where it has it.
const SHOWN: [&str; 8] = [
    "cloudevents.event_type",
    "runs.started",
    "run.status",
    "node.id",
    "attempt",
    "outcome",
    "http.response.status_code",
    "error.type",
];

/// The spans of one trace; none may be left over.
pub fn draw(spans: &[Received], trace_id: &str) -> String {
    let mut of_trace: Vec<&Received> = spans.iter().filter(|span| span.trace_id == trace_id).collect();
    of_trace.sort_by_key(|span| (span.start, span.end));
    let mut text = String::new();
    let drawn = children(&mut text, &of_trace, "", "");
    assert_eq!(drawn, of_trace.len(), "a span without its parent: {of_trace:#?}");
    text
}

fn children(text: &mut String, spans: &[&Received], parent: &str, indent: &str) -> usize {
    let here: Vec<_> = spans.iter().filter(|span| span.parent == parent).collect();
    let mut drawn = here.len();
    for (index, span) in here.iter().enumerate() {
        let is_last = index + 1 == here.len();
        let (branch, below) = match (parent.is_empty(), is_last) {
            (true, _) => ("", ""),
            (false, true) => ("└─ ", "   "),
            (false, false) => ("├─ ", "│  "),
        };
        let _ = write!(text, "{indent}{branch}{} ({})", span.name, span.service);
        for name in SHOWN {
            if let Some(value) = span.attributes.get(name) {
                let _ = write!(text, " {name}={value}");
            }
        }
        text.push('\n');
        drawn += children(text, spans, &span.span_id, &format!("{indent}{below}"));
    }
    drawn
}
