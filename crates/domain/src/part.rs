//! Parts of a workflow that are evaluated by themselves: what is to blame when a process dies or hangs over one.

use crate::id::{VersionId, WorkflowId};
use std::fmt;

/// What a part is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PartKind {
    /// A trigger's condition.
    Trigger,
    /// Condition and key of the entry rules; a workflow has one.
    Enrolment,
    /// A node: its options, its cases, its duration.
    Node,
}

/// A part of a published version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Part {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The version: another one has parts of its own.
    pub version_id: VersionId,
    /// What it is.
    pub kind: PartKind,
    /// The id of the trigger or node; empty for entry rules.
    pub id: String,
}

/// A part that is named in passing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartRef<'a> {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The version.
    pub version_id: VersionId,
    /// What it is.
    pub kind: PartKind,
    /// The id of the trigger or node; empty for entry rules.
    pub id: &'a str,
}

impl PartKind {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Enrolment => "enrolment",
            Self::Node => "node",
        }
    }

    /// Reads what [`PartKind::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Trigger, Self::Enrolment, Self::Node].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Part {
    /// The part, to be named.
    pub fn as_ref(&self) -> PartRef<'_> {
        let Self { workflow_id, version_id, kind, ref id } = *self;
        PartRef { workflow_id, version_id, kind, id }
    }
}

impl fmt::Display for Part {
    /// `trigger "asked"`, or `the entry rules`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PartKind::Enrolment => f.write_str("the entry rules"),
            PartKind::Trigger | PartKind::Node => write!(f, "{} \"{}\"", self.kind.as_str(), self.id),
        }
    }
}
