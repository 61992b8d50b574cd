//! Heads that were kept in a file.

use crate::exit;
use automation_operations::audit::KeptHead;
use serde_json::Value;
use std::path::Path;

/// Reads what `automation audit head --json` printed.
pub fn read(file: &Path) -> anyhow::Result<Vec<KeptHead>> {
    let shown = file.display();
    let next = "give a file that holds what automation audit head --json printed";
    let text = std::fs::read_to_string(file)
        .map_err(|error| exit::usage(format!("cannot read {shown}: {error}"), next))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| exit::usage(format!("{shown} is no JSON: {error}"), next))?;
    let other = || exit::usage(format!("{shown} holds something else than heads of the audit log"), next);
    KeptHead::read(&value).ok_or_else(other)
}
