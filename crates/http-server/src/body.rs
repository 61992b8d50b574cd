//! Reading a body no further than it may be, and what its content type says.

use crate::problem::Problem;
use automation_service_kit::clock;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a body may take whatever its rate: a connection has to find its speed.
const GRACE: Duration = Duration::from_secs(5);
/// How much more than allowed is still read, and thrown away: a caller that is cut off while it sends may not get to see
/// the answer.
const PATIENCE_BYTES: usize = 8 * 1024 * 1024;

/// A limit on a body, and what to answer when it is exceeded.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// Of the problem that says so.
    pub code: &'static str,
    /// What the body is.
    pub field: &'static str,
    /// How large it may be.
    pub bytes: usize,
}

impl BodyLimit {
    fn exceeded(self) -> Problem {
        let detail = format!("the {} is larger than the {} bytes that are allowed", self.field, self.bytes);
        Problem::too_large(self.code, self.field, self.bytes, detail)
    }
}

/// The whole body. After five seconds it has to have come at `bytes_per_second` on average, each moment anew: a caller that
/// sends a byte now and then holds a place for no longer than one that sends none.
///
/// # Errors
///
/// The problem of a body that is too large, comes too slowly, or does not end.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
    bytes_per_second: u32,
) -> Result<Vec<u8>, Problem> {
    read_from(headers, body, limit, bytes_per_second, clock::timer_now()).await
}

/// What the content type says, as far as it is text.
pub fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// The media type of a content type, in lower case and without parameters; empty without any.
pub fn media_type(content_type: Option<&str>) -> String {
    content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

/// How long after its beginning a body may be where it has so many bytes.
fn patience(read: usize, bytes_per_second: u32) -> Duration {
    GRACE + Duration::from_secs_f64(read as f64 / f64::from(bytes_per_second.max(1)))
}

async fn read_from(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
    bytes_per_second: u32,
    begun: Instant,
) -> Result<Vec<u8>, Problem> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or_default();
    if announced > limit.bytes.saturating_add(PATIENCE_BYTES) {
        return Err(limit.exceeded());
    }
    let (mut bytes, mut read) = (Vec::with_capacity(announced.min(limit.bytes)), 0_usize);
    let mut stream = body.into_data_stream();
    loop {
        let Ok(chunk) = timeout_at(begun + patience(read, bytes_per_second), stream.next()).await else {
            return Err(Problem::body_too_slow(bytes_per_second));
        };
        let Some(chunk) = chunk else { break };
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::convert::Infallible;

    const LIMIT: BodyLimit = BodyLimit { code: "event_too_large", field: "event", bytes: 10_000 };

    #[test]
    fn a_body_has_its_grace_and_then_as_long_as_its_bytes_take() {
        assert_eq!(patience(0, 100), GRACE);
        assert_eq!(patience(99, 100), GRACE + Duration::from_millis(990));
        assert_eq!(patience(100_000, 100), GRACE + Duration::from_secs(1_000));
    }

    #[tokio::test]
    async fn what_is_there_is_read_and_what_does_not_come_is_not_waited_for() {
        let chunks =
            |sizes: &'static [usize]| stream::iter(sizes).map(|size| Ok::<_, Infallible>(vec![b'x'; *size]));
        let read =
            async |body| read_from(&HeaderMap::new(), body, LIMIT, 100, clock::timer_now() - GRACE).await;
        // Its grace is over, and nothing was sent.
        let nothing = Body::from_stream(chunks(&[]).chain(stream::pending()));
        assert_eq!(read(nothing).await.unwrap_err().code(), "body_too_slow");
        assert_eq!(read(Body::from_stream(chunks(&[10, 20]))).await.unwrap().len(), 30);
        // What is thrown away has to keep the rate too; what is larger than that is not read on.
        let too_much = Body::from_stream(chunks(&[6_000, 6_000]));
        assert_eq!(read(too_much).await.unwrap_err().code(), "event_too_large");
    }
}
