//! The keys that the audit log is signed with.

use super::encryption::{keys, keys_in_file};
use super::{Secret, flattened, rule, secret_rule};
use clap::Args;

/// The signing keys; flatten it into the arguments of a command that changes something.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// `id:base64`, several separated by commas, the active one first; from `AUTOMATION_AUDIT_KEYS` or the file that
    /// `AUTOMATION_AUDIT_KEYS_FILE` names.
    pub audit_keys: Option<Secret>,
}

#[derive(Args)]
#[command(next_help_heading = "Secrets")]
struct AuditArgs {
    /// Keys that the audit log is signed with, as id:base64 of 32 bytes, comma-separated, the active one first
    ///
    /// By the variable or a file: as an argument, which a list of processes shows, it is refused.
    #[arg(long, env = "AUTOMATION_AUDIT_KEYS", hide_env_values = true, value_name = "KEYS", value_parser = secret_rule(keys))]
    #[arg(conflicts_with = "audit_keys_file")]
    audit_keys: Option<Secret>,
    /// File that holds the keys of the audit log
    #[arg(long, env = "AUTOMATION_AUDIT_KEYS_FILE", value_name = "FILE", value_parser = rule(keys_in_file))]
    audit_keys_file: Option<Secret>,
}

impl From<AuditArgs> for AuditConfig {
    fn from(args: AuditArgs) -> Self {
        Self { audit_keys: args.audit_keys.or(args.audit_keys_file) }
    }
}

flattened!(AuditConfig, AuditArgs);
