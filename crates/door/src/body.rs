//! Reading a body no further than it may be.

use crate::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;

/// How much more than allowed is still read, and thrown away: a caller that is cut off while it sends may not get to see
/// the answer.
const PATIENCE_BYTES: usize = 8 * 1024 * 1024;

/// A limit on a body, and what to answer when it is exceeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit {
    pub(crate) code: &'static str,
    pub(crate) field: &'static str,
    pub(crate) bytes: usize,
}

impl BodyLimit {
    fn exceeded(self) -> Problem {
        let detail = format!("the {} is larger than the {} bytes that are allowed", self.field, self.bytes);
        Problem::too_large(self.code, self.field, self.bytes, detail)
    }
}

/// The whole body.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: BodyLimit) -> Result<Vec<u8>, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or_default();
    if announced > limit.bytes.saturating_add(PATIENCE_BYTES) {
        return Err(limit.exceeded());
    }
    let (mut bytes, mut read) = (Vec::with_capacity(announced.min(limit.bytes)), 0_usize);
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk
            .map_err(|_| Problem::bad_request("body_incomplete", "the connection ended within the body"))?;
        read = read.saturating_add(chunk.len());
        if read <= limit.bytes {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
            if read > limit.bytes.saturating_add(PATIENCE_BYTES) {
                break;
            }
        }
    }
    if read > limit.bytes { Err(limit.exceeded()) } else { Ok(bytes) }
}
