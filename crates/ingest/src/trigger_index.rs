//! Which triggers may match an event: by type, then by the equality that tells most triggers apart.

use automation_domain::condition::equality_key;
use automation_domain::entry::schedule_of;
use automation_domain::event::Event;
use automation_domain::facts::{Facts, FieldPath};
use automation_domain::id::{ScheduleId, VersionId, WorkflowId};
use automation_domain::part::{Part, PartKind};
use automation_domain::priority::Priority;
use automation_domain::workflow::{Enrolment, Goal, Trigger, Workflow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A published workflow that may start runs.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) workflow_id: WorkflowId,
    pub(crate) version_id: VersionId,
    pub(crate) key: String,
    pub(crate) priority: Option<Priority>,
    pub(crate) enrolment: Enrolment,
    pub(crate) goal: Option<Goal>,
    pub(crate) triggers: Vec<Trigger>,
    /// Whether its conditions count what happened before.
    pub(crate) counts: bool,
    /// About how many bytes of memory it takes.
    pub(crate) bytes: usize,
}

impl Published {
    /// Keeps of a workflow what deciding about events takes: its nodes are the executors' business.
    pub(crate) fn new(workflow_id: WorkflowId, version_id: VersionId, workflow: Workflow) -> Self {
        let counts = !workflow.entry_aggregates().is_empty();
        let Workflow { key, priority, enrolment, goal, triggers, entry_bytes: bytes, .. } = workflow;
        Self { workflow_id, version_id, key, priority, enrolment, goal, triggers, counts, bytes }
    }
}

impl Published {
    /// What an event meets by a trigger: its condition, and the entry rules.
    fn parts_of(&self, trigger: &str) -> [Part; 2] {
        let part = |kind, id: &str| {
            let (workflow_id, version_id) = (self.workflow_id, self.version_id);
            Part { workflow_id, version_id, kind, id: id.to_owned() }
        };
        [part(PartKind::Trigger, trigger), part(PartKind::Enrolment, "")]
    }
}

/// One trigger of a published workflow.
#[derive(Clone, Debug)]
pub(crate) struct TriggerRef {
    pub(crate) published: Arc<Published>,
    pub(crate) trigger: usize,
}

/// The triggers of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TriggerIndex {
    by_type: BTreeMap<String, OfType>,
    /// Triggers that fire by themselves, by schedule: a slot starts the one it belongs to.
    by_schedule: BTreeMap<String, TriggerRef>,
}

/// The triggers of one event type.
#[derive(Debug, Default)]
struct OfType {
    /// For each indexed field, the triggers by the value they require.
    by_field: Vec<(FieldPath, BTreeMap<String, Vec<TriggerRef>>)>,
    /// Triggers that require no particular value.
    rest: Vec<TriggerRef>,
    /// How many triggers there are.
    count: usize,
}

impl TriggerIndex {
    /// Builds the index of a tenant's workflows, without what is suspended.
    pub(crate) fn build(workflows: &[Arc<Published>], suspended: &BTreeSet<Part>) -> Self {
        let mut by_type: BTreeMap<String, Vec<TriggerRef>> = BTreeMap::new();
        let mut by_schedule = BTreeMap::new();
        for published in workflows {
            for (trigger, definition) in published.triggers.iter().enumerate() {
                if published.parts_of(&definition.id).iter().any(|part| suspended.contains(part)) {
                    continue;
                }
                let reference = TriggerRef { published: published.clone(), trigger };
                match &definition.schedule {
                    Some(_) => {
                        let id = ScheduleId::derive(published.workflow_id, &definition.id);
                        by_schedule.insert(id.to_string(), reference);
                    }
                    None => by_type.entry(definition.event.clone()).or_default().push(reference),
                }
            }
        }
        Self {
            by_type: by_type.into_iter().map(|(event, triggers)| (event, OfType::build(triggers))).collect(),
            by_schedule,
        }
    }

    /// How many triggers listen for the type of an event.
    pub(crate) fn listening(&self, event: &Event) -> usize {
        match schedule_of(event) {
            Some(id) => usize::from(self.by_schedule.contains_key(id)),
            None => self.by_type.get(&event.event_type).map_or(0, |of_type| of_type.count),
        }
    }

    /// The triggers whose condition has still to be evaluated, in a stable order: those of a workflow follow each other.
    pub(crate) fn candidates(&self, event: &Event, facts: &Facts<'_>) -> Vec<TriggerRef> {
        if let Some(id) = schedule_of(event) {
            return self.by_schedule.get(id).cloned().into_iter().collect();
        }
        let Some(of_type) = self.by_type.get(&event.event_type) else { return Vec::new() };
        let mut found = of_type.rest.clone();
        for (path, by_value) in &of_type.by_field {
            let value = facts.field(path);
            if let Some(triggers) =
                value.and_then(|value| equality_key(&value)).and_then(|key| by_value.get(&key))
            {
                found.extend(triggers.iter().cloned());
            }
        }
        found.sort_by_key(|trigger| trigger.published.workflow_id);
        found
    }
}

impl OfType {
    fn build(triggers: Vec<TriggerRef>) -> Self {
        // The more values a field is compared with, the fewer triggers share one.
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for trigger in &triggers {
            for (path, key) in required(trigger) {
                values.entry(path).or_default().insert(key);
            }
        }
        let count = triggers.len();
        let mut by_field: BTreeMap<String, BTreeMap<String, Vec<TriggerRef>>> = BTreeMap::new();
        let mut rest = Vec::new();
        for trigger in triggers {
            let best = required(&trigger)
                .into_iter()
                .max_by_key(|(path, _)| values.get(path).map_or(0, BTreeSet::len));
            match best {
                Some((path, key)) => by_field.entry(path).or_default().entry(key).or_default().push(trigger),
                None => rest.push(trigger),
            }
        }
        let mut of_type = Self { by_field: Vec::new(), rest, count };
        for (path, by_value) in by_field {
            match FieldPath::parse(&path, "") {
                Ok(parsed) => of_type.by_field.push((parsed, by_value)),
                // It was read from a condition that parsed; if it did not, evaluating is right all the same.
                Err(_problem) => of_type.rest.extend(by_value.into_values().flatten()),
            }
        }
        of_type
    }
}

fn required(trigger: &TriggerRef) -> Vec<(String, String)> {
    let definition = &trigger.published.triggers[trigger.trigger];
    let Some(condition) = &definition.condition else { return Vec::new() };
    condition
        .required_equalities()
        .into_iter()
        .filter_map(|(path, value)| Some((path.to_owned(), equality_key(value)?)))
        .collect()
}
