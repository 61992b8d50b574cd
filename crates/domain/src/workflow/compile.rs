//! From a definition to a compiled workflow, or to everything that is wrong with it.

use super::Workflow;
use crate::limits::Limits;
use crate::problem::Problem;
use serde_json::Value;
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
}

/// The actions that have a handler, by key.
pub type Contracts = BTreeMap<&'static str, ActionContract>;

/// Compiles a definition in YAML or JSON text.
///
/// # Errors
///
/// Every problem found, each with its path.
pub fn parse(text: &str, contracts: &Contracts, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    let _ = (text, contracts, limits);
    todo!()
}

/// Compiles a definition that is JSON already: a stored version.
pub fn parse_value(definition: &Value, contracts: &Contracts, limits: &Limits) -> Result<Workflow, Vec<Problem>> {
    let _ = (definition, contracts, limits);
    todo!()
}
