//! What workflows can do: one file per action kind, and the list of those that have a handler.

mod add_note;
mod add_tag;
mod catalogue;
mod config;
mod create_task;
mod http_request;
mod remove_tag;
mod update_field;

pub use catalogue::node_types;
pub use http_request::check_edited;

#[cfg(test)]
mod prepare_tests;
#[cfg(test)]
mod run_budget_tests;
#[cfg(test)]
mod run_tests;
