//! Workflows: the file format, its validation, and the compiled graph that the interpreter walks.

mod allowance;
mod compile;
mod flow;
mod graph;
mod schema;

pub use allowance::{Allowance, Refused};
pub use compile::{ActionContract, Contracts, parse, parse_schedule, parse_value};
pub use flow::flow_contracts;
pub use graph::*;
pub use schema::json_schema;
