//! Which virtual host the management API is asked about.

use automation_broker::{VHOST, vhost_of};
use clap::Args;

/// The virtual host, where it is not the one that the engine connects to.
#[derive(Args, Debug)]
pub struct VhostArgs {
    /// Virtual host, for the management API [default: that of AMQP_URL]
    #[arg(long)]
    vhost: Option<String>,
}

impl VhostArgs {
    /// Its name.
    pub fn name(&self, amqp_url: Option<&str>) -> String {
        let named = || self.vhost.clone().or_else(|| vhost_of(amqp_url?));
        named().unwrap_or_else(|| VHOST.to_owned())
    }
}
