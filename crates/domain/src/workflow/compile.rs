//! From a definition to a compiled workflow, or to everything that is wrong with it.
//!
//! The document is read in three steps, each of which collects all its problems: the parts alone ([`document`],
//! [`triggers`], [`nodes`] with what happens when their steps fail ([`handling`]), [`edges`]), then how they are connected
//! ([`wiring`], [`paths`], [`branches`]), then what their expressions refer to ([`facts_read`]).

mod branches;
mod document;
mod edges;
mod enrolment;
pub(in crate::workflow) mod exits;
mod facts_read;
pub(in crate::workflow) mod handling;
mod no_contact;
mod nodes;
mod numbers;
mod options;
mod paths;
mod reader;
mod schedules;
mod text;
mod triggers;
mod wiring;

use super::{NodeTypes, Workflow};
use crate::json;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::schedule::Schedule;
pub(in crate::workflow) use document::{API_VERSION, LONGEST_OWNER};
pub use reader::{Keys, Reader, Section, is_key};
use serde_json::Value;

/// Compiles a definition in YAML or JSON text.
///
/// # Errors
///
/// Every problem found, each with its path.
pub fn parse(text: &str, types: &NodeTypes, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    let definition = read(text, limits).map_err(|problem| vec![problem])?;
    // As JSON it may be larger than the file, and as JSON it is stored and compiled again.
    parse_value(&definition, types, limits)
}

/// Reads a definition in YAML or JSON text, whatever it says.
///
/// # Errors
///
/// Why it is no document.
pub fn read(text: &str, limits: &Limits) -> Result<Value, Problem> {
    text::read(text, limits)
}

/// Compiles a definition that is JSON already: a stored version.
///
/// # Errors
///
/// Every problem found, each with its path.
pub fn parse_value(definition: &Value, types: &NodeTypes, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    text::check_size(json::size_bytes(definition), limits).map_err(|problem| vec![problem])?;
    compile(definition, types, limits)
}

/// Reads the `schedule` of a trigger by itself, as it stands in a stored definition.
///
/// # Errors
///
/// Every problem found, each with its path within the schedule.
pub fn parse_schedule(definition: &Value, limits: &Limits) -> Result<Schedule, Vec<Problem>> {
    let types = NodeTypes::default();
    let mut reader = Reader::new(&types, limits);
    schedules::read(&mut reader, definition, "schedule").ok_or(reader.problems)
}

fn compile(definition: &Value, types: &NodeTypes, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    let mut reader = Reader::new(types, limits);
    let workflow = document::read(&mut reader, definition);
    match workflow {
        Some(workflow) if reader.problems.is_empty() => {
            Ok(Workflow { warnings: reader.warnings, ..workflow })
        }
        Some(_) | None => Err(reader.problems),
    }
}

#[cfg(test)]
mod branches_tests;
#[cfg(test)]
mod handling_tests;
#[cfg(test)]
mod tests;
