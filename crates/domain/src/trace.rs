//! Trace context: W3C's `traceparent`, and what a run keeps of it.

/// The place of a span: which trace, and which span of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanContext {
    /// The trace; not 0.
    pub trace_id: u128,
    /// The span; not 0.
    pub span_id: u64,
}

/// What a publisher sent: the place of its span, and whether it is recorded there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The publisher's span.
    pub context: SpanContext,
    /// Whether the trace is sampled.
    pub is_sampled: bool,
}

/// The trace of a run; runs of traces that are not sampled have none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunTrace {
    /// The trace.
    pub trace_id: u128,
    /// The span that started the run.
    pub started_by: u64,
    /// The run's own span: parent of all its steps, and sent once the run ends.
    pub span_id: u64,
}

impl TraceParent {
    /// Reads `00-<trace id>-<span id>-<flags>`; later versions may have more after that. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let has_lengths = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
        let has_more = parts.next().is_some();
        if !has_lengths || ![version, trace, span, flags].into_iter().all(is_hex) {
            return None;
        }
        if version == "ff" || (version == "00" && has_more) {
            return None;
        }
        let context = SpanContext {
            trace_id: u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?,
            span_id: u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?,
        };
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { context, is_sampled })
    }
}

impl SpanContext {
    /// As a `traceparent` of version 00, sampled.
    pub fn to_traceparent(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

impl RunTrace {
    /// The run's own span.
    pub fn context(self) -> SpanContext {
        SpanContext { trace_id: self.trace_id, span_id: self.span_id }
    }

    /// As it is stored: 32 bytes, big-endian, in the order of the fields.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.trace_id.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.started_by.to_be_bytes());
        bytes[24..].copy_from_slice(&self.span_id.to_be_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let (trace_id, rest) = bytes.split_first_chunk::<16>()?;
        let (started_by, rest) = rest.split_first_chunk::<8>()?;
        let (span_id, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            trace_id: u128::from_be_bytes(*trace_id),
            started_by: u64::from_be_bytes(*started_by),
            span_id: u64::from_be_bytes(*span_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let read = TraceParent::parse(SENT).unwrap();
        assert_eq!((read.context.to_traceparent().as_str(), read.is_sampled), (SENT, true));
        assert!(!TraceParent::parse(&SENT.replace("-01", "-02")).unwrap().is_sampled);
        let later = TraceParent::parse(&SENT.replacen("00", "01", 1).replace("-01", "-01-more"));
        assert_eq!(later.map(|later| later.context), Some(read.context));
    }

    #[test]
    fn what_w3c_calls_invalid_is_none() {
        for invalid in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_runs_trace_survives_being_stored() {
        let trace = RunTrace { trace_id: u128::MAX - 7, started_by: 3, span_id: u64::MAX - 1 };
        assert_eq!(RunTrace::from_bytes(&trace.to_bytes()), Some(trace));
        assert_eq!(RunTrace::from_bytes(&[0; 24]), None);
    }
}
