//! What must not be an argument: every process of a machine may read the arguments of all others.

use automation_service_kit::config::Secret;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error};
use std::any::TypeId;

/// Refuses secrets that were given as arguments; a variable or a file is the way.
pub fn refuse_secrets(command: &Command, matches: &ArgMatches) -> Result<(), Error> {
    let given = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    if let Some(arg) = command.get_arguments().filter(|arg| is_secret(arg)).find(given) {
        return Err(refusal(command, arg));
    }
    match matches.subcommand() {
        Some((name, below)) => {
            command.find_subcommand(name).map_or(Ok(()), |command| refuse_secrets(command, below))
        }
        None => Ok(()),
    }
}

/// Whether the value itself is secret; of a file, it is the name that is given.
fn is_secret(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<Secret>() && !arg.get_id().as_str().ends_with("_file")
}

fn refusal(command: &Command, arg: &Arg) -> Error {
    let variable_of = |arg: &Arg| arg.get_env().map(|name| name.to_string_lossy().into_owned());
    let (flag, variable) = (arg.get_long().unwrap_or_default(), variable_of(arg).unwrap_or_default());
    let in_file = format!("{variable}_FILE");
    let has_file = command.get_arguments().any(|arg| variable_of(arg).as_ref() == Some(&in_file));
    let or_file = if has_file { format!(", or in a file by {in_file}") } else { String::new() };
    let message = format!(
        "--{flag} is a secret, and whoever lists the processes of this machine reads their arguments: change it, and give it by \
         {variable}{or_file} [secret_argument]\n"
    );
    Error::raw(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    /// What may sound like a secret and is none.
    const HARMLESS: [&str; 9] = [
        // Names.
        "key",
        "keys",
        "new_key",
        "hook",
        "name",
        // What an event or a request is made of.
        "url",
        "token",
        "credential",
        "secret",
    ];

    fn walk(command: &Command, path: &[String], visit: &mut impl FnMut(&[String], &Arg)) {
        command.get_arguments().for_each(|arg| visit(path, arg));
        for below in command.get_subcommands() {
            walk(below, &[path, &[below.get_name().to_owned()]].concat(), visit);
        }
    }

    fn built() -> Command {
        let mut command = Cli::command();
        command.build();
        command
    }

    #[test]
    fn what_sounds_like_a_secret_is_one_a_file_or_known_to_be_harmless() {
        let mut unknown = Vec::new();
        walk(&built(), &[], &mut |path, arg| {
            let id = arg.get_id().as_str();
            let sounds = ["password", "secret", "token", "key", "url", "credential", "cookie", "hook"];
            let is_known = is_secret(arg) || id.ends_with("_file") || HARMLESS.contains(&id);
            if sounds.iter().any(|word| id.contains(word)) && !is_known {
                unknown.push(format!("{} --{id}", path.join(" ")));
            }
        });
        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn no_command_takes_a_secret_as_an_argument() {
        let (mut tried, mut taken) = (0, Vec::new());
        walk(&built(), &["automation".to_owned()], &mut |path, arg| {
            if !is_secret(arg) {
                return;
            }
            let value = match arg.get_id().as_str() {
                "database_url" => "postgres://u:p@localhost/x",
                "amqp_url" => "amqp://u:p@localhost/x",
                "amqp_management_url" => "http://u:p@localhost:1",
                _ => "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            };
            let given = format!("--{}={value}", arg.get_long().unwrap_or_default());
            let arguments = path.iter().cloned().chain([given.clone()]);
            let matches = Cli::command().ignore_errors(true).try_get_matches_from(arguments).unwrap();
            tried += 1;
            let refused = refuse_secrets(&built(), &matches);
            if !refused.is_err_and(|error| !error.to_string().contains(value)) {
                taken.push(format!("{} {given}", path.join(" ")));
            }
        });
        assert!(tried > 40, "only {tried} were tried");
        assert_eq!(taken, Vec::<String>::new());
    }
}
