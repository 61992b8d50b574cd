//! The machine's clocks. They time and bound what the process does; decisions use the database's clock.

use chrono::{DateTime, Utc};
use std::time::{Instant, SystemTime};

/// The monotonic clock: how long something takes, and how old it is.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The same as the runtime's timers have it, for deadlines.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// The wall clock, for logs, metrics and time stamps of publishers.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

/// The wall clock as traces have it.
pub fn system_time() -> SystemTime {
    wall_clock().into()
}
