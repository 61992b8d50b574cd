//! The pure core of Automation Engine: events, contacts, workflows, conditions, templates and the interpreter.
//!
//! Nothing here does I/O, reads a clock, rolls dice or waits: every function of this crate gives the same answer
//! for the same arguments, which is what lets the executor, a dry run and a simulator share it.

pub mod action;
pub mod api_key;
pub mod audit;
pub mod budget;
pub mod catalogue;
pub mod condition;
pub mod contact;
pub mod credential;
pub mod duration;
pub mod effect;
pub mod encoding;
pub mod entry;
pub mod event;
pub mod facts;
pub mod grant;
pub mod hook;
pub mod http;
pub mod id;
pub mod interpreter;
pub mod json;
pub mod limits;
pub mod notice;
pub mod outbound;
pub mod part;
pub mod past;
pub mod path;
pub mod priority;
pub mod problem;
mod quoted;
pub mod record;
pub mod retry;
pub mod rungs;
pub mod schedule;
mod schema_words;
pub mod signature;
pub mod step_code;
pub mod template;
pub mod text;
pub mod trace;
mod wall_clock;
pub mod workflow;
