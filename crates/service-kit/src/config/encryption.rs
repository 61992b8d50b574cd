//! The keys that secrets in the database are encrypted with: one ring for what the executor uses, one for what the door
//! has to know, so that neither process can open what is the other's.

use super::{Secret, flattened, rule, secret_rule};
use automation_domain::encoding::text_without_mark;
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
    /// By the variable or a file: as an argument, which a list of processes shows, it is refused.
    #[arg(long, env = "AUTOMATION_ENCRYPTION_KEYS", hide_env_values = true, value_name = "KEYS", value_parser = secret_rule(keys))]
    #[arg(conflicts_with = "encryption_keys_file")]
    encryption_keys: Option<Secret>,
    /// File that holds the keys
    #[arg(long, env = "AUTOMATION_ENCRYPTION_KEYS_FILE", value_name = "FILE", value_parser = rule(keys_in_file))]
    encryption_keys_file: Option<Secret>,
}

impl From<EncryptionArgs> for EncryptionConfig {
    fn from(args: EncryptionArgs) -> Self {
        Self { encryption_keys: args.encryption_keys.or(args.encryption_keys_file) }
    }
}

flattened!(EncryptionConfig, EncryptionArgs);

/// The key-encryption keys of what the door has to know of its callers; flatten it into a command's arguments.
#[derive(Clone, Debug)]
pub struct DoorKeysConfig {
    /// `id:base64`, several separated by commas, the active one first; from `AUTOMATION_DOOR_KEYS` or the file that
    /// `AUTOMATION_DOOR_KEYS_FILE` names. Without it, webhooks can be neither made nor called.
    pub door_keys: Option<Secret>,
}

#[derive(Args)]
#[command(next_help_heading = "Secrets")]
struct DoorKeysArgs {
    /// Keys that secrets of webhooks are encrypted with, as id:base64 of 32 bytes, comma-separated, the active one first
    ///
    /// By the variable or a file: as an argument, which a list of processes shows, it is refused.
    #[arg(long, env = "AUTOMATION_DOOR_KEYS", hide_env_values = true, value_name = "KEYS", value_parser = secret_rule(keys))]
    #[arg(conflicts_with = "door_keys_file")]
    door_keys: Option<Secret>,
    /// File that holds these keys
    #[arg(long, env = "AUTOMATION_DOOR_KEYS_FILE", value_name = "FILE", value_parser = rule(keys_in_file))]
    door_keys_file: Option<Secret>,
}

impl From<DoorKeysArgs> for DoorKeysConfig {
    fn from(args: DoorKeysArgs) -> Self {
        Self { door_keys: args.door_keys.or(args.door_keys_file) }
    }
}

flattened!(DoorKeysConfig, DoorKeysArgs);

/// Whether the keys themselves are right is the vault's to say.
pub(super) fn keys(text: &str) -> Result<Secret, String> {
    let text = text.trim();
    if text.is_empty() || !text.split(',').all(|entry| entry.trim().contains(':')) {
        return Err("must be id:base64, several separated by commas".to_owned());
    }
    Ok(Secret::new(text))
}

pub(super) fn keys_in_file(file: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot be read ({error})"))?;
    keys(text_without_mark(&text)).map_err(|rule| format!("the text in the file {rule}"))
}
