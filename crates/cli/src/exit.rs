//! How a command that did not succeed ends: one line what, one line what to do, and a code that programs can tell apart.

use automation_broker::management;
use automation_broker::publisher::PublishError;
use automation_broker::topology::{ApplyError, RetireError};
use std::error::Error;
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
    let (code, next) = error.chain().find_map(verdict).unwrap_or((1, None));
    if let Some(next) = next {
        eprintln!("next: {next}");
    }
    ExitCode::from(code)
}

/// An exit code, and what to do.
type Verdict = (u8, Option<&'static str>);

const UNREACHABLE: Verdict =
    (4, Some("check that the servers run and that the URLs are right: automation doctor"));

/// What a failure of the database or the broker comes to; `None` for any other.
fn verdict(cause: &(dyn Error + 'static)) -> Option<Verdict> {
    if let Some(error) = cause.downcast_ref() {
        return Some(database(error));
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(publishing(error));
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(management(error));
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(applying(error));
    }
    cause.downcast_ref().map(retiring)
}

fn database(error: &automation_store::Error) -> Verdict {
    match error.sqlstate().as_deref() {
        // No such table, schema, column or function.
        Some("42P01" | "3F000" | "42703" | "42883") => {
            (1, Some("bring the schema up to date: automation migrate"))
        }
        Some("42501") => (
            2,
            Some("log in as a member of the database role that is missing: docs/configuration.md, Servers"),
        ),
        Some("3D000") => (2, Some("make the database, or correct its name in the URL")),
        Some(code) if code.starts_with("28") => (2, Some("correct the user and the password in the URL")),
        Some(_) | None => match error {
            automation_store::Error::Transient(_) => UNREACHABLE,
            automation_store::Error::Unprepared(_) => (1, Some("automation doctor")),
            automation_store::Error::Refused(_) | automation_store::Error::Unreadable { .. } => (1, None),
        },
    }
}

fn publishing(error: &PublishError) -> Verdict {
    match error {
        PublishError::Unavailable(_) | PublishError::Blocked => UNREACHABLE,
        PublishError::Invalid { .. } => (2, Some("shorten it")),
        PublishError::Unconfirmed(which) if !which.returned.is_empty() => {
            (1, Some("declare what is missing: automation topology apply"))
        }
        PublishError::Unconfirmed(_) => {
            (1, Some("publish again with the same --id: an event that arrived already acts once"))
        }
    }
}

fn management(error: &management::Error) -> Verdict {
    match error {
        management::Error::Url => (2, Some("write http://user:password@host:port")),
        management::Error::Http(_) => UNREACHABLE,
        management::Error::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => {
            (2, Some("name a user in AUTOMATION_AMQP_MANAGEMENT_URL who may do this; an administrator may"))
        }
        management::Error::Status { .. } => (1, Some("automation topology check; docs/topology.md")),
    }
}

fn applying(error: &ApplyError) -> Verdict {
    match error {
        ApplyError::Connect(_) => UNREACHABLE,
        ApplyError::Declare { .. } => (
            1,
            Some(
                "apply as a user who may declare; drain what differs, delete it, and apply again: docs/topology.md",
            ),
        ),
    }
}

fn retiring(error: &RetireError) -> Verdict {
    match error {
        RetireError::Management(error) => management(error),
        RetireError::Connection(_) => UNREACHABLE,
    }
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

impl Error for Failure {}
