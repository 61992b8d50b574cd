//! Reading an answer, no further than allowed and no longer than allowed.

use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};

/// An answer with as much of its body as could be read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) ended: Ended,
}

/// How reading the body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// All of it is there.
    Complete,
    /// There is more than may be read.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The time was over.
    TimedOut,
    /// It broke off, or is not valid HTTP.
    Broken,
}

impl Answer {
    pub(super) async fn read(mut response: Response, limit: usize, deadline: Instant) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let ended = loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let room = limit - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break Ended::TooLarge { limit };
                    }
                }
                Ok(Ok(None)) => break Ended::Complete,
                Ok(Err(_)) => break Ended::Broken,
                Err(_elapsed) => break Ended::TimedOut,
            }
        };
        Self { status, headers, body, ended }
    }
}
