//! The HTTP clients of a process.

use crate::Resolve;
use crate::guard::{Guard, GuardedResolver};
use reqwest::Client;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Idle connections kept for each host.
const IDLE_PER_HOST: usize = 8;

/// One client for everything public, and one for each port at which the deployment allows something else: a client's
/// resolver is not told the port, so that what is allowed at one port would else be reached at every other.
#[derive(Debug)]
pub(super) struct Clients {
    public: Client,
    by_port: BTreeMap<u16, Client>,
}

impl Clients {
    pub(super) fn build(
        guard: &Arc<Guard>,
        connect_timeout: Duration,
        resolver: &Arc<dyn Resolve>,
    ) -> Result<Self, reqwest::Error> {
        // An answer that is packed all the same is not unpacked: what it holds could be of any size.
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that makes clients for the world outside"
        )]
        let client = |port| {
            let resolver = GuardedResolver::new(Arc::clone(guard), port, Arc::clone(resolver));
            Client::builder()
                .dns_resolver(Arc::new(resolver))
                // A proxy of the environment would resolve and connect in our place.
                .no_proxy()
                // Each hop is checked and followed by hand; each try is counted, so none is made in secret.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(connect_timeout)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .default_headers(headers.clone())
                .user_agent(concat!("automation-engine/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        let by_port = guard.allowed_ports().into_iter();
        let by_port =
            by_port.map(|port| Ok((port, client(Some(port))?))).collect::<Result<_, reqwest::Error>>()?;
        Ok(Self { public: client(None)?, by_port })
    }

    pub(super) fn for_port(&self, port: u16) -> &Client {
        self.by_port.get(&port).unwrap_or(&self.public)
    }
}
