//! Where an answer leads. Methods change as the Fetch standard says: 303 becomes GET, and so do 301 and 302 after POST.

use super::failure::Failure;
use super::outgoing::Outgoing;
use crate::guard::{Refusal, Target};
use reqwest::header::LOCATION;
use reqwest::{Method, Response, Url};

/// What follows an answer.
pub(super) enum Next {
    /// Nothing: it is the answer.
    Final,
    /// Another request.
    Follow {
        /// Where to, not checked yet.
        url: Url,
        /// How.
        method: Method,
    },
    /// It is a redirect that leads nowhere.
    Nowhere(Failure),
}

pub(super) fn next(target: &Target, response: &Response, outgoing: &Outgoing<'_>) -> Next {
    let status = response.status();
    let method = outgoing.method();
    let method = match status.as_u16() {
        303 if *method != Method::HEAD => Method::GET,
        301 | 302 if *method == Method::POST => Method::GET,
        301 | 302 | 303 | 307 | 308 => method.clone(),
        _ => return Next::Final,
    };
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    match location.map(|location| target.join(location)) {
        Some(Ok(url)) => Next::Follow { url, method },
        Some(Err(_)) | None => Next::Nowhere(Failure::bad_redirect(status)),
    }
}

/// Refuses what was sent under encryption to go on without.
pub(super) fn check(from: &Target, to: Target) -> Result<Target, Refusal> {
    if from.url().scheme() == "https" && to.url().scheme() == "http" {
        Err(Refusal::Downgrade)
    } else {
        Ok(to)
    }
}
