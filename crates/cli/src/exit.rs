//! How a command that did not succeed ends: one line what, one line what to do, and a code that programs can tell apart.

use automation_broker::publisher::PublishError;
use std::fmt;
use std::process::ExitCode;

/// A failure with its exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    what: String,
    next: Option<String>,
}

/// Something is wrong with what was asked about: code 1.
pub fn wrong(what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
    Failure { code: 1, what: what.into(), next: Some(next.into()) }.into()
}

/// What was asked for cannot be meant: code 2.
pub fn usage(what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
    Failure { code: 2, what: what.into(), next: Some(next.into()) }.into()
}

/// What was asked about does not exist: code 3.
pub fn not_found(what: impl Into<String>, next: impl Into<String>) -> anyhow::Error {
    Failure { code: 3, what: what.into(), next: Some(next.into()) }.into()
}

/// Prints the failure on standard error and gives its code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        eprintln!("error: {failure}");
        return ExitCode::from(failure.code);
    }
    eprintln!("error: {error:#}");
    if is_unreachable(error) {
        eprintln!("next: check that the servers run and that the URLs are right: automation doctor");
        return ExitCode::from(4);
    }
    ExitCode::FAILURE
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<automation_store::Error>().is_some_and(automation_store::Error::is_transient)
            || matches!(
                cause.downcast_ref::<PublishError>(),
                Some(PublishError::Unavailable(_) | PublishError::Blocked)
            )
            || cause.downcast_ref::<automation_broker::management::Error>().is_some()
            || cause.downcast_ref::<automation_broker::topology::ApplyError>().is_some()
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.next {
            Some(next) => write!(f, "\nnext: {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
