//! How a command that did not succeed ends: one line what, one line what to do, and a code that programs can tell apart.

use crate::terminal::Lines;
use crate::{output, refusals};
use automation_broker::management;
use automation_broker::publisher::PublishError;
use automation_broker::topology::{ApplyError, RetireError};
use automation_operations::{self as operations, Kind};
use clap::CommandFactory;
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

/// Nothing is wrong, and something is to be done: code 5, where it was asked for.
pub fn to_do(what: impl Into<String>) -> anyhow::Error {
    Failure { code: TO_DO, what: what.into(), next: None }.into()
}

const TO_DO: u8 = 5;

/// Tests of workflows did not come to what they expect: code 6, so that it is told from a file that cannot be read.
pub fn unexpected(what: impl Into<String>) -> anyhow::Error {
    let next =
        "mend the workflow or the expectation; docs/testing-workflows.md says how to read what is shown";
    Failure { code: 6, what: what.into(), next: Some(next.to_owned()) }.into()
}

/// A refusal, and what to do about it here, where that is another thing than elsewhere.
pub fn hinted(error: operations::Error, next: impl Into<String>) -> anyhow::Error {
    let operations::Error::Refused(refusal) = error else { return error.into() };
    Failure { code: code_of(refusal.kind()), what: refusal.to_string(), next: Some(next.into()) }.into()
}

fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::Conflict => 1,
        Kind::Invalid => 2,
        Kind::NotFound => 3,
    }
}

/// Prints the failure on standard error and gives its code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(operations::Error::Refused(refusal)) = error.downcast_ref() {
        let next = refusals::next(refusal);
        let failure = Failure { code: code_of(refusal.kind()), what: refusal.to_string(), next: Some(next) };
        output::note(failure.lines());
        return ExitCode::from(failure.code);
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        output::note(failure.lines());
        return ExitCode::from(failure.code);
    }
    let (code, next) = error.chain().find_map(exit_of).unwrap_or((1, None));
    let next = next.map(|next| format!("next: {}", as_typed(next)));
    output::note(std::iter::once(format!("error: {}", chain(error))).chain(next).collect::<Lines>());
    ExitCode::from(code)
}

/// Says what is wrong with the arguments, or what help was asked for, and gives its code.
pub fn of_arguments(error: &clap::Error) -> ExitCode {
    let text = Lines::of_block(&error.render().to_string());
    if error.use_stderr() {
        output::note(text);
    } else {
        output::say(text);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The causes, from the outermost on. Errors of libraries often quote the one beneath them: nothing is said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Commands as whoever reads this types them: `AUTOMATION_PROGRAM` says what stands for `automation`, `./dev cli` in a
/// checkout. Roles are started otherwise there, so `serve` stays.
pub fn as_typed(text: &str) -> String {
    match std::env::var("AUTOMATION_PROGRAM") {
        Ok(program) if !program.is_empty() => with_program(text, &program),
        Ok(_) | Err(_) => text.to_owned(),
    }
}

fn with_program(text: &str, program: &str) -> String {
    const NAME: &str = "automation ";
    let commands = crate::Cli::command();
    let mut typed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let (before, after) = (&rest[..at], &rest[at + NAME.len()..]);
        let word = after.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        let is_command = word != "serve" && commands.find_subcommand(word).is_some();
        typed.push_str(before);
        typed.push_str(if is_command { program } else { NAME.trim_end() });
        typed.push(' ');
        rest = after;
    }
    typed + rest
}

/// An exit code, and what to do.
type Exit = (u8, Option<&'static str>);

const UNREACHABLE: Exit =
    (4, Some("check that the servers run and that the URLs are right: automation doctor"));

/// What a failure of the database or the broker comes to; `None` for any other.
fn exit_of(cause: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref() {
        return of_operation(error);
    }
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

fn of_operation(error: &operations::Error) -> Option<Exit> {
    match error {
        operations::Error::Store(error) => Some(database(error)),
        operations::Error::Publish(error) => Some(publishing(error)),
        operations::Error::Management(error) => Some(management(error)),
        operations::Error::Refused(_) | operations::Error::Vault(_) => None,
    }
}

fn database(error: &automation_store::Error) -> Exit {
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
            automation_store::Error::Audit(_) => {
                (1, Some("automation audit verify; docs/audit.md says more"))
            }
            automation_store::Error::OverQuota(_) => (
                1,
                Some(
                    "delete what is not needed, or ask for a larger quota: automation tenant usage KEY; tenant quota",
                ),
            ),
            automation_store::Error::EntryTooLarge { .. } => (
                1,
                Some(
                    "make triggers smaller, or raise AUTOMATION_CACHE_BYTES for ingest and here; docs/configuration.md",
                ),
            ),
            automation_store::Error::Refused(_) | automation_store::Error::Unreadable { .. } => (1, None),
        },
    }
}

fn publishing(error: &PublishError) -> Exit {
    match error {
        PublishError::Unavailable(_) | PublishError::Blocked => UNREACHABLE,
        PublishError::Refused(_) => LOGIN,
        PublishError::Invalid { .. } => (2, Some("shorten it")),
        PublishError::Unconfirmed(which) if !which.returned.is_empty() => {
            (1, Some("declare what is missing: automation topology apply"))
        }
        PublishError::Unconfirmed(_) => {
            (1, Some("publish again with the same --id: an event that arrived already acts once"))
        }
    }
}

const LOGIN: Exit = (2, Some("correct user, password and virtual host in AMQP_URL"));

fn connecting(error: &automation_broker::depths::Error) -> Exit {
    use automation_broker::depths::Error::{Amqp, Name, Refused, TimedOut, Unreachable};
    match error {
        Refused { .. } => LOGIN,
        Amqp(_) | Name(_) | TimedOut(_) | Unreachable { .. } => UNREACHABLE,
    }
}

fn management(error: &management::Error) -> Exit {
    match error {
        management::Error::Url => (2, Some("write http://user:password@host:port")),
        management::Error::Http(_) => UNREACHABLE,
        management::Error::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => {
            (2, Some("name a user in AUTOMATION_AMQP_MANAGEMENT_URL who may do this; an administrator may"))
        }
        management::Error::Status { .. } => (1, Some("automation topology check; docs/topology.md")),
    }
}

fn applying(error: &ApplyError) -> Exit {
    match error {
        ApplyError::Connect(error) => connecting(error),
        ApplyError::Declare { .. } => (
            1,
            Some(
                "apply as a user who may declare; drain what differs, delete it, and apply again: docs/topology.md",
            ),
        ),
    }
}

fn retiring(error: &RetireError) -> Exit {
    match error {
        RetireError::Management(error) => management(error),
        RetireError::Connection(error) => connecting(error),
    }
}

impl Failure {
    fn lines(&self) -> Lines {
        let next = self.next.as_ref().map(|next| format!("next: {}", as_typed(next)));
        let lead = if self.code == TO_DO { "" } else { "error: " };
        std::iter::once(format!("{lead}{}", self.what)).chain(next).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn nothing_is_said_twice() {
        let beneath = std::io::Error::other("connection refused");
        let error =
            Err::<(), _>(beneath).context("no database: connection refused").context("list").unwrap_err();
        assert_eq!(chain(&error), "list: no database: connection refused");
    }

    #[test]
    fn commands_are_named_as_they_are_typed() {
        let text = "automation tenant list, or automation serve --roles ingest; automation itself";
        let expected = "./dev cli tenant list, or automation serve --roles ingest; automation itself";
        assert_eq!(with_program(text, "./dev cli"), expected);
    }
}
