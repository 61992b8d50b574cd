//! From a definition to a compiled workflow, or to everything that is wrong with it.
//!
//! The document is read in three steps, each of which collects all its problems: the parts alone ([`document`],
//! [`triggers`], [`nodes`] with what happens when their steps fail ([`handling`]), [`edges`]), then how they are connected ([`wiring`], [`paths`]), then what their
//! expressions refer to ([`facts_read`]).

mod config;
mod document;
mod edges;
mod enrolment;
mod facts_read;
pub(in crate::workflow) mod handling;
mod no_contact;
mod nodes;
mod numbers;
mod paths;
mod reader;
mod schedules;
mod text;
mod triggers;
mod wiring;

use super::Workflow;
use crate::json;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::schedule::Schedule;
pub(in crate::workflow) use document::API_VERSION;
use reader::Reader;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What an available action tells the compiler.
#[derive(Clone, Debug)]
pub struct ActionContract {
    /// Catalogue key.
    pub key: &'static str,
    /// JSON Schema (2020-12) of `with`, before templates are rendered.
    pub config_schema: Value,
    /// Whether it needs a contact.
    pub needs_contact: bool,
    /// Whether it works with the run's contact where there is one, needed or not.
    pub uses_contact: bool,
    /// What the schema cannot say. It gets those members of `with` that hold no template, and answers with the key and
    /// a sentence for each that will fail every run.
    pub check: Check,
}

/// Finds faults in literal options: each with its key and a sentence.
pub type Check = fn(&Map<String, Value>) -> Vec<(&'static str, String)>;

/// The actions that have a handler, by key.
pub type Contracts = BTreeMap<&'static str, ActionContract>;

/// Compiles a definition in YAML or JSON text.
///
/// # Errors
///
/// Every problem found, each with its path.
pub fn parse(text: &str, contracts: &Contracts, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    let definition = text::read(text, limits).map_err(|problem| vec![problem])?;
    // As JSON it may be larger than the file, and as JSON it is stored and compiled again.
    parse_value(&definition, contracts, limits)
}

/// Compiles a definition that is JSON already: a stored version.
///
/// # Errors
///
/// Every problem found, each with its path.
pub fn parse_value(
    definition: &Value,
    contracts: &Contracts,
    limits: &Limits,
) -> Result<Workflow, Vec<Problem>> {
    text::check_size(json::size_bytes(definition), limits).map_err(|problem| vec![problem])?;
    compile(definition, contracts, limits)
}

/// Reads the `schedule` of a trigger by itself, as it stands in a stored definition.
///
/// # Errors
///
/// Every problem found, each with its path within the schedule.
pub fn parse_schedule(definition: &Value, limits: &Limits) -> Result<Schedule, Vec<Problem>> {
    let contracts = Contracts::new();
    let mut reader = Reader::new(&contracts, limits);
    schedules::read(&mut reader, definition, "schedule").ok_or(reader.problems)
}

fn compile(definition: &Value, contracts: &Contracts, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    let mut reader = Reader::new(contracts, limits);
    let workflow = document::read(&mut reader, definition);
    match workflow {
        Some(workflow) if reader.problems.is_empty() => {
            Ok(Workflow { warnings: reader.warnings, ..workflow })
        }
        Some(_) | None => Err(reader.problems),
    }
}

#[cfg(test)]
mod handling_tests;
#[cfg(test)]
mod tests;
