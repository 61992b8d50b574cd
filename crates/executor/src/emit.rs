//! What leaves through the outbox: the events that follow from changes to records, and commands for other modules.

use automation_domain::effect::Directive;
use automation_domain::event::encode::to_cloudevent;
use automation_domain::event::{CAUSED_BY, RecordedEvent, caused};
use automation_domain::id::{RunId, TenantId};
use automation_domain::record::EmittedEvent;
use automation_domain::trace::RunTrace;
use automation_store::events::outbox::NewOutboxEvent;
use chrono::{DateTime, Utc};

/// The run that causes events, and the event that caused the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) tenant_id: TenantId,
    pub(crate) tenant: &'a str,
    pub(crate) run_id: RunId,
    pub(crate) epoch: i32,
    pub(crate) event: Option<&'a RecordedEvent>,
    /// The workflow and node that cause it, of an event that is one link too many of its chain: who stops it tells of them.
    pub(crate) edge: Option<&'a str>,
    /// The run's trace, when that is sampled.
    pub(crate) trace: Option<RunTrace>,
}

impl Cause<'_> {
    /// Whether what it causes is one link too many of its chain.
    pub(crate) fn is_too_long(&self, most_links: u16) -> bool {
        self.event.is_some_and(|recorded| recorded.event.causation_depth >= most_links)
    }
}

/// The outbox row of the `number`th event of this claim.
pub(crate) fn outbox_event(
    cause: Cause<'_>,
    number: u32,
    emitted: EmittedEvent,
    now: DateTime<Utc>,
) -> NewOutboxEvent {
    row(cause, &format!("event of claim {}", cause.epoch), number, emitted, now)
}

/// The outbox row of the `number`th event of this claim that no change of a record made.
pub(crate) fn outbox_announced(
    cause: Cause<'_>,
    number: u32,
    emitted: &EmittedEvent,
    now: DateTime<Utc>,
) -> NewOutboxEvent {
    row(cause, &format!("announced by claim {}", cause.epoch), number, emitted.clone(), now)
}

/// The outbox row of the `number`th command of this claim.
pub(crate) fn outbox_command(
    cause: Cause<'_>,
    number: u32,
    directive: &Directive,
    now: DateTime<Utc>,
) -> NewOutboxEvent {
    let Directive { command_type, subject, data } = directive.clone();
    let emitted = EmittedEvent { event_type: command_type, subject, data };
    let row = row(cause, &format!("command of claim {}", cause.epoch), number, emitted, now);
    NewOutboxEvent { is_command: true, ..row }
}

fn row(
    cause: Cause<'_>,
    what: &str,
    number: u32,
    emitted: EmittedEvent,
    now: DateTime<Utc>,
) -> NewOutboxEvent {
    let of = caused::Cause {
        tenant: cause.tenant,
        run_id: cause.run_id,
        event: cause.event.map(|recorded| &recorded.event),
    };
    let mut event = caused::by_run(of, what, number, emitted, now);
    if let Some(trace) = cause.trace {
        event.traceparent = Some(trace.context().to_traceparent());
    }
    let mut body = to_cloudevent(&event);
    if let Some(edge) = cause.edge {
        body[CAUSED_BY] = edge.into();
    }
    NewOutboxEvent {
        tenant_id: cause.tenant_id,
        run_id: cause.run_id,
        body: body.to_string().into_bytes(),
        event_type: event.event_type,
        is_command: false,
    }
}
