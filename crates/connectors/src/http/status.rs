//! What an answer means for the step: done, worth another try, or failed for good.

use super::answer::{Answer, Ended};
use super::failure::Failure;
use super::retry_after;
use reqwest::StatusCode;
use std::time::SystemTime;

/// `Ok` when the other side did it. What the status says counts first; only a success needs its whole body. A server that names
/// a date to come back at is taken to say how long that is from `now`.
pub(super) fn check(answer: &Answer, now: SystemTime) -> Result<(), Failure> {
    let status = answer.status;
    if status.is_success() {
        return match answer.ended {
            Ended::Complete => Ok(()),
            Ended::TooLarge { limit } => Err(Failure::too_large(limit)),
            Ended::TimedOut => Err(Failure::timed_out()),
            Ended::Broken => Err(Failure::broken()),
        };
    }
    if is_worth_another_try(status) {
        let after = retry_after::read(&answer.headers, now);
        return Err(Failure::retry_status(status, after));
    }
    Err(Failure::final_status(status))
}

fn is_worth_another_try(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}
