//! The machine's monotonic clock, as the runtime's timers have it.

use tokio::time::Instant;

/// For deadlines and for how long something takes.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
