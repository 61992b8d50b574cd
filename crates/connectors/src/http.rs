//! HTTP: one try of a stored request.

mod answer;
mod body;
mod clients;
mod failure;
mod outgoing;
mod output;
mod redirect;
mod retry_after;
mod status;
mod supposed;

use crate::clock;
use crate::guard::{Guard, Target};
use crate::mask::Mask;
use crate::{Authorization, Resolve};
use answer::Answer;
use automation_domain::effect::{Attempt, HttpRequest, Outcome, Response};
use automation_domain::limits::Limits;
use automation_domain::outbound::Outbound;
use clients::Clients;
use failure::Failure;
use outgoing::Outgoing;
use output::Bounds;
use redirect::Next;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
pub use supposed::{Supposed, suppose};
use tokio::time::Instant;

/// Sends HTTP requests.
#[derive(Debug)]
pub(crate) struct Http {
    guard: Arc<Guard>,
    clients: Clients,
    max_timeout: Duration,
    bounds: Bounds,
}

impl Http {
    pub(crate) fn new(
        outbound: Outbound,
        limits: &Limits,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, reqwest::Error> {
        let bounds = Bounds::new(&outbound, limits);
        let guard = Arc::new(Guard::new(outbound.allow, outbound.refused_ports));
        let clients = Clients::build(&guard, outbound.connect_timeout, &resolver)?;
        Ok(Self { guard, clients, max_timeout: outbound.max_timeout, bounds })
    }

    /// One try.
    pub(crate) async fn perform(
        &self,
        request: &HttpRequest,
        authorization: Option<&Authorization>,
        traceparent: Option<&str>,
    ) -> Attempt {
        let started = clock::now();
        let timeout = Duration::from_millis(u64::from(request.timeout_ms)).min(self.max_timeout);
        let mask = Mask::new(authorization);
        let exchanged = self.exchange(request, authorization, traceparent, &mask, started + timeout).await;
        let (outcome, response) = match exchanged {
            Ok(answer) => conclude(&self.bounds, request, &answer, &mask, clock::system_time()),
            Err(stopped) => (stopped.failure.into_outcome(), stopped.response),
        };
        Attempt { outcome, response, took: started.elapsed() }
    }

    /// Sends the request and follows as many redirects as it allows; every hop is checked like the first.
    async fn exchange(
        &self,
        request: &HttpRequest,
        authorization: Option<&Authorization>,
        traceparent: Option<&str>,
        mask: &Mask,
        deadline: Instant,
    ) -> Result<Answer, Stopped> {
        let mut target = self.guard.check(&request.url).map_err(Failure::refused)?;
        let mut outgoing = Outgoing::new(request, authorization, traceparent)?;
        outgoing.check_hosts(request, &target)?;
        let mut redirects_left = request.redirects;
        // Once a server answered, the request has reached someone, whatever becomes of the next hop.
        let mut answered = false;
        loop {
            let sent = self.send(&outgoing, request, &target, deadline).await;
            let response =
                sent.map_err(|failure| if answered { failure.after_an_answer() } else { failure })?;
            match redirect::next(&target, &response, &outgoing) {
                Next::Final => return Ok(Answer::read(response, self.bounds.response_bytes, deadline).await),
                Next::Follow { url, method } => {
                    let status = response.status();
                    let told = || self.bounds.kept_headers(&response, mask);
                    if redirects_left == 0 {
                        return Err(Stopped::with(
                            Failure::too_many_redirects(status, request.redirects),
                            told(),
                        ));
                    }
                    let hop = self.guard.check(url.as_str()).and_then(|hop| redirect::check(&target, hop));
                    let hop =
                        hop.map_err(|refusal| Stopped::with(Failure::refused_redirect(refusal), told()))?;
                    outgoing.follow(method, target.same_origin(&hop));
                    (target, answered) = (hop, true);
                    redirects_left -= 1;
                }
                Next::Nowhere(failure) => {
                    return Err(Stopped::with(failure, self.bounds.kept_headers(&response, mask)));
                }
            }
        }
    }

    async fn send(
        &self,
        outgoing: &Outgoing<'_>,
        request: &HttpRequest,
        target: &Target,
        deadline: Instant,
    ) -> Result<reqwest::Response, Failure> {
        let built = outgoing.build(request, target)?;
        let client = self.clients.for_port(target.port());
        match tokio::time::timeout_at(deadline, client.execute(built)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::of_sending(&error)),
            Err(_elapsed) => Err(Failure::timed_out()),
        }
    }
}

/// What an answer comes to, with its secrets blanked.
fn conclude(
    bounds: &Bounds,
    request: &HttpRequest,
    answer: &Answer,
    mask: &Mask,
    now: SystemTime,
) -> (Outcome, Option<Response>) {
    let seen = bounds.see(answer, mask);
    let outcome = match status::check(answer, now) {
        Ok(()) => bounds.outcome(&seen, request),
        Err(failure) => failure.into_outcome(),
    };
    (outcome, Some(seen.kept))
}

/// An exchange that ended without a final answer.
struct Stopped {
    failure: Failure,
    /// The redirect that it ended with.
    response: Option<Response>,
}

impl Stopped {
    fn with(failure: Failure, response: Response) -> Self {
        Self { failure, response: Some(response) }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self { failure, response: None }
    }
}
