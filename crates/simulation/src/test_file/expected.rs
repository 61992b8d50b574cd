//! What is to come of a case.

use super::given::object;
use super::moment::{self, Moment};
use super::{MOST_HAPPENINGS, bounded, texts};
use crate::run::Ended;
use automation_domain::workflow::{Keys, Reader, Section};
use serde_json::{Map, Value};

/// What is to come; what is not said is not looked at.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Expected {
    /// The runs of the tested workflow, all of them and in their order; and those of others, as far as they are named.
    pub runs: Option<Vec<ExpectedRun>>,
    /// What is done outside, by kind: all of it, in its order.
    pub listed: Vec<(Listed, Vec<Map<String, Value>>)>,
    /// Contacts at the end, by subject.
    pub contacts: Map<String, Value>,
}

/// A run that is to come.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ExpectedRun {
    /// Where it stands: `cases[0].expect.runs[1]`.
    pub path: String,
    /// Key of its workflow; the tested one where none is named.
    pub workflow: Option<String>,
    /// What it is unique by.
    pub key: Option<String>,
    /// Whom it is about.
    pub contact: Option<String>,
    /// What started it.
    pub trigger: Option<String>,
    /// How it ended.
    pub end: Option<Ended>,
    /// When it ended.
    pub at: Option<Moment>,
    /// Which way was taken out of nodes that have several, the latest time.
    pub ways: Map<String, Value>,
    /// The nodes that it entered, all of them and in order.
    pub steps: Option<Vec<String>>,
    /// Nodes that it entered in this order, with others between them.
    pub passes: Vec<String>,
    /// Nodes that it did not enter.
    pub never: Vec<String>,
    /// The nodes on which it waits at the end.
    pub waits_at: Option<Vec<String>>,
    /// Its variables, those that are named.
    pub vars: Map<String, Value>,
    /// What nodes returned, those that are named.
    pub outputs: Map<String, Value>,
    /// Codes of the errors of nodes, the latest.
    pub errors: Map<String, Value>,
}

/// What is listed by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    /// Tasks.
    Tasks,
    /// Notes.
    Notes,
    /// Requests.
    Requests,
    /// Commands.
    Commands,
    /// Events that the runs caused.
    Events,
}

impl Listed {
    /// All, with their keys and what the entries may say.
    pub const ALL: [(Self, Keys); 5] = [
        (
            Self::Tasks,
            Keys {
                what: "a task",
                known: &["contact", "title", "description", "due_at", "assignee", "workflow", "node", "at"],
                later: &[],
            },
        ),
        (
            Self::Notes,
            Keys { what: "a note", known: &["contact", "text", "workflow", "node", "at"], later: &[] },
        ),
        (
            Self::Requests,
            Keys {
                what: "a request",
                known: &[
                    "method",
                    "url",
                    "headers",
                    "body",
                    "credential",
                    "tries",
                    "outcome",
                    "workflow",
                    "node",
                    "at",
                ],
                later: &[],
            },
        ),
        (
            Self::Commands,
            Keys {
                what: "a command",
                known: &["type", "subject", "data", "workflow", "node", "at"],
                later: &[],
            },
        ),
        (Self::Events, Keys { what: "an event", known: &["type", "subject", "data", "at"], later: &[] }),
    ];

    /// Its key in a file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Notes => "notes",
            Self::Requests => "requests",
            Self::Commands => "commands",
            Self::Events => "events",
        }
    }
}

const EXPECT: Keys = Keys {
    what: "what is expected",
    known: &["runs", "tasks", "notes", "requests", "commands", "events", "contacts"],
    later: &[],
};
pub(super) const RUN: Keys = Keys {
    what: "a run",
    known: &[
        "workflow", "key", "contact", "trigger", "end", "at", "ways", "steps", "passes", "never", "waits_at",
        "vars", "outputs", "errors",
    ],
    later: &[],
};
pub(super) const CONTACT: Keys = Keys {
    what: "a contact",
    known: &[
        "email",
        "phone",
        "first_name",
        "last_name",
        "timezone",
        "owner",
        "score",
        "tags",
        "segments",
        "fields",
        "consent",
    ],
    later: &[],
};

pub(super) fn read(reader: &mut Reader<'_>, case: Section<'_>) -> Option<Expected> {
    let value = reader.required(case, "expect")?;
    let at = case.at("expect");
    let section = reader.section(value, &at, &EXPECT)?;
    if value.as_object().is_some_and(Map::is_empty) {
        return reader.problem("bad_value", at, "expects nothing, so that nothing could fail");
    }
    let runs = match section.get("runs") {
        None => Some(None),
        Some(_) => {
            let listed = bounded(reader, section, "runs", MOST_HAPPENINGS)?;
            let read: Vec<Option<ExpectedRun>> = listed
                .iter()
                .enumerate()
                .map(|(index, one)| run(reader, one, format!("{}[{index}]", section.at("runs"))))
                .collect();
            read.into_iter().collect::<Option<_>>().map(Some)
        }
    };
    let listed: Vec<Option<_>> = Listed::ALL
        .iter()
        .filter(|(kind, _)| section.get(kind.key()).is_some())
        .map(|(kind, keys)| Some((*kind, entries(reader, section, *kind, keys)?)))
        .collect();
    let contacts = object(reader, section, "contacts")?;
    for (subject, contact) in &contacts {
        reader.section(contact, &format!("{}.{subject}", section.at("contacts")), &CONTACT)?;
    }
    Some(Expected { runs: runs?, listed: listed.into_iter().collect::<Option<_>>()?, contacts })
}

fn run(reader: &mut Reader<'_>, value: &Value, path: String) -> Option<ExpectedRun> {
    let section = reader.section(value, &path, &RUN)?;
    let text = |reader: &mut Reader<'_>, key: &str| match section.get(key) {
        Some(_) => reader.text(section, key).map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let list = |reader: &mut Reader<'_>, key: &str| match section.get(key) {
        Some(_) => texts(reader, section, key).map(Some),
        None => Some(None),
    };
    let end = match section.get("end") {
        Some(_) => Some(reader.choice(section, "end", &Ended::ALL)?),
        None => None,
    };
    Some(ExpectedRun {
        workflow: text(reader, "workflow")?,
        key: text(reader, "key")?,
        contact: text(reader, "contact")?,
        trigger: text(reader, "trigger")?,
        end,
        at: moment::optional(reader, section, "at")?,
        ways: object(reader, section, "ways")?,
        steps: list(reader, "steps")?,
        passes: texts(reader, section, "passes")?,
        never: texts(reader, section, "never")?,
        waits_at: list(reader, "waits_at")?,
        vars: object(reader, section, "vars")?,
        outputs: object(reader, section, "outputs")?,
        errors: object(reader, section, "errors")?,
        path,
    })
}

fn entries(
    reader: &mut Reader<'_>,
    section: Section<'_>,
    kind: Listed,
    keys: &Keys,
) -> Option<Vec<Map<String, Value>>> {
    let listed = bounded(reader, section, kind.key(), MOST_HAPPENINGS)?;
    let mut all = Vec::with_capacity(listed.len());
    for (index, one) in listed.iter().enumerate() {
        let at = format!("{}[{index}]", section.at(kind.key()));
        let entry = reader.section(one, &at, keys)?;
        for key in ["at", "due_at"] {
            moment::optional(reader, entry, key)?;
        }
        all.push(one.as_object().cloned().unwrap_or_default());
    }
    Some(all)
}
