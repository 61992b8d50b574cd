//! `branch`: the first case that holds is taken, or a part of a split.

mod split;

use super::{Behaviour, Kind, NodeText, Ways};
use crate::budget::Exceeded;
use crate::catalogue::{ActionEntry, Effect};
use crate::condition::{Aggregate, Condition, Explained};
use crate::facts::{Facts, FieldPath};
use crate::interpreter::{Onward, Visit, Walk};
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::schema::definitions;
use serde_json::{Value, json};
use split::Split;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) static KIND: BranchKind = BranchKind;

static ENTRY: ActionEntry = ActionEntry {
    key: "branch",
    group: "flow",
    description: "Goes the way of the first case whose condition holds, else the way called else; or parts contacts by percentages.",
    effect: Effect::Flow,
    emits: &[],
};

/// The case that is taken when no other holds.
const ELSE: &str = "else";

const WITH: Keys = Keys { what: "a branch", known: &["cases", "split", "salt"], later: &[] };

const CASE: Keys = Keys { what: "a case", known: &["name", "where"], later: &[] };

/// What a case takes in the log, beside its name and its comparisons.
const CASE_BYTES: usize = 64;

#[derive(Debug)]
pub(super) struct BranchKind;

impl Kind for BranchKind {
    fn entry(&self) -> &ActionEntry {
        &ENTRY
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "cases": {
                    "type": "array",
                    "minItems": 1,
                    "description": "Ways out, tried in this order; the way called else is taken when none holds.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "$ref": "#/$defs/name", "not": { "const": ELSE } },
                            "where": { "$ref": "#/$defs/condition" },
                        },
                        "required": ["name", "where"],
                        "additionalProperties": false,
                    },
                },
                "split": {
                    "type": "array",
                    "minItems": 1,
                    "description": "Parts whose percents are 100 together. A contact is always in the same one.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "$ref": "#/$defs/name", "not": { "const": ELSE } },
                            "percent": { "type": "number", "minimum": 0, "maximum": 100, "description": "With at most two decimals." },
                            "holdout": { "type": "boolean", "description": "Whether the others are measured against this part." },
                        },
                        "required": ["name", "percent"],
                        "additionalProperties": false,
                    },
                },
                "salt": { "type": "string", "pattern": "\\S", "description": "Splits of one salt part alike, wherever they stand; without one each node parts for itself." },
            },
            "oneOf": [
                { "required": ["cases"], "properties": { "split": false, "salt": false } },
                { "required": ["split"], "properties": { "cases": false } },
            ],
            "additionalProperties": false,
            "$defs": definitions(),
        })
    }

    fn takes_templates(&self) -> bool {
        false
    }

    fn read(&'static self, node: NodeText<'_>, reader: &mut Reader<'_>) -> Option<Arc<dyn Behaviour>> {
        let section = reader.section(node.with, node.at, &WITH)?;
        match (section.get("cases"), section.get("split")) {
            (Some(_), None) => cases(reader, section),
            (None, Some(_)) => Some(Arc::new(Split::read(reader, section)?)),
            (None, None) => {
                reader.problem("missing_key", section.at, "a branch needs \"cases\" or \"split\"")
            }
            (Some(_), Some(_)) => {
                reader.problem("bad_value", section.at, "a branch has either \"cases\" or \"split\"")
            }
        }
    }
}

fn cases(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Arc<dyn Behaviour>> {
    if section.get("salt").is_some() {
        let message = "salt belongs to a branch with \"split\"";
        reader.problem::<()>("bad_value", section.at("salt"), message);
    }
    let items = reader.list(section, "cases")?;
    if items.is_empty() {
        return reader.problem("bad_value", section.at("cases"), "a branch needs at least one case");
    }
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = format!("{}[{index}]", section.at("cases"));
        cases.extend(case(reader, item, &at, &mut names));
    }
    // A case that could not be read would make its edge look wrong too.
    (cases.len() == items.len()).then(|| Arc::new(Branch { cases }) as _)
}

fn case(reader: &mut Reader<'_>, item: &Value, at: &str, names: &mut BTreeSet<String>) -> Option<Case> {
    let section = reader.section(item, at, &CASE)?;
    let name = reader.name(section, "name");
    if name == Some(ELSE) {
        let message = "else is the way taken when no case holds; give the case another name";
        reader.problem::<()>("bad_name", section.at("name"), message);
    }
    if let Some(name) = name.filter(|name| !names.insert((*name).to_owned())) {
        let message = format!("two cases of the branch are called \"{name}\"");
        reader.problem::<()>("duplicate_id", section.at("name"), message);
    }
    reader.required(section, "where");
    let condition = reader.condition(section, "where");
    Some(Case { name: name?.to_owned(), condition: condition? })
}

/// A node that takes the first case whose condition holds.
#[derive(Clone, Debug)]
pub struct Branch {
    /// In the file's order.
    pub cases: Vec<Case>,
}

/// One way out of a branch.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name; `else` is taken.
    pub name: String,
    /// When it is taken.
    pub condition: Condition,
}

/// How a branch was decided.
struct Decided<'c> {
    /// The first case that holds.
    taken: Option<&'c Case>,
    /// What is told of those that were looked at.
    looked_at: Vec<Value>,
    /// Those for which there was no room in the log.
    left_out: usize,
}

impl Behaviour for Branch {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        let mut references = Vec::new();
        for (index, case) in self.cases.iter().enumerate() {
            let paths = case.condition.references().into_iter();
            references.extend(paths.map(|path| (path, format!("cases[{index}].where"))));
        }
        references
    }

    fn aggregates(&self) -> Vec<&Aggregate> {
        self.cases.iter().flat_map(|case| case.condition.aggregates()).collect()
    }

    fn ways(&self) -> Ways<'_> {
        Ways::Named(self.cases.iter().map(|case| case.name.as_str()).chain([ELSE]).collect())
    }

    /// The log tells the case taken and, for every case that was looked at, each comparison with both its values.
    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let decided = walk.evaluate(visit, |facts| Ok(self.decide(facts)?));
        let Decided { taken, looked_at, left_out } = match decided {
            Ok(decided) => decided,
            Err(error) => return walk.fail(visit, error),
        };
        let name = taken.map_or(ELSE, |case| case.name.as_str());
        let mut detail = json!({ "case": name, "cases": looked_at });
        if left_out > 0 {
            detail["left_out"] = left_out.into();
        }
        walk.result(visit).case = Some(name.to_owned());
        walk.complete(visit, detail);
        Onward::To(visit.node.ways.get(name).copied())
    }
}

impl Branch {
    /// The first case that holds, and what is told of those that were looked at.
    fn decide(&self, facts: &Facts<'_>) -> Result<Decided<'_>, Exceeded> {
        let mut decided = Decided { taken: None, looked_at: Vec::new(), left_out: 0 };
        for case in &self.cases {
            let explained = case.condition.explain(facts)?;
            decided.taken = explained.holds.then_some(case);
            if facts.budget.log(CASE_BYTES + case.name.len())? {
                decided.looked_at.push(told(case, explained));
            } else {
                decided.left_out += 1;
            }
            if decided.taken.is_some() {
                break;
            }
        }
        Ok(decided)
    }
}

/// A case in the log, with its comparisons.
fn told(case: &Case, explained: Explained) -> Value {
    let mut told = json!({
        "case": case.name,
        "holds": explained.holds,
        "comparisons": explained.comparisons,
    });
    if explained.left_out > 0 {
        told["left_out"] = explained.left_out.into();
    }
    told
}
