//! Tables for people, JSON for programs; only results go to standard output.
//!
//! Everything that the command line says leaves through here. Lines for people hold nothing that a terminal obeys
//! ([`Lines`]); JSON is exact.

pub use automation_operations::time;

use crate::exit;
use crate::terminal::Lines;
use automation_operations::Page;
use automation_service_kit::terminal::visible;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Columns that a cell takes at most; what is longer goes on in the next line of its row.
const CELL_WIDTH: u16 = 80;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON or tables.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Part of a list: `{"data": […], "next_cursor": …}`, or a table with these columns, each a member of the rows.
    pub fn page<T: Serialize>(self, columns: &[&str], page: &Page<T>) {
        if self.json {
            exact(&to_json(page).to_string());
            return;
        }
        if page.data.is_empty() {
            note("nothing found");
            return;
        }
        say(table(columns, &page.data.iter().map(to_json).collect::<Vec<_>>()));
        if let Some(cursor) = &page.next_cursor {
            note(format!("more: --cursor {cursor}"));
        }
    }

    /// One thing: JSON or the text.
    pub fn one<L: Into<Lines>>(self, value: &impl Serialize, text: impl FnOnce() -> L) {
        if self.json {
            exact(&to_json(value).to_string());
        } else {
            say(text());
        }
    }
}

/// What programs get, with the members of every object in one order.
pub fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("results have texts for keys")
}

/// Writes lines for people to standard output.
pub fn say(lines: impl Into<Lines>) {
    exact(&lines.into().text());
}

/// Writes a remark for people to standard error.
pub fn note(lines: impl Into<Lines>) {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    let mut out = io::stderr().lock();
    // Nobody is left to tell.
    let _ = writeln!(out, "{}", lines.into().text());
}

/// Writes a text for programs to standard output as it is.
pub fn exact(text: &str) {
    written(|out| writeln!(out, "{text}"));
}

/// Writes bytes of others to standard output as they are.
///
/// # Errors
///
/// When a terminal would get them.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    if io::stdout().is_terminal() {
        return Err(exit::usage("these bytes may hold what a terminal obeys", "send them to a file: > FILE"));
    }
    written(|out| out.write_all(bytes));
    Ok(())
}

/// A reader that has seen enough (`| head`) ends the process quietly.
#[expect(clippy::disallowed_methods, reason = "the one place; whoever prints has nothing left to do")]
fn written(write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
    let mut out = io::stdout().lock();
    if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        note(format!("error: cannot write to standard output: {error}"));
        std::process::exit(1);
    }
}

/// A table of these members of each row.
pub fn table(columns: &[&str], rows: &[Value]) -> Lines {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.replace('_', " ")));
    for row in rows {
        table.add_row(columns.iter().map(|column| visible(&cell(&row[*column])).into_owned()));
    }
    let widest = ColumnConstraint::UpperBoundary(Width::Fixed(CELL_WIDTH));
    for column in table.column_iter_mut() {
        column.set_constraint(widest);
    }
    Lines::of_block(&table.to_string())
}

/// A record of others as YAML.
pub fn yaml(value: &Value) -> Lines {
    Lines::of_block(&yaml_serde::to_string(value).unwrap_or_else(|_| value.to_string()))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_that_is_long_goes_on_below_and_loses_nothing() {
        let words = vec!["seven"; 60].join(" ");
        let table = table(&["id", "detail"], &[json!({ "id": "1", "detail": words })]).text();
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        assert_eq!(table.matches("seven").count(), 60);
    }

    #[test]
    fn a_cell_cannot_make_a_row() {
        let rows = [json!({ "name": "x\n| forged | row |\u{1b}[A" })];
        let table = table(&["name"], &rows).text();
        assert_eq!(table.lines().count(), 5, "{table}");
        assert!(table.contains("x\\n| forged | row |\\u001b[A"), "{table}");
    }
}
