//! The spans of ingest: one for each sampled event, in the trace of whoever published it, and one for the batch, which
//! is linked with all of them: a batch holds many traces and belongs to none.

use crate::reading::Arrival;
use automation_broker::consumer::Delivery;
use automation_domain::event::Event;
use automation_domain::trace::RunTrace;
use automation_service_kit::clock;
use automation_service_kit::spans::{Begun, KeyValue, Span, SpanKind, spans};
use std::time::SystemTime;

/// The span of an event that is being taken in.
#[derive(Debug)]
pub(crate) struct EventSpan {
    begun: Begun,
    queue: String,
    routing_key: String,
    message_id: Option<String>,
    tenant: String,
    id: String,
    source: String,
    event_type: String,
    runs: i64,
    refused: Option<String>,
}

impl EventSpan {
    /// `None` when the event's trace is not sampled; nothing is allocated then.
    pub(crate) fn begin(arrival: &Arrival, deliveries: &[Delivery]) -> Option<Self> {
        let Event { tenant, id, source, event_type, traceparent, .. } = &arrival.event;
        let begun = spans().begin(traceparent.as_deref())?;
        let delivery = &deliveries[arrival.delivery];
        Some(Self {
            begun,
            queue: delivery.queue.clone(),
            routing_key: delivery.routing_key.clone(),
            message_id: delivery.message_id.clone(),
            tenant: tenant.clone(),
            id: id.clone(),
            source: source.clone(),
            event_type: event_type.clone(),
            runs: 0,
            refused: None,
        })
    }

    /// The trace of a run that the event starts.
    pub(crate) fn run(&mut self) -> RunTrace {
        self.runs += 1;
        let context = self.begun.context;
        RunTrace { trace_id: context.trace_id, started_by: context.span_id, span_id: spans().new_span() }
    }

    /// The event is parked for this reason.
    pub(crate) fn refused(mut self, code: &str) -> Self {
        self.refused = Some(code.to_owned());
        self
    }
}

/// The spans of these events, in their order; empty where no traces are sent.
pub(crate) fn begin<'a>(
    arrivals: impl Iterator<Item = &'a Arrival>,
    deliveries: &[Delivery],
) -> Vec<Option<EventSpan>> {
    match spans().is_on() {
        true => arrivals.map(|arrival| EventSpan::begin(arrival, deliveries)).collect(),
        false => Vec::new(),
    }
}

/// Tells of the events of a batch that is acknowledged.
pub(crate) fn end(events: Vec<EventSpan>, messages: usize, start: SystemTime) {
    if events.is_empty() {
        return;
    }
    let (end, batch) = (clock::system_time(), spans().root());
    spans().end(Span {
        context: batch,
        parent: None,
        kind: SpanKind::Internal,
        name: "ingest batch".into(),
        start,
        end,
        attributes: vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.batch.message_count", count(messages)),
        ],
        links: events.iter().map(|event| event.begun.context).collect(),
        error: None,
    });
    for event in events {
        let mut attributes = vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", event.queue),
            KeyValue::new("messaging.rabbitmq.destination.routing_key", event.routing_key),
            KeyValue::new("cloudevents.event_id", event.id),
            KeyValue::new("cloudevents.event_source", event.source),
            KeyValue::new("cloudevents.event_type", event.event_type),
            KeyValue::new("tenant", event.tenant),
            KeyValue::new("runs.started", event.runs),
        ];
        attributes.extend(event.message_id.map(|id| KeyValue::new("messaging.message.id", id)));
        spans().end(Span {
            context: event.begun.context,
            parent: event.begun.parent,
            kind: SpanKind::Consumer,
            name: "process automation.events".into(),
            start,
            end,
            attributes,
            links: vec![batch],
            error: event.refused,
        });
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
