//! Durations as people write them: `30s`, `15m`, `1h`, `7d`.

use chrono::TimeDelta;

/// Reads `30s`, `15m`, `1h`, `7d`, or several in a row (`1h30m`); `None` if it is none of these or overflows.
pub fn parse(text: &str) -> Option<TimeDelta> {
    let _ = text;
    todo!()
}
