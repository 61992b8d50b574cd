//! What processes died or hung of ([ADR 0018](../../../docs/adr/0018-blame.md)).

pub mod suspects;
pub mod suspended_parts;
