//! The compiled form of a workflow version: everything parsed, every reference resolved.

use super::event_filter::EventFilter;
use super::goal::Goal;
use super::kinds::Behaviour;
use crate::condition::{Aggregate, Condition};
use crate::interpreter::Need;
use crate::priority::Priority;
use crate::retry::RetryPolicy;
use crate::schedule::Schedule;
use crate::template::Template;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Index of a node in [`Workflow::nodes`].
pub type NodeIndex = usize;

/// A workflow version, ready to be matched and walked.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Stable within the tenant.
    pub key: String,
    /// For people.
    pub name: String,
    /// Overrides the triggers' priorities.
    pub priority: Option<Priority>,
    /// Who is let in, and how often.
    pub enrolment: Enrolment,
    /// What ends a run before its way is over.
    pub exits: Vec<Exit>,
    /// What it is for.
    pub goal: Option<Goal>,
    /// What starts a run.
    pub triggers: Vec<Trigger>,
    /// The boxes of the graph, in the file's order.
    pub nodes: Vec<Node>,
    /// The definition as canonical JSON: what is stored and hashed.
    pub definition: Value,
    /// Things worth saying that do not prevent publishing (a case without an edge).
    pub warnings: Vec<crate::problem::Problem>,
    /// What nodes read beside the run itself, or change.
    pub needs: BTreeSet<Need>,
    /// About how many bytes of memory it takes.
    pub memory_bytes: usize,
    /// About how many of them its triggers and its enrolment take.
    pub entry_bytes: usize,
}

/// Who is let in, and how often.
#[derive(Clone, Debug, Default)]
pub struct Enrolment {
    /// What a run is unique by; `None`: the contact's subject, without one the schedule, else the event's id.
    pub key: Option<Template>,
    /// Entry filter over event and contact.
    pub condition: Option<Condition>,
    /// Who never enters: a condition over event and contact.
    pub suppress: Option<Condition>,
    /// How often the same key may enter.
    pub reentry: Reentry,
    /// How many runs of the same key may begin within a time.
    pub max: Option<MostRuns>,
    /// What a match does while a run of the same key is open.
    pub on_conflict: OnConflict,
}

impl Enrolment {
    /// Whether entering depends on earlier runs, so that an `enrolments` row has to be written and locked.
    pub fn needs_record(&self) -> bool {
        self.reentry != Reentry::Always || self.max.is_some() || self.on_conflict != OnConflict::Start
    }

    /// Everything that is asked of event and contact, whichever trigger matched.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.condition.iter().chain(&self.suppress)
    }

    /// Whether one run of a key is let in at a time: not beside another that is open.
    pub fn is_exclusive(&self) -> bool {
        self.on_conflict != OnConflict::Start || matches!(self.reentry, Reentry::AfterExit { .. })
    }
}

/// How often the same key may enter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reentry {
    /// Every match.
    #[default]
    Always,
    /// The first match only, ever.
    Once,
    /// Again after the last run ended, and `gap` after that.
    AfterExit {
        /// Minimum time between the end of one run and the start of the next.
        gap: TimeDelta,
    },
}

/// How many runs of a key may begin within any time of a length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MostRuns {
    /// How many, from 1 to [`MostRuns::LIMIT`].
    pub runs: usize,
    /// Within how long a time, whenever that begins.
    pub per: TimeDelta,
}

impl MostRuns {
    /// Most runs that can be allowed: the start of each is kept with its key.
    pub const LIMIT: usize = 100;
}

/// What a match does while a run of the same key is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnConflict {
    /// Start another.
    #[default]
    Start,
    /// Let it be.
    Ignore,
    /// End it, and start another.
    Supersede,
}

/// An event that ends a run, whatever it is at.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Which.
    pub filter: EventFilter,
    /// How long before the event that started the run it may have happened.
    pub look_back: TimeDelta,
}

impl Exit {
    /// From when on events count, for a run whose event happened then.
    pub(crate) fn from(&self, began_at: DateTime<Utc>) -> DateTime<Utc> {
        began_at - self.look_back
    }
}

/// A rule that turns an event into a run.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Stable within the workflow.
    pub id: String,
    /// The event type it listens for; of a schedule, the type of its slots' events.
    pub event: String,
    /// When it fires by itself; then it listens for its own slots only.
    pub schedule: Option<Schedule>,
    /// Filter over event and contact.
    pub condition: Option<Condition>,
    /// The node its edge leads to.
    pub to: NodeIndex,
}

/// A box of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Stable within the workflow.
    pub id: String,
    /// What it does.
    pub behaviour: Arc<dyn Behaviour>,
    /// Where the plain edge leads; `None` ends the branch.
    pub next: Option<NodeIndex>,
    /// Where its plain edges lead, of a node that goes them all at once, in the file's order.
    pub branches: Vec<NodeIndex>,
    /// Where its named ways lead, of a node that has such, and the nodes that its options name, by the option. A way that is
    /// not here ends the branch.
    pub ways: BTreeMap<String, NodeIndex>,
    /// Where the branch goes on when the node's step fails for good; `None`: the run fails.
    pub on_error: Option<NodeIndex>,
}

impl Node {
    /// The key of its action.
    pub fn action_key(&self) -> &'static str {
        self.behaviour.key()
    }

    /// How often the request of its action may arrive; of a node without one, as often as it likes.
    pub fn delivery(&self) -> Delivery {
        self.behaviour.action().map_or(Delivery::AtLeastOnce, |action| action.sending.delivery)
    }
}

/// How an action's request is sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sending {
    /// For one whole exchange; `None`: the action's own.
    pub timeout: Option<Duration>,
    /// How often it may arrive.
    pub delivery: Delivery,
    /// How it is tried again.
    pub retry: RetryPolicy,
}

/// How often a request may arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delivery {
    /// Once or more: with one key and the same bytes each time.
    #[default]
    AtLeastOnce,
    /// Once or not at all: where nobody knows whether it arrived, it is not sent again.
    AtMostOnce,
}

impl Delivery {
    /// All, with the words of the format.
    pub const ALL: [Self; 2] = [Self::AtLeastOnce, Self::AtMostOnce];

    /// The word of the format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::AtMostOnce => "at_most_once",
        }
    }
}

impl Workflow {
    /// The node with this id.
    pub fn node_index(&self, id: &str) -> Option<NodeIndex> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Whether nodes read this, or change it.
    pub fn needs(&self, need: &Need) -> bool {
        self.needs.contains(need)
    }

    /// The types of events that runs may wait for or goals count, each with how long before the wait one may have happened.
    pub fn awaited_types(&self) -> BTreeMap<&str, TimeDelta> {
        let mut types = BTreeMap::new();
        let of_nodes = self.nodes.iter().flat_map(|node| {
            let looks_back = node.behaviour.looks_back();
            node.behaviour.awaits().into_iter().map(move |event| (event, looks_back))
        });
        let of_exits = self.exits.iter().map(|exit| (exit.filter.event.as_str(), exit.look_back));
        let of_goal = self.goal.iter().flat_map(Goal::watched).map(|event| (event, TimeDelta::zero()));
        for (event, looks_back) in of_nodes.chain(of_exits).chain(of_goal) {
            let longest: &mut TimeDelta = types.entry(event).or_default();
            *longest = looks_back.max(*longest);
        }
        types
    }

    /// The figures over past events that decide who is let in.
    pub fn entry_aggregates(&self) -> Vec<&Aggregate> {
        let triggers = self.triggers.iter().filter_map(|trigger| trigger.condition.as_ref());
        triggers.chain(self.enrolment.conditions()).flat_map(Condition::aggregates).collect()
    }

    /// For how many days back its conditions count events; 0 where they count none.
    pub fn window_days(&self) -> i32 {
        let all = self.entry_aggregates().into_iter().chain(self.run_aggregates());
        let longest = all.map(|one| one.window().0).max().unwrap_or_default();
        // What is left of a day is one more: windows are whole seconds.
        i32::try_from((longest.num_seconds() + 86_399) / 86_400).unwrap_or(i32::MAX)
    }

    /// Those that decide on a run's way.
    pub fn run_aggregates(&self) -> Vec<&Aggregate> {
        let exits = self.exits.iter().filter_map(|exit| exit.filter.condition.as_ref());
        let of_nodes = self.nodes.iter().flat_map(|node| node.behaviour.aggregates());
        exits.flat_map(Condition::aggregates).chain(of_nodes).collect()
    }

    /// The trigger with this id.
    pub fn trigger(&self, id: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.id == id)
    }
}
