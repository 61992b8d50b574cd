//! Workflows: the file format, its validation, and the compiled graph that the interpreter walks.

mod compile;
mod graph;
mod schema;

pub use compile::{ActionContract, Contracts, parse, parse_value};
pub use graph::*;
pub use schema::json_schema;
