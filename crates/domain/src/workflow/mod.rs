//! Workflows: the file format, its validation, and the compiled graph that the interpreter walks.

mod allowance;
mod comparison;
mod compile;
mod event_filter;
mod goal;
mod graph;
pub mod kinds;
mod readable;
mod schema;
pub mod variable;

pub use allowance::{Allowance, Refused};
pub use comparison::{Change, Difference, Element, Place, compare};
pub use compile::{Keys, Reader, Section, is_key, parse, parse_schedule, parse_value, read};
pub use event_filter::{EventFilter, LONGEST_LOOK_BACK};
pub use goal::{Goal, LONGEST_WINDOW, RunGoal, Window, watched_as};
pub use graph::*;
pub use kinds::{NodeType, NodeTypes};
pub use readable::Readable;
pub use schema::{definitions, json_schema};
