//! A value parser whose refusals name the flag, the variable, the value and the rule.

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use std::ffi::OsStr;

/// Reads one value by a function whose error is the rule that was broken.
#[derive(Clone)]
pub struct Rule<F> {
    read: F,
    shows_value: bool,
}

/// A rule whose refusals show the value.
pub fn rule<T, F: Fn(&str) -> Result<T, String>>(read: F) -> Rule<F> {
    Rule { read, shows_value: true }
}

/// A rule whose refusals keep the value to themselves.
pub fn secret_rule<T, F: Fn(&str) -> Result<T, String>>(read: F) -> Rule<F> {
    Rule { read, shows_value: false }
}

impl<T, F> TypedValueParser for Rule<F>
where
    T: Clone + Send + Sync + 'static,
    F: Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let outcome = match value.to_str() {
            Some(text) => (self.read)(text),
            None => Err("must be UTF-8".to_owned()),
        };
        outcome.map_err(|rule| {
            let place = arg.map(place).unwrap_or_default();
            let shown =
                if self.shows_value { format!(" '{}'", value.to_string_lossy()) } else { String::new() };
            let message = format!("invalid value{shown} for {place}: {rule}\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// `--drain-seconds (AUTOMATION_DRAIN_SECONDS)`
fn place(arg: &Arg) -> String {
    let flag = arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}"));
    match arg.get_env() {
        Some(variable) => format!("{flag} ({})", variable.to_string_lossy()),
        None => flag,
    }
}
