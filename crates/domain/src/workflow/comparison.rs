//! What differs between two definitions of a workflow, by what people know its parts by: settings, entry rules, triggers, nodes, edges.
//!
//! The order of triggers, nodes and edges says nothing, nor does the way in which an edge is written. The order within options
//! does: cases are tried in theirs.

use crate::path::is_name;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Settings that are for people: whatever they say, the same runs.
const FOR_PEOPLE: [&str; 5] = ["name", "description", "layout", "tags", "owner"];

/// The same of a trigger or a node.
const FOR_PEOPLE_OF_A_PART: &str = "description";

/// An element that is not the same in both definitions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// Which element.
    #[serde(flatten)]
    pub element: Element,
    /// How it differs.
    #[serde(flatten)]
    pub difference: Difference,
    /// Whether it is for people alone: what runs is the same.
    pub for_people: bool,
}

/// What a definition is made of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(tag = "element", rename_all = "snake_case")]
pub enum Element {
    /// A key of the document; in a definition with problems also a list that is none, or an item that cannot be told
    /// from others by its id (`nodes[3]`).
    Setting {
        /// The key.
        key: String,
    },
    /// Who is let in, and how often.
    Enrolment,
    /// What starts runs.
    Trigger {
        /// Its id.
        id: String,
    },
    /// A box of the graph.
    Node {
        /// Its id.
        id: String,
    },
    /// An arrow of the graph: one that leads elsewhere is another.
    Edge {
        /// The trigger or node that it begins at.
        from: String,
        /// The way out of that node.
        case: Option<String>,
        /// The node that it leads to.
        to: String,
    },
}

/// How an element differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Difference {
    /// It is only in the later definition.
    Added {
        /// As it is there.
        after: Value,
    },
    /// It is only in the earlier definition.
    Removed {
        /// As it was.
        before: Value,
    },
    /// It is in both.
    Changed {
        /// Every place within it that is not the same.
        places: Vec<Place>,
    },
}

/// A place within an element.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Place {
    /// The path to it: `with.cases[0].where.value`; empty for the element as a whole.
    pub path: String,
    /// What stood there; none where nothing did.
    pub before: Option<Value>,
    /// What stands there; none where nothing does.
    pub after: Option<Value>,
}

/// What differs between two definitions, settings first and edges last; nothing where they do and say the same.
pub fn compare(before: &Value, after: &Value) -> Vec<Change> {
    let (mut before, mut after) = (elements(before), elements(after));
    let all: BTreeSet<Element> = before.keys().chain(after.keys()).cloned().collect();
    let change = |element: Element| {
        let difference = match (before.remove(&element), after.remove(&element)) {
            (Some(before), None) => Difference::Removed { before },
            (None, Some(after)) => Difference::Added { after },
            (Some(before), Some(after)) => {
                let mut places = Vec::new();
                differing("", &before, &after, &mut places);
                if places.is_empty() {
                    return None;
                }
                Difference::Changed { places }
            }
            (None, None) => return None,
        };
        let for_people = is_for_people(&element, &difference);
        Some(Change { element, difference, for_people })
    };
    all.into_iter().filter_map(change).collect()
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setting { key } => f.write_str(key),
            Self::Enrolment => f.write_str("enrolment"),
            Self::Trigger { id } => write!(f, "trigger {id}"),
            Self::Node { id } => write!(f, "node {id}"),
            Self::Edge { from, case: None, to } => write!(f, "edge {from} -> {to}"),
            Self::Edge { from, case: Some(case), to } => write!(f, "edge {from} ({case}) -> {to}"),
        }
    }
}

fn is_for_people(element: &Element, difference: &Difference) -> bool {
    match (element, difference) {
        (Element::Setting { key }, _) => FOR_PEOPLE.contains(&key.as_str()),
        (Element::Trigger { .. } | Element::Node { .. }, Difference::Changed { places }) => {
            places.iter().all(|place| place.path == FOR_PEOPLE_OF_A_PART)
        }
        (
            Element::Trigger { .. } | Element::Node { .. },
            Difference::Added { .. } | Difference::Removed { .. },
        )
        | (Element::Enrolment | Element::Edge { .. }, _) => false,
    }
}

/// A definition taken apart. Of one with problems everything is somewhere too: a draft is compared as it is.
fn elements(definition: &Value) -> BTreeMap<Element, Value> {
    let mut found = BTreeMap::new();
    let Value::Object(document) = definition else {
        found.insert(Element::Setting { key: String::new() }, definition.clone());
        return found;
    };
    for (key, value) in document {
        let element_of: fn(&Value) -> Option<(Element, Value)> = match key.as_str() {
            "triggers" => |item| Some((Element::Trigger { id: id(item)? }, item.clone())),
            "nodes" => |item| Some((Element::Node { id: id(item)? }, item.clone())),
            "edges" => edge,
            "enrolment" => {
                found.insert(Element::Enrolment, value.clone());
                continue;
            }
            _ => {
                found.insert(Element::Setting { key: key.clone() }, value.clone());
                continue;
            }
        };
        let Value::Array(items) = value else {
            found.insert(Element::Setting { key: key.clone() }, value.clone());
            continue;
        };
        for (index, item) in items.iter().enumerate() {
            match element_of(item).filter(|(element, _)| !found.contains_key(element)) {
                Some((element, value)) => found.insert(element, value),
                None => found.insert(Element::Setting { key: format!("{key}[{index}]") }, item.clone()),
            };
        }
    }
    found
}

fn id(item: &Value) -> Option<String> {
    item["id"].as_str().map(str::to_owned)
}

/// An edge in either way of writing it.
fn edge(item: &Value) -> Option<(Element, Value)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (from, case, to) = match item {
        Value::Array(ends) => match ends.as_slice() {
            [from, to] => (text(from)?, None, text(to)?),
            _ => return None,
        },
        Value::Object(members)
            if members.keys().all(|key| ["from", "case", "to"].contains(&key.as_str())) =>
        {
            let case = match members.get("case") {
                Some(case) => Some(text(case)?),
                None => None,
            };
            (text(members.get("from")?)?, case, text(members.get("to")?)?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => return None,
    };
    let value = match &case {
        Some(case) => json!({ "from": from, "case": case, "to": to }),
        None => json!({ "from": from, "to": to }),
    };
    Some((Element::Edge { from, case, to }, value))
}

fn differing(at: &str, before: &Value, after: &Value, places: &mut Vec<Place>) {
    let mut one = |path: String, before: Option<&Value>, after: Option<&Value>| match (before, after) {
        (Some(before), Some(after)) => differing(&path, before, after, places),
        (before, after) => places.push(Place { path, before: before.cloned(), after: after.cloned() }),
    };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                one(member(at, key), before.get(key), after.get(key));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                one(format!("{at}[{index}]"), before.get(index), after.get(index));
            }
        }
        (before, after) if before == after => {}
        (before, after) => places.push(Place {
            path: at.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

/// The path to a member, as paths are written.
fn member(at: &str, key: &str) -> String {
    match (is_name(key), at.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{at}.{key}"),
        (false, _) => format!("{at}[{}]", Value::from(key)),
    }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
