//! The machine's clocks.

use std::time::SystemTime;
use tokio::time::Instant;

/// For deadlines and for how long something takes.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For what other systems compare with their own clocks.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}
