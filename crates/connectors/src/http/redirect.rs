//! Where an answer leads. Methods change as the Fetch standard says: 303 becomes GET, and so do 301 and 302 after POST.

use super::failure::Failure;
use super::outgoing::Outgoing;
use crate::guard::{Forbidden, Target};
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
    let location = response.headers().get(LOCATION).map(|location| ascii(location.as_bytes()));
    match location.map(|location| target.join(&location)) {
        Some(Ok(url)) => Next::Follow { url, method },
        Some(Err(_)) => Next::Nowhere(Failure::redirect_to_no_url(status)),
        None => Next::Nowhere(Failure::redirect_without_location(status)),
    }
}

/// A URL has ASCII alone (RFC 3986): other bytes are percent-encoded, as browsers do, whatever they were meant to be.
fn ascii(location: &[u8]) -> String {
    location.iter().fold(String::with_capacity(location.len()), |mut url, byte| {
        match byte.is_ascii() {
            true => url.push(char::from(*byte)),
            false => url.push_str(&format!("%{byte:02X}")),
        }
        url
    })
}

/// Refuses what was sent under encryption to go on without.
pub(super) fn check(from: &Target, to: Target) -> Result<Target, Forbidden> {
    if from.url().scheme() == "https" && to.url().scheme() == "http" {
        Err(Forbidden::Downgrade)
    } else {
        Ok(to)
    }
}
