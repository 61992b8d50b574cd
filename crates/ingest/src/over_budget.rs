//! Saying which triggers need more than their budget: each at most once a minute, however many events come.

use crate::trigger_index::TriggerRef;
use automation_domain::id::WorkflowId;
use automation_service_kit::clock;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nothing is said of a trigger again.
const QUIET: Duration = Duration::from_secs(60);
/// Most triggers that are remembered; while there are more, the metric alone tells of the others.
const MOST: usize = 1_000;

/// When something was said of which trigger.
#[derive(Debug, Default)]
pub(crate) struct OverBudget {
    said: Mutex<BTreeMap<(WorkflowId, String), Instant>>,
}

impl OverBudget {
    /// Says that triggers of a tenant could not be decided.
    pub(crate) fn note(&self, tenant: &str, triggers: &[TriggerRef]) {
        for one in triggers {
            let trigger = &one.published.triggers[one.trigger].id;
            if self.is_news(one.published.workflow_id, trigger, clock::now()) {
                tracing::warn!(
                    tenant.key = tenant,
                    workflow.key = one.published.key,
                    trigger.id = trigger,
                    "a trigger needs more than its budget to decide, and lets the event not in [over_budget]"
                );
            }
        }
    }

    fn is_news(&self, workflow: WorkflowId, trigger: &str, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (workflow, trigger.to_owned());
        let is_quiet = |at: &Instant| now.saturating_duration_since(*at) < QUIET;
        if said.get(&key).is_some_and(is_quiet) {
            return false;
        }
        if said.len() >= MOST {
            said.retain(|_, at| is_quiet(at));
        }
        if said.len() >= MOST {
            return false;
        }
        said.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_news_once_a_minute_and_a_flood_of_them_is_bounded() {
        let (over, begun) = (OverBudget::default(), clock::now());
        let workflow = |number: u128| WorkflowId(uuid::Uuid::from_u128(number));
        assert!(over.is_news(workflow(0), "a", begun));
        assert!(!over.is_news(workflow(0), "a", begun + QUIET / 2));
        assert!(over.is_news(workflow(0), "b", begun + QUIET / 2));
        assert!(over.is_news(workflow(0), "a", begun + QUIET));
        let told = (1..2_000).filter(|number| over.is_news(workflow(*number), "a", begun + QUIET)).count();
        assert_eq!(told, MOST - 2);
        assert!(over.is_news(workflow(5_000), "a", begun + QUIET * 2));
    }
}
