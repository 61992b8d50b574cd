//! The workflows of the benchmark: what a run does, and what has to be found in the database afterwards.

use automation_domain::limits::Limits;
use automation_domain::workflow::{self, Workflow};
use serde_json::{Value, json};

/// Nodes between `large` and `end`, each with an edge to the next.
type Nodes = Vec<Value>;

/// What the workflow does with each event that it matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Workload {
    /// Adds a note.
    Note,
    /// Adds a tag, which is published as an event and taken in again.
    Tag,
    /// Ten record actions in a row: four notes, two tags, two fields, two tasks.
    Ten,
    /// Posts to `/orders` of the service at this host and port.
    Request(String),
    /// Waits for so many seconds, then adds a note.
    Wait(u32),
}

/// What one run leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Traces {
    pub(crate) notes: i64,
    pub(crate) tags: i64,
    pub(crate) tasks: i64,
    /// Requests that were answered.
    pub(crate) requests: i64,
    /// Events that the engine published, and took in again.
    pub(crate) emitted: i64,
    /// Checkpoints in its history.
    pub(crate) checkpoints: i64,
}

impl Workload {
    /// The definition, compiled.
    pub(crate) fn compile(&self) -> anyhow::Result<Workflow> {
        workflow::parse_value(&self.definition(), automation_actions::node_types(), &Limits::default())
            .map_err(|problems| anyhow::anyhow!("the benchmark's workflow: {problems:?}"))
    }

    /// A trigger, a condition that every event meets which the trigger lets in, the actions, the end.
    pub(crate) fn definition(&self) -> Value {
        let actions = self.actions();
        let mut edges = vec![
            json!(["ordered", "large"]),
            json!({ "from": "large", "case": "large", "to": actions[0]["id"] }),
            json!({ "from": "large", "case": "else", "to": "end" }),
        ];
        edges.extend(actions.windows(2).map(|pair| json!([pair[0]["id"], pair[1]["id"]])));
        edges.extend(actions.last().map(|last| json!([last["id"], "end"])));
        let mut nodes = vec![json!({ "id": "large", "action": "branch", "with": { "cases": [
            { "name": "large", "where": { "field": "event.data.total", "op": "greater_than", "value": 50 } },
        ] } })];
        nodes.extend(actions);
        nodes.push(json!({ "id": "end", "action": "stop_workflow" }));
        json!({
            "apiVersion": "automation/v1", "key": "large-orders", "name": "Large orders",
            "triggers": [{
                "id": "ordered", "event": "order.created",
                "where": { "field": "event.data.total", "op": "greater_than", "value": 50 },
            }],
            "nodes": nodes, "edges": edges,
        })
    }

    fn actions(&self) -> Nodes {
        let note = |id: &str| json!({ "id": id, "action": "add_note", "with": { "text": "Ordered for {{ event.data.total }}" } });
        let tag = |id: &str, tag: &str| json!({ "id": id, "action": "add_tag", "with": { "tag": tag } });
        let field = |id: &str, field: &str, value: &str| json!({ "id": id, "action": "update_field", "with": { "field": field, "value": value } });
        let task = |id: &str| json!({ "id": id, "action": "create_task", "with": { "title": "Thank for {{ event.data.order_id }}" } });
        match self {
            Self::Note => vec![note("act")],
            // The event's id, so that every tag is a change.
            Self::Tag => vec![tag("act", "{{ event.id }}")],
            Self::Ten => vec![
                note("note-1"),
                tag("tag-1", "{{ event.id }}"),
                field("field-1", "fields.last_order", "{{ event.id }}"),
                task("task-1"),
                note("note-2"),
                field("field-2", "fields.last_total", "{{ event.data.total }} in {{ event.id }}"),
                note("note-3"),
                tag("tag-2", "again {{ event.id }}"),
                task("task-2"),
                note("note-4"),
            ],
            Self::Request(service) => vec![json!({
                "id": "act", "action": "http_request",
                "with": { "url": format!("http://{service}/orders"), "method": "POST", "body": { "json": { "order": "{{ event.data.order_id }}" } } },
            })],
            Self::Wait(seconds) => vec![
                json!({ "id": "wait", "action": "delay", "with": { "for": format!("{seconds}s") } }),
                note("act"),
            ],
        }
    }

    /// What each run that ends leaves behind.
    pub(crate) fn traces(&self) -> Traces {
        let none = Traces { notes: 0, tags: 0, tasks: 0, requests: 0, emitted: 0, checkpoints: 1 };
        match self {
            Self::Note => Traces { notes: 1, ..none },
            Self::Tag => Traces { tags: 1, emitted: 1, ..none },
            Self::Ten => Traces { notes: 4, tags: 2, tasks: 2, emitted: 6, ..none },
            Self::Request(_) => Traces { requests: 1, checkpoints: 2, ..none },
            Self::Wait(_) => Traces { notes: 1, checkpoints: 2, ..none },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workflow_of_the_benchmark_compiles() {
        let service = "127.0.0.1:8080".to_owned();
        for workload in
            [Workload::Note, Workload::Tag, Workload::Ten, Workload::Request(service), Workload::Wait(10)]
        {
            workload.compile().unwrap();
        }
    }
}
