//! Reading a secret, from where no list of processes shows it.

use super::KeysArgs;
use crate::exit;
use crate::output::note;
use automation_domain::credential::MAX_SECRET_BYTES;
use automation_vault::{KeyRing, Zeroizing};
use clap::Args;
use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;

/// Where the secret comes from.
#[derive(Args, Debug)]
pub struct SecretArgs {
    /// File that holds the secret [default: standard input]
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

impl SecretArgs {
    /// As if `--from-file` had been given.
    pub fn of_file(file: PathBuf) -> Self {
        Self { from_file: Some(file) }
    }

    /// Reads the secret. One line break at its end does not count.
    pub fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        let mut text = Zeroizing::new(String::new());
        // A little more than is allowed, so that what is too long is noticed and not cut.
        let limit = MAX_SECRET_BYTES as u64 + 16;
        let read = match &self.from_file {
            Some(file) => File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text)),
            None => {
                if stdin().is_terminal() {
                    note("Type or paste the secret, then Enter and Ctrl-D:");
                }
                stdin().lock().take(limit).read_to_string(&mut text)
            }
        };
        read.map_err(|error| exit::usage(format!("the secret cannot be read: {error}"), "give it in UTF-8"))?;
        // Some systems put a byte order mark in front of what they redirect.
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
}

impl KeysArgs {
    /// The key ring.
    pub fn ring(&self) -> anyhow::Result<KeyRing> {
        let next =
            "set AUTOMATION_ENCRYPTION_KEYS or AUTOMATION_ENCRYPTION_KEYS_FILE; docs/credentials.md says how";
        let Some(keys) = &self.encryption.encryption_keys else {
            return Err(exit::usage("there is no key to encrypt secrets with", next));
        };
        KeyRing::parse(keys.expose())
            .map_err(|error| exit::usage(format!("the encryption keys cannot be used: {error}"), next))
    }
}
