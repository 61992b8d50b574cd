//! OTLP over HTTP, from a thread of its own: batches, retries and time-outs are the SDK's.

use crate::config::plaintext::{self, Server};
use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};
use std::time::Duration;

/// The name of the process in traces unless a variable says otherwise.
const SERVICE: &str = "automation";

/// Where traces go, if anywhere.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The longest that sending the last spans may hold up the end of the process, which has 30 s in all where 25 may be spent
/// on draining.
const FAREWELL: Duration = Duration::from_secs(2);

/// What sends spans.
#[derive(Debug)]
pub(super) struct Exporter {
    processor: BatchSpanProcessor,
}

/// Whether traces are to be sent: an endpoint is named, and nothing switches them off.
pub(super) fn is_wanted(variable: &impl Fn(&str) -> Option<String>) -> bool {
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    !is_off && ENDPOINTS.into_iter().any(|name| variable(name).is_some())
}

impl Exporter {
    /// Endpoint, headers, time-out and batches are read from `OTEL_*` by the SDK.
    pub(super) fn new(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            if let Some(protocol) = variable(name) {
                anyhow::ensure!(
                    protocol == "http/protobuf",
                    "{name}={protocol}: traces are sent as http/protobuf"
                );
            }
        }
        for name in ENDPOINTS {
            if let Some(endpoint) = variable(name) {
                plaintext::check(Server::Otlp, &endpoint, variable)
                    .map_err(|rule| anyhow::anyhow!("{name} {rule}"))?;
            }
        }
        if let Some(exporter) = variable("OTEL_TRACES_EXPORTER") {
            anyhow::ensure!(exporter == "otlp", "OTEL_TRACES_EXPORTER={exporter} is neither otlp nor none");
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .build()
            .context("building the OTLP exporter")?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource());
        Ok(Self { processor })
    }

    pub(super) fn send(&self, span: SpanData) {
        self.processor.on_end(span);
    }

    pub(super) fn shutdown(&self) -> Result<(), OTelSdkError> {
        self.processor.shutdown_with_timeout(FAREWELL)
    }
}

/// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, over the names of the program.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let mut attributes = vec![KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    attributes.extend(said.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    let named = said.iter().find(|(key, _)| key.as_str() == "service.name");
    // The SDK's own word for "nobody said".
    if named.is_none_or(|(_, value)| value.as_str().starts_with("unknown_service")) {
        attributes.push(KeyValue::new("service.name", SERVICE));
    }
    Resource::builder_empty().with_attributes(attributes).build()
}
