//! The conditions of an entry with both their values, for people.

use automation_domain::condition::Comparison;
use automation_operations::EntryCondition;
use serde_json::Value;

/// The verdict, and a line for each comparison.
pub fn told(entry: &EntryCondition, indent: usize, remark: &str) -> Vec<String> {
    let verdict = match (entry.holds, entry.over_budget) {
        (true, _) => "holds",
        (false, false) => "does not hold",
        (false, true) => "takes more than its budget to tell",
    };
    let head = format!("{:indent$}{} condition {verdict}{remark}", "", entry.of);
    let each =
        |one: &Comparison| compared(indent + 2, one.holds, &one.field, &one.op, &one.actual, &one.expected);
    let rest = left_out(indent + 2, entry.left_out);
    std::iter::once(head).chain(entry.comparisons.iter().map(each)).chain(rest).collect()
}

/// That there were more comparisons than there was room for.
pub fn left_out(indent: usize, comparisons: usize) -> Option<String> {
    (comparisons > 0).then(|| format!("{:indent$}and {comparisons} more, for which there was no room", ""))
}

/// A comparison in a line.
pub fn compared(
    indent: usize,
    holds: bool,
    field: &str,
    op: &str,
    actual: &Value,
    expected: &Value,
) -> String {
    let holds = if holds { "yes" } else { "no " };
    let actual = if actual.is_null() { "missing".to_owned() } else { short(actual) };
    format!("{:indent$}{holds}  {field} {op} {}, is {actual}", "", short(expected))
}

/// JSON in at most 100 characters.
pub fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Text as it is, anything else as JSON.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
