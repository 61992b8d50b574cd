//! The keys that secrets of webhooks are encrypted with: the door's own.

use crate::exit;
use automation_service_kit::config::DoorKeysConfig;
use automation_vault::KeyRing;
use clap::Args;

/// The keys of the door.
#[derive(Args, Debug)]
#[group(skip)] // The flattened configuration has a group of this name.
pub struct KeysArgs {
    #[command(flatten)]
    door: DoorKeysConfig,
}

impl KeysArgs {
    /// The key ring.
    pub fn ring(&self) -> anyhow::Result<KeyRing> {
        let next = "set AUTOMATION_DOOR_KEYS or AUTOMATION_DOOR_KEYS_FILE; docs/credentials.md says how";
        let Some(keys) = &self.door.door_keys else {
            return Err(exit::usage("there is no key to encrypt secrets of webhooks with", next));
        };
        KeyRing::parse(keys.expose())
            .map_err(|error| exit::usage(format!("the keys of the door cannot be used: {error}"), next))
    }
}
