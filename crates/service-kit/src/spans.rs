//! Traces: spans that leave over OTLP, as the standard `OTEL_*` variables say; `docs/observability.md` lists both.
//!
//! The engine works on batches, and its traces last for days and cross processes. So a span is not opened and closed
//! around code: whoever committed something tells afterwards, with times it took and ids it kept. Where no exporter is set
//! up, or a trace is not sampled, nothing is made for an event or a run.

mod exporter;
mod sampler;

pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::SpanKind;

use crate::random;
use anyhow::Context;
use automation_domain::trace::{SpanContext, TraceParent};
use exporter::Exporter;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{Link, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use sampler::Sampler;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// Most links of a span, as the specification recommends.
const MOST_LINKS: usize = 128;

static SPANS: OnceLock<Spans> = OnceLock::new();

/// Where the process's spans go.
#[derive(Clone, Debug)]
pub struct Spans {
    on: Option<Arc<On>>,
}

#[derive(Debug)]
struct On {
    sampler: Sampler,
    exporter: Exporter,
    scope: InstrumentationScope,
}

/// A span that is over.
#[derive(Debug)]
pub struct Span {
    /// Its place.
    pub context: SpanContext,
    /// The span it belongs to, of the same trace.
    pub parent: Option<u64>,
    /// What it is for.
    pub kind: SpanKind,
    /// One of few names.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: SystemTime,
    /// When it was over.
    pub end: SystemTime,
    /// What is known of it: never payloads, addresses or secrets.
    pub attributes: Vec<KeyValue>,
    /// Spans of other traces that it has to do with.
    pub links: Vec<SpanContext>,
    /// The code of what went wrong.
    pub error: Option<String>,
}

/// The process's spans; they go nowhere until [`Spans::install`] found an exporter.
pub fn spans() -> &'static Spans {
    static OFF: Spans = Spans { on: None };
    SPANS.get().unwrap_or(&OFF)
}

impl Spans {
    /// Sets up what `OTEL_*` asks for. Nothing without an endpoint, or with `OTEL_SDK_DISABLED`.
    ///
    /// # Errors
    ///
    /// When a variable has a value that cannot be used.
    pub fn install() -> anyhow::Result<()> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let on = match exporter::is_wanted(&variable) {
            true => Some(Arc::new(On {
                sampler: Sampler::parse(
                    variable("OTEL_TRACES_SAMPLER").as_deref(),
                    variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
                )?,
                exporter: Exporter::new(&variable).context("setting up traces")?,
                scope: InstrumentationScope::builder("automation")
                    .with_version(env!("CARGO_PKG_VERSION"))
                    .build(),
            })),
            false => None,
        };
        // A second installation changes nothing: the first has its threads and connections.
        let _ = SPANS.set(Self { on });
        Ok(())
    }

    /// Whether there is an exporter.
    pub fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Decides whether to record what begins here, and gives it a place: in the trace of `parent`, or in one of its own.
    pub fn begin(&self, parent: Option<&str>) -> Option<Begun> {
        let on = self.on.as_ref()?;
        let parent = parent.and_then(TraceParent::parse);
        let trace_id = parent.map_or_else(new_id, |parent| parent.context.trace_id);
        on.sampler.samples(trace_id, parent.map(|parent| parent.is_sampled)).then(|| Begun {
            context: SpanContext { trace_id, span_id: self.new_span() },
            parent: parent.map(|parent| parent.context.span_id),
        })
    }

    /// A trace of its own, for what touches many.
    pub fn root(&self) -> SpanContext {
        SpanContext { trace_id: new_id(), span_id: self.new_span() }
    }

    /// The id of a span that will be told of later.
    pub fn new_span(&self) -> u64 {
        loop {
            let id = random::number() as u64;
            if id != 0 {
                return id;
            }
        }
    }

    /// Sends a span, in the background; when there are more than can be sent, it is dropped.
    pub fn end(&self, span: Span) {
        let Some(on) = &self.on else { return };
        let mut links = SpanLinks::default();
        links.dropped_count = u32::try_from(span.links.len().saturating_sub(MOST_LINKS)).unwrap_or(u32::MAX);
        links.links =
            span.links.into_iter().take(MOST_LINKS).map(|link| Link::with_context(exported(link))).collect();
        let mut attributes = span.attributes;
        let status = match span.error {
            None => Status::Unset,
            Some(code) => {
                attributes.push(KeyValue::new("error.type", code.clone()));
                Status::error(code)
            }
        };
        on.exporter.send(SpanData {
            span_context: exported(span.context),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: matches!(span.kind, SpanKind::Consumer),
            span_kind: span.kind,
            name: span.name,
            start_time: span.start,
            end_time: span.end.max(span.start),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status,
            instrumentation_scope: on.scope.clone(),
        });
    }

    /// Sends what is left, within two seconds: the process has drained already, and is to end. Then nothing is sent any more.
    pub async fn shutdown(&self) {
        let Some(on) = self.on.clone() else { return };
        // It blocks until the exporter's thread is done.
        let done = tokio::task::spawn_blocking(move || on.exporter.shutdown()).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// A span that begins: its place, and the one it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// Its place.
    pub context: SpanContext,
    /// The span it belongs to; `None` for the first of a trace.
    pub parent: Option<u64>,
}

fn new_id() -> u128 {
    loop {
        let id = random::number();
        if id != 0 {
            return id;
        }
    }
}

/// Only what is sampled is ever told of.
fn exported(context: SpanContext) -> opentelemetry::trace::SpanContext {
    opentelemetry::trace::SpanContext::new(
        TraceId::from(context.trace_id),
        SpanId::from(context.span_id),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}
