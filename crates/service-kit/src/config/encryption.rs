//! The keys that secrets in the database are encrypted with.

use super::{Secret, flattened, rule, secret_rule};
use clap::Args;

/// The key-encryption keys; flatten it into a command's arguments.
#[derive(Clone, Debug)]
pub struct EncryptionConfig {
    /// `id:base64`, several separated by commas, the active one first; from `AUTOMATION_ENCRYPTION_KEYS` or the file that
    /// `AUTOMATION_ENCRYPTION_KEYS_FILE` names. Without it, secrets can be neither stored nor used.
    pub encryption_keys: Option<Secret>,
}

#[derive(Args)]
#[command(next_help_heading = "Secrets")]
struct EncryptionArgs {
    /// Keys that credentials are encrypted with, as id:base64 of 32 bytes, comma-separated, the active one first
    ///
    /// Better given by the variable or a file: a flag is visible in the list of processes.
    #[arg(long, env = "AUTOMATION_ENCRYPTION_KEYS", hide_env_values = true, value_name = "KEYS", value_parser = secret_rule(keys))]
    #[arg(conflicts_with = "encryption_keys_file")]
    encryption_keys: Option<Secret>,
    /// File that holds the keys
    #[arg(long, env = "AUTOMATION_ENCRYPTION_KEYS_FILE", value_name = "FILE", value_parser = rule(in_file))]
    encryption_keys_file: Option<Secret>,
}

impl From<EncryptionArgs> for EncryptionConfig {
    fn from(args: EncryptionArgs) -> Self {
        Self { encryption_keys: args.encryption_keys.or(args.encryption_keys_file) }
    }
}

flattened!(EncryptionConfig, EncryptionArgs);

/// Whether the keys themselves are right is the vault's to say.
fn keys(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    if text.is_empty() || !text.split(',').all(|entry| entry.trim().contains(':')) {
        return Err("must be id:base64, several separated by commas".to_owned());
    }
    Ok(Secret::new(text))
}

fn in_file(file: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read ({error})"))?;
    keys(&text).map_err(|rule| format!("the text in the file {rule}"))
}
