//! Why a recorded event started a run, or none, by each trigger that listens for it.
//!
//! A run says it for itself. Why there is none is not recorded: it is decided again as ingest does, over what is there today.

use crate::counting;
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::entry::{self, Enrolment, EntryCondition, KeptOut};
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::id::{ContactId, RunId, TenantId, WorkflowId};
use automation_domain::limits::Limits;
use automation_domain::part::PartKind;
use automation_domain::workflow::{Trigger, Workflow, parse_value};
use automation_store::access::tenants;
use automation_store::blame::suspended_parts::{self, Suspended};
use automation_store::records::contacts;
use automation_store::role::Api;
use automation_store::runs::enrolments::{self, EnrolmentKey};
use automation_store::runs::lists::{self, RunFilter, RunSummary};
use automation_store::workflows::{self, StoredWorkflow};
use automation_store::{Conn, Error};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What came of an event.
pub(super) struct Found {
    /// By each trigger that listens for it.
    pub(super) judged: Vec<Judged>,
    /// Runs by triggers that the published versions do not have.
    pub(super) others: Vec<RunSummary>,
    /// Keys of workflows that this version of the engine cannot read.
    pub(super) unreadable: Vec<String>,
}

/// What came of an event by one trigger.
#[derive(Clone, PartialEq, Debug)]
pub struct Judged {
    /// The workflow's key.
    pub workflow: String,
    /// The trigger.
    pub trigger: String,
    /// The version that is published.
    pub version: i32,
    /// The version that was published when the event came.
    pub version_then: Option<i32>,
    /// The conditions, worked out anew.
    pub entries: Vec<EntryCondition>,
    /// What a run is unique by, where entry rules look at earlier runs.
    pub key: Option<String>,
    /// The latest run of that key, where it is not this one.
    pub earlier_run: Option<RunId>,
    /// What came of it, and why.
    pub verdict: Verdict,
}

/// What came of an event by one trigger, and why.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// This run.
    Started(Box<RunSummary>),
    /// None: the workflow came later.
    PublishedLater,
    /// None: a condition is false.
    ConditionFalse,
    /// None: the workflow never lets in whom the event is about.
    Suppressed,
    /// None: deciding takes more than its budget.
    OverBudget,
    /// None: the workflow is paused.
    Paused,
    /// None: the workflow is archived.
    Archived,
    /// None: the trigger, or the workflow's entry rules, are suspended because processes died or hung over them.
    Suspended {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// None: its key was in before.
    Once {
        /// When its latest run began.
        since: Option<DateTime<Utc>>,
    },
    /// None: a run of its key was open.
    StillIn,
    /// None: a run of its key had ended too short a while before.
    Gap {
        /// When it might enter again.
        until: DateTime<Utc>,
    },
    /// None: as many runs of its key had begun within a time as may.
    Max {
        /// When it might enter again.
        until: DateTime<Utc>,
    },
    /// None, and what entry rules knew then has been replaced.
    Forgotten,
    /// None, and nothing that is there today says why.
    Unexplained,
}

impl Verdict {
    /// Its word for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::PublishedLater => "published_later",
            Self::ConditionFalse => "condition_false",
            Self::Suppressed => "suppressed",
            Self::OverBudget => "over_budget",
            Self::Paused => "paused",
            Self::Archived => "archived",
            Self::Suspended { .. } => "suspended",
            Self::Once { .. } => "once",
            Self::StillIn => "still_in",
            Self::Gap { .. } => "gap",
            Self::Max { .. } => "max",
            Self::Forgotten => "forgotten",
            Self::Unexplained => "unexplained",
        }
    }

    /// The run that was started.
    pub fn run(&self) -> Option<&RunSummary> {
        if let Self::Started(run) = self { Some(run) } else { None }
    }

    /// When its key might enter again, if that is known.
    pub fn until(&self) -> Option<DateTime<Utc>> {
        if let Self::Gap { until } | Self::Max { until } = self { Some(*until) } else { None }
    }

    /// When the latest run of its key began, if that is why it may not enter.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        if let Self::Once { since } = self { *since } else { None }
    }
}

/// A trigger that listens for the event.
struct Listener<'a> {
    stored: &'a StoredWorkflow,
    workflow: &'a Workflow,
    trigger: &'a Trigger,
    /// Whether deciding it takes more than its budget.
    over_budget: bool,
    /// Where entry rules look for earlier runs; `None` without such rules.
    key: Option<EnrolmentKey>,
}

/// What there is today to decide by.
struct Today<'a> {
    facts: Facts<'a>,
    runs: &'a [RunSummary],
    /// The versions that were published when the event came.
    then: BTreeMap<WorkflowId, i32>,
    known: BTreeMap<EnrolmentKey, Enrolment>,
    suspended: Vec<Suspended>,
}

/// Looks at every published workflow.
pub(super) async fn judge(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    tenant_key: &str,
    recorded: &RecordedEvent,
    limits: &Limits,
) -> Result<Found, Error> {
    let event = &recorded.event;
    let contact = match &event.subject {
        Some(subject) => {
            let id = ContactId::derive(tenant, subject);
            let known = contacts::read(connection, &[(tenant, id)]).await?.into_values().next();
            // Ingest decides about somebody unknown as about a contact of whom nothing is known.
            Some(known.unwrap_or_else(|| Contact::new(id, subject)))
        }
        None => None,
    };
    let ids = lists::ids_of_event(connection, tenant, &event.source, &event.id).await?.unwrap_or_default();
    let most = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let filter = RunFilter { ids: Some(ids), ..RunFilter::default() };
    let runs = lists::list(connection, tenant, &filter, most).await?;
    let published = workflows::list(connection, tenant).await?;
    let then = workflows::published_at(connection, tenant, recorded.received_at).await?;

    let now = recorded.received_at;
    let budget = Budget::new(limits);
    let (compiled, unreadable) = compile(&published, limits);
    let counted = compiled.iter().flat_map(|(_, workflow)| workflow.entry_aggregates());
    let past = counting::before(connection, tenant, recorded, counted).await?;
    let facts = Facts {
        event: Some(recorded),
        contact: contact.as_ref(),
        run: None,
        past: past.as_ref(),
        tenant: TenantFacts { key: tenant_key, zone: tenants::zone(connection, tenant).await? },
        now,
        budget: &budget,
    };
    let listeners = listeners(&compiled, tenant, recorded, &facts);
    let keys: Vec<EnrolmentKey> = listeners.iter().filter_map(|one| one.key.clone()).collect();
    let known = enrolments::read(connection, &keys).await?;
    let suspended = suspended_parts::list(connection).await?;
    let today = Today { facts, runs: &runs, then, known, suspended };
    let judged: Vec<Judged> = listeners.iter().map(|listener| today.judge(listener)).collect();
    let told: Vec<RunId> = judged.iter().filter_map(|one| Some(one.verdict.run()?.run_id)).collect();
    let others = runs.iter().filter(|run| !told.contains(&run.run_id)).cloned().collect();
    Ok(Found { judged, others, unreadable })
}

fn compile<'a>(
    published: &'a [StoredWorkflow],
    limits: &Limits,
) -> (Vec<(&'a StoredWorkflow, Workflow)>, Vec<String>) {
    let (mut compiled, mut unreadable) = (Vec::new(), Vec::new());
    for stored in published {
        match parse_value(&stored.definition, automation_actions::node_types(), limits) {
            Ok(workflow) => compiled.push((stored, workflow)),
            Err(_problems) => unreadable.push(stored.key.clone()),
        }
    }
    (compiled, unreadable)
}

fn listeners<'a>(
    compiled: &'a [(&'a StoredWorkflow, Workflow)],
    tenant_id: TenantId,
    recorded: &RecordedEvent,
    facts: &Facts<'_>,
) -> Vec<Listener<'a>> {
    let event = &recorded.event;
    let triggers = compiled.iter().flat_map(|(stored, workflow)| {
        workflow.triggers.iter().map(move |trigger| (*stored, workflow, trigger))
    });
    triggers
        .filter(|(stored, _, trigger)| entry::listens(stored.workflow_id, trigger, event))
        .map(|(stored, workflow, trigger)| {
            facts.budget.begin_next();
            let over_budget =
                entry::run_key_if_let_in(&workflow.enrolment, trigger, event, facts, |_, _| ()).is_err();
            facts.budget.begin_next();
            let run_key = entry::run_key(&workflow.enrolment, event, facts).ok();
            let key = run_key.filter(|_| workflow.enrolment.needs_record()).map(|run_key| EnrolmentKey {
                tenant_id,
                workflow_id: stored.workflow_id,
                run_key,
            });
            Listener { stored, workflow, trigger, over_budget, key }
        })
        .collect()
}

impl Today<'_> {
    /// Since when the trigger, or the entry rules behind it, are suspended.
    fn suspended_since(&self, stored: &StoredWorkflow, trigger: &Trigger) -> Option<DateTime<Utc>> {
        let meets = |one: &&Suspended| {
            one.part.version_id == stored.version_id
                && match one.part.kind {
                    PartKind::Trigger => one.part.id == trigger.id,
                    PartKind::Enrolment => true,
                    PartKind::Node => false,
                }
        };
        self.suspended.iter().find(meets).map(|one| one.suspended_at)
    }

    fn judge(&self, listener: &Listener<'_>) -> Judged {
        let Listener { stored, workflow, trigger, over_budget, key } = listener;
        let is_its = |run: &&RunSummary| run.workflow_id == stored.workflow_id && run.trigger == trigger.id;
        let run = self.runs.iter().find(is_its);
        let entries = entry::explained(workflow, trigger, &self.facts);
        let version_then = self.then.get(&stored.workflow_id).copied();
        let enrolment = key.as_ref().and_then(|key| self.known.get(key));
        let suspended_since = self.suspended_since(stored, trigger);
        let verdict = match (run, suspended_since) {
            (Some(run), _) => Verdict::Started(Box::new(run.clone())),
            (None, _) if version_then.is_none() => Verdict::PublishedLater,
            (None, Some(since)) => Verdict::Suspended { since },
            (None, None) if *over_budget => Verdict::OverBudget,
            (None, None) if entries.iter().any(EntryCondition::is_missed) => Verdict::ConditionFalse,
            (None, None) if entries.iter().any(EntryCondition::suppresses) => Verdict::Suppressed,
            (None, None) if stored.state == "paused" => Verdict::Paused,
            (None, None) if stored.state == "archived" => Verdict::Archived,
            (None, None) => by_rules(workflow, enrolment, self.facts.now),
        };
        let latest = enrolment.and_then(|enrolment| enrolment.run_id);
        Judged {
            workflow: stored.key.clone(),
            trigger: trigger.id.clone(),
            version: stored.version,
            version_then,
            entries,
            key: key.as_ref().map(|key| key.run_key.clone()),
            earlier_run: latest.filter(|_| run.is_none()),
            verdict,
        }
    }
}

/// What the entry rules say of a match that started no run at `at`.
fn by_rules(workflow: &Workflow, today: Option<&Enrolment>, at: DateTime<Utc>) -> Verdict {
    let Some(today) = today else { return Verdict::Unexplained };
    let Some(then) = entry::known_at(today, at) else { return Verdict::Forgotten };
    match entry::kept_out(&then, &workflow.enrolment, at) {
        Some(KeptOut::Once { since }) => Verdict::Once { since },
        Some(KeptOut::StillIn) => Verdict::StillIn,
        Some(KeptOut::Gap { until }) => Verdict::Gap { until },
        Some(KeptOut::Max { until }) => Verdict::Max { until },
        None => Verdict::Unexplained,
    }
}
