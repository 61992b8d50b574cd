//! Requests to the world outside: the guard that says where they may go, the client that sends them, and what a try came
//! to.
//!
//! A request is sent as it is stored. Authorization is added at the moment of sending, for hosts its credential names, and
//! blanked out of everything that comes back.

mod authorization;
mod clock;
mod guard;
mod http;
mod mask;

pub use authorization::{Authorization, UnusableSecret};
pub use guard::{Forbidden, Resolve, Resolved, SystemResolver, destination};
pub use http::{Supposed, suppose};

use automation_domain::effect::{Attempt, Request};
use automation_domain::limits::Limits;
use automation_domain::outbound::Outbound;
use std::sync::Arc;

/// Sends requests; one for the whole process, so that connections are shared.
///
/// The process must have a default crypto provider for rustls installed.
#[derive(Debug)]
pub struct Connectors {
    http: http::Http,
}

/// Why the connectors cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct BuildError(#[from] reqwest::Error);

impl Connectors {
    /// Builds the clients.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the system's certificates cannot be read.
    pub fn new(outbound: Outbound, limits: &Limits) -> Result<Self, BuildError> {
        Self::with_resolver(outbound, limits, Arc::new(SystemResolver))
    }

    /// The same with another source of addresses; what it answers is checked all the same.
    ///
    /// # Errors
    ///
    /// As [`Connectors::new`].
    pub fn with_resolver(
        outbound: Outbound,
        limits: &Limits,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, BuildError> {
        Ok(Self { http: http::Http::new(outbound, limits, resolver)? })
    }

    /// Tries a request once and says what came of it. It never fails by itself, and never tries twice.
    ///
    /// Ends within the request's time-out. Dropped before that, the other side may or may not have got the request.
    pub async fn perform(&self, request: &Request, authorization: Option<&Authorization>) -> Attempt {
        self.perform_traced(request, authorization, None).await
    }

    /// The same, telling the receiver where in a trace it is: W3C's header `traceparent`, unless the request has one of its
    /// own. Another origin that a redirect leads to is not told.
    pub async fn perform_traced(
        &self,
        request: &Request,
        authorization: Option<&Authorization>,
        traceparent: Option<&str>,
    ) -> Attempt {
        match request {
            Request::Http(request) => self.http.perform(request, authorization, traceparent).await,
        }
    }
}
