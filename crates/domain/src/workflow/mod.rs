//! Workflows: the file format, its validation, and the compiled graph that the interpreter walks.

mod allowance;
mod compile;
mod graph;
pub mod kinds;
mod schema;

pub use allowance::{Allowance, Refused};
pub use compile::{Keys, Reader, Section, parse, parse_schedule, parse_value};
pub use graph::*;
pub use kinds::{NodeType, NodeTypes};
pub use schema::{definitions, json_schema};
