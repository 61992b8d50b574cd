//! The published JSON Schema of the workflow format.

use super::Contracts;
use serde_json::Value;

/// The JSON Schema (2020-12) of a workflow file with the configuration of every available action.
pub fn json_schema(contracts: &Contracts) -> Value {
    let _ = contracts;
    todo!()
}
