//! Names to addresses, checked in the moment between: what is connected to is exactly what was checked, so that a name
//! that changes its mind (DNS rebinding) gains nothing.

use super::Guard;
use reqwest::dns::{Addrs, Name, Resolving};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

/// What a resolver gives.
pub type Resolved = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// A source of addresses. There is one for the run time; tests have their own, since the world's names are not theirs.
pub trait Resolve: Send + Sync {
    /// The addresses of a name, which ends in a dot where the network's own domains are not to be searched.
    fn resolve(&self, name: String) -> Resolved;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    #[expect(clippy::disallowed_methods, reason = "the one place that looks names up")]
    fn resolve(&self, name: String) -> Resolved {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A name without an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the name of the host cannot be resolved")]
pub(crate) struct ResolveFailed;

/// Resolves for the connections of one client.
pub(crate) struct GuardedResolver {
    guard: Arc<Guard>,
    /// The one port that the client connects to; none when it is for public addresses alone, at any port. A resolver is
    /// told names without ports, and what a deployment allows it allows for a port.
    port: Option<u16>,
    resolver: Arc<dyn Resolve>,
}

impl GuardedResolver {
    pub(crate) fn new(guard: Arc<Guard>, port: Option<u16>, resolver: Arc<dyn Resolve>) -> Self {
        Self { guard, port, resolver }
    }
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().trim_end_matches('.').to_owned();
        // An allowed name may be one of the network's own (`redis`); all others are complete as they stand.
        let known = self.port.is_some_and(|port| self.guard.allow.names(&host, port));
        let looked_up = self.resolver.resolve(if known { host.clone() } else { format!("{host}.") });
        let (guard, port) = (Arc::clone(&self.guard), self.port);
        Box::pin(async move {
            let addresses = looked_up.await.map_err(|_| ResolveFailed)?;
            if addresses.is_empty() {
                return Err(ResolveFailed.into());
            }
            guard.check_resolved(&host, port, &addresses)?;
            let addresses: Vec<SocketAddr> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
