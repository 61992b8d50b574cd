//! The machine's clocks.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// For deadlines and for how long something takes.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// When something happened, as a publisher's own clock has it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub(crate) fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}
