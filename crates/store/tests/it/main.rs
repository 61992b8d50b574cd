//! The store against a real Postgres, under the roles that are used at run time: one file per idea.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod auditing;
mod blaming;
mod cancelled_futures;
mod cancelling;
mod claiming;
mod counting;
mod credentials;
mod dead_letters;
mod effects;
mod enrolling;
mod holding;
mod http_publishers;
mod inbox;
mod keeping;
mod lagging;
mod listing;
mod looking_up;
mod meeting_goals;
mod noticing;
mod outbox_order;
mod parking;
mod partitions_by_day;
mod reading;
mod receiving;
mod replaying;
mod replaying_branches;
mod retaining;
mod row_level_security;
mod scheduling;
mod settling;
mod superseding;
mod suspecting;
mod sweeping;
mod world;
