//! Tables for people, JSON for programs; only results go to standard output.

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};

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

    /// A list: `{"data": […], "next_cursor": …}` or a table with these columns, each a member of the rows.
    pub fn list(self, columns: &[&str], rows: Vec<Value>, next_cursor: Option<String>) {
        if self.json {
            print(&json!({ "data": rows, "next_cursor": next_cursor }).to_string());
            return;
        }
        if rows.is_empty() {
            eprintln!("nothing found");
            return;
        }
        print(&table(columns, &rows));
        if let Some(cursor) = next_cursor {
            eprintln!("more: --cursor {cursor}");
        }
    }

    /// One thing: JSON or the text.
    pub fn one(self, value: &Value, text: impl FnOnce() -> String) {
        if self.json {
            print(&value.to_string());
        } else {
            print(text().trim_end());
        }
    }
}

/// Writes a line. A reader that has seen enough (`| head`) ends the process quietly.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

/// A table of these members of each row.
pub fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.replace('_', " ")));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(&row[*column])));
    }
    table.to_string()
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

/// RFC 3339 with milliseconds, UTC.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
