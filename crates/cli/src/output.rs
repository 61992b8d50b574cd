//! Tables for people, JSON for programs; only results go to standard output.

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

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
            println!("{}", json!({ "data": rows, "next_cursor": next_cursor }));
            return;
        }
        if rows.is_empty() {
            eprintln!("nothing found");
            return;
        }
        println!("{}", table(columns, &rows));
        if let Some(cursor) = next_cursor {
            eprintln!("more: --cursor {cursor}");
        }
    }

    /// One thing: JSON or the text.
    pub fn one(self, value: &Value, text: impl FnOnce() -> String) {
        if self.json {
            println!("{value}");
        } else {
            println!("{}", text().trim_end());
        }
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
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// RFC 3339 with milliseconds, UTC.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
