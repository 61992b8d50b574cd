//! What the documentation says, held against what there is: every command that it names, every variable with its default,
//! every page, file, section and test that it points at, every example, and what it says of values.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod commands;
mod diffs;
mod links;
mod pages;
mod settings;
mod step_codes;
mod tests_named;
mod values;
