//! What conditions and templates may look at.

use crate::budget::Budget;
use crate::contact::Contact;
use crate::event::RecordedEvent;
use crate::id::RunId;
use crate::interpreter::RunState;
use crate::past::Past;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Everything known while a step is evaluated; a missing part makes its fields missing, never an error.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The event that started the run, or that is being matched.
    pub event: Option<&'a RecordedEvent>,
    /// The contact.
    pub contact: Option<&'a Contact>,
    /// The run, when there is one.
    pub run: Option<RunFacts<'a>>,
    /// What happened to the contact, as far as somebody gathered it.
    pub past: Past<'a>,
    /// The tenant.
    pub tenant: TenantFacts<'a>,
    /// The database's clock, read once per batch.
    pub now: DateTime<Utc>,
    /// What evaluating over these facts may cost, all together.
    pub budget: &'a Budget,
}

/// The part of [`Facts`] that is the tenant's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantFacts<'a> {
    /// Its key.
    pub key: &'a str,
    /// Whose clock counts where a contact has none.
    pub zone: Tz,
}

/// The part of [`Facts`] that a run adds.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    /// The run.
    pub run_id: RunId,
    /// What the run is unique by within its workflow.
    pub run_key: &'a str,
    /// When the run was made.
    pub started_at: DateTime<Utc>,
    /// The workflow's key.
    pub workflow: &'a str,
    /// Number of the pinned version.
    pub version: i32,
    /// Variables and outputs of steps.
    pub state: &'a RunState,
    /// The item of a loop that the step is about, if it is within one.
    pub item: Option<ItemFacts<'a>>,
}

/// An item of a loop.
#[derive(Clone, Copy, Debug)]
pub struct ItemFacts<'a> {
    /// The item.
    pub value: &'a Value,
    /// Its place in the list; 0 is the first.
    pub index: u16,
    /// The item and the place of the loop around it.
    pub parent: Option<(&'a Value, u16)>,
}

impl<'a> Facts<'a> {
    /// The value at a path such as `event.data.total` or `contact.fields.plan`; `None` when it is missing.
    pub fn field(&self, path: &FieldPath) -> Option<Cow<'a, Value>> {
        self.fact(path).map(Fact::into_json)
    }

    /// The same without a copy of what is large.
    pub(crate) fn fact(&self, path: &FieldPath) -> Option<Fact<'a>> {
        lookup::fact(self, path)
    }
}

/// What is found at a path: borrowed, save for small values that the facts do not hold as JSON.
#[derive(Debug)]
pub(crate) enum Fact<'a> {
    Json(Cow<'a, Value>),
    /// The members of an object.
    Members(&'a Map<String, Value>),
    /// An object of parts that stand apart.
    Whole(Vec<(&'a str, Fact<'a>)>),
}

impl<'a> Fact<'a> {
    fn into_json(self) -> Cow<'a, Value> {
        match self {
            Self::Json(value) => value,
            Self::Members(members) => Cow::Owned(Value::Object(members.clone())),
            Self::Whole(parts) => {
                let parts =
                    parts.into_iter().map(|(name, part)| (name.to_owned(), part.into_json().into_owned()));
                Cow::Owned(Value::Object(parts.collect()))
            }
        }
    }
}

mod lookup;
mod path;
#[cfg(test)]
pub(crate) mod sample;
mod zone;

pub use path::{FieldPath, RESERVED, ROOTS};
pub use zone::{LocalZone, Tz, ZoneOf, read_zone, stored_zone};
