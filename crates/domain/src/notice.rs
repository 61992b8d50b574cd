//! What the engine tells whoever owns a workflow, without being asked.
//!
//! There is one notice for each thing that is wrong, however often it happens: what happens again is counted.

use crate::event::{ENGINE_SOURCE, Event};
use crate::id::{EventKey, NoticeId, TenantId, digest};
use crate::part::PartKind;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The type of the engine's event of a new notice.
pub const RAISED: &str = "notice.raised";

/// What is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// A chain of events that cause each other was stopped before it started a workflow once more.
    LoopStopped {
        /// The workflow that caused the last event; `None` where the engine did not publish it.
        from_workflow: Option<String>,
        /// Its node that did.
        from_node: Option<String>,
        /// The type of that event.
        event_type: String,
        /// The workflow that it would have started.
        to_workflow: String,
        /// By which trigger.
        to_trigger: String,
        /// Which link of the chain it was.
        depth: u16,
        /// The event that was stopped, the latest of them.
        event_id: String,
        /// What the events of that chain have in common.
        correlation_id: Option<String>,
    },
    /// A part of a workflow is evaluated no more, because processes died or hung over it.
    PartSuspended {
        /// The workflow.
        workflow: String,
        /// The number of the version.
        version: i32,
        /// `trigger`, `enrolment` or `node`.
        part: String,
        /// The id of the trigger or node; empty for entry rules.
        id: String,
        /// How many processes died.
        deaths: i32,
    },
}

impl Notice {
    /// The word for what kind it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LoopStopped { .. } => "loop_stopped",
            Self::PartSuspended { .. } => "part_suspended",
        }
    }

    /// What it is about: notices of a kind with the same subject are one.
    pub fn subject(&self) -> String {
        match self {
            Self::LoopStopped { event_type, to_workflow, to_trigger, .. } => {
                format!("{} -> {event_type} -> {to_workflow}/{to_trigger}", self.from())
            }
            Self::PartSuspended { workflow, version, part, id, .. } => {
                let slash = if id.is_empty() { "" } else { "/" };
                format!("{workflow} version {version} {part}{slash}{id}")
            }
        }
    }

    /// The keys of the workflows whose owners are told.
    pub fn workflows(&self) -> Vec<&str> {
        match self {
            Self::LoopStopped { from_workflow, to_workflow, .. } => {
                let from = from_workflow.as_deref().filter(|from| from != to_workflow);
                from.into_iter().chain([to_workflow.as_str()]).collect()
            }
            Self::PartSuspended { workflow, .. } => vec![workflow],
        }
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::LoopStopped { event_type, to_workflow, to_trigger, depth, .. } => format!(
                "{} caused {event_type}, which would have started {to_workflow} by its trigger {to_trigger}: it was \
                 number {depth} in a chain of causes, and the chain was stopped",
                self.from()
            ),
            Self::PartSuspended { workflow, version, part, id, deaths } => {
                let what = match PartKind::parse(part) {
                    Some(PartKind::Enrolment) => "the entry rules".to_owned(),
                    Some(PartKind::Trigger | PartKind::Node) | None => format!("{part} {id}"),
                };
                format!(
                    "{what} of {workflow} version {version} is evaluated no more: {deaths} processes died or hung over it"
                )
            }
        }
    }

    /// What it is known by.
    pub fn id(&self, tenant: TenantId) -> NoticeId {
        let parts = [b"notice", tenant.0.as_bytes().as_slice(), self.kind().as_bytes()];
        NoticeId(digest(&[&parts[..], &[self.subject().as_bytes()]].concat()))
    }

    /// The engine's event of a notice that was raised at `now`.
    pub fn raised(&self, tenant: (TenantId, &str), now: DateTime<Utc>) -> Event {
        let notice_id = self.id(tenant.0);
        let at = now.to_rfc3339_opts(SecondsFormat::Micros, true);
        let id = digest(&[b"notice raised", notice_id.0.as_bytes(), at.as_bytes()]).to_string();
        Event {
            key: EventKey::derive(ENGINE_SOURCE, &id),
            id,
            source: ENGINE_SOURCE.to_owned(),
            event_type: RAISED.to_owned(),
            tenant: tenant.1.to_owned(),
            time: now,
            subject: None,
            correlation_id: None,
            causation_id: None,
            // Whoever is told starts a chain of his own, which a notice begins once.
            causation_depth: 1,
            traceparent: None,
            tracestate: None,
            data: json!({
                "notice_id": notice_id, "kind": self.kind(), "about": self.subject(), "message": self.sentence(),
                "workflows": self.workflows(),
            }),
            body_hash: [0; 32],
        }
    }

    /// Where an event came from that was stopped: `workflow/node`.
    fn from(&self) -> String {
        match self {
            Self::LoopStopped { from_workflow: Some(workflow), from_node: Some(node), .. } => {
                format!("{workflow}/{node}")
            }
            Self::LoopStopped { from_workflow: Some(workflow), .. } => workflow.clone(),
            Self::LoopStopped { from_workflow: None, .. } => "a publisher".to_owned(),
            Self::PartSuspended { workflow, .. } => workflow.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(from: Option<(&str, &str)>, to: &str) -> Notice {
        Notice::LoopStopped {
            from_workflow: from.map(|(workflow, _)| workflow.to_owned()),
            from_node: from.map(|(_, node)| node.to_owned()),
            event_type: "contact.tag_added".to_owned(),
            to_workflow: to.to_owned(),
            to_trigger: "tagged".to_owned(),
            depth: 6,
            event_id: "1".to_owned(),
            correlation_id: None,
        }
    }

    #[test]
    fn a_notice_names_the_edge_and_those_whose_workflows_it_joins() {
        let notice = stopped(Some(("a", "tag")), "b");
        assert_eq!(notice.subject(), "a/tag -> contact.tag_added -> b/tagged");
        assert_eq!(
            notice.sentence(),
            "a/tag caused contact.tag_added, which would have started b by its trigger tagged: it was number 6 in a chain of \
             causes, and the chain was stopped"
        );
        for (from, to, workflows) in [
            (Some(("a", "tag")), "b", &["a", "b"][..]),
            (Some(("a", "tag")), "a", &["a"]),
            (None, "b", &["b"]),
        ] {
            assert_eq!(stopped(from, to).workflows(), workflows);
        }
    }

    #[test]
    fn what_happens_again_is_the_same_notice_and_another_edge_another() {
        let (shop, rival) = (TenantId(uuid::Uuid::from_u128(1)), TenantId(uuid::Uuid::from_u128(2)));
        let notice = stopped(Some(("a", "tag")), "b");
        let mut again = notice.clone();
        if let Notice::LoopStopped { event_id, depth, correlation_id, .. } = &mut again {
            (*event_id, *depth, *correlation_id) = ("2".to_owned(), 7, Some("c".to_owned()));
        }
        assert_eq!(again.id(shop), notice.id(shop));
        assert_ne!(notice.id(shop), notice.id(rival));
        assert_ne!(notice.id(shop), stopped(Some(("a", "other")), "b").id(shop));
    }

    #[test]
    fn a_notice_reads_back_as_it_was_written_and_its_event_begins_a_chain() {
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        let part = Notice::PartSuspended {
            workflow: "a".to_owned(),
            version: 3,
            part: "node".to_owned(),
            id: "split".to_owned(),
            deaths: 3,
        };
        assert_eq!(
            part.sentence(),
            "node split of a version 3 is evaluated no more: 3 processes died or hung over it"
        );
        for notice in [part, stopped(None, "b")] {
            let written = serde_json::to_value(&notice).unwrap();
            assert_eq!(written["kind"], notice.kind());
            assert_eq!(serde_json::from_value::<Notice>(written).unwrap(), notice);
            let at = DateTime::from_timestamp(1_000_000, 0).unwrap();
            let raised = |at| notice.raised((tenant, "shop"), at);
            assert_eq!((raised(at).causation_depth, raised(at).subject), (1, None));
            assert_eq!(raised(at).id, raised(at).id);
            assert_ne!(raised(at).id, raised(at + chrono::TimeDelta::seconds(1)).id);
        }
    }
}
