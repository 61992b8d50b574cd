//! One file per command.

pub mod apikey;
pub mod approval;
pub mod audit;
mod bulk;
pub mod catalog;
pub mod contact;
pub mod credential;
pub mod dead;
pub mod doctor;
mod entry;
pub mod event;
pub mod health;
pub mod hook;
pub mod migrate;
pub mod notice;
pub mod parked;
pub mod record;
pub mod run;
pub mod schedule;
pub mod serve;
pub mod tenant;
pub mod topology;
pub mod workflow;
