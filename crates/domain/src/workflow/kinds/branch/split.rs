//! `split`: a token goes one of several ways, each with a share, and the same contact always the same one.

use super::{ELSE, ENTRY};
use crate::action::ContactUse;
use crate::facts::{Facts, FieldPath};
use crate::interpreter::{Onward, Visit, Walk};
use crate::workflow::compile::{Keys, Reader, Section};
use crate::workflow::kinds::{Behaviour, Ways};
use serde_json::{Number, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const CASE: Keys = Keys { what: "a part of a split", known: &["name", "percent", "holdout"], later: &[] };

/// Shares are counted in hundredths of a per cent.
const WHOLE: u32 = 10_000;

/// A node that parts whom it sees by fixed shares.
#[derive(Clone, Debug)]
pub(super) struct Split {
    /// In the file's order.
    parts: Vec<Part>,
    /// What nodes have in common that part alike; the node itself without one.
    salt: Option<String>,
}

/// One way out of a split.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    /// In hundredths of a per cent.
    share: u32,
    /// Whether others are measured against it.
    is_holdout: bool,
}

impl Split {
    /// The split of a branch that has one.
    pub(super) fn read(reader: &mut Reader<'_>, section: Section<'_>) -> Option<Self> {
        let salt = section.get("salt").map(|_| reader.text(section, "salt"));
        let items = reader.list(section, "split")?;
        let mut names = BTreeSet::new();
        let parts: Vec<Option<Part>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| part(reader, item, &format!("{}[{index}]", section.at("split")), &mut names))
            .collect();
        let parts: Vec<Part> = parts.into_iter().collect::<Option<_>>()?;
        let sum: u32 = parts.iter().map(|part| part.share).sum();
        if sum != WHOLE {
            let message = format!("the percents are {} together; they have to be 100", percent(sum));
            return reader.problem("bad_value", section.at("split"), message);
        }
        if parts.iter().filter(|part| part.is_holdout).count() > 1 {
            let message = "a split has one holdout at most: the part that the others are measured against";
            return reader.problem("bad_value", section.at("split"), message);
        }
        let salt = match salt {
            Some(salt) => Some(salt?.to_owned()),
            None => None,
        };
        Some(Self { parts, salt })
    }

    /// Where somebody stands among all, in hundredths of a per cent: by a hash alone, so that it is so at every visit, in every
    /// version and in every process.
    ///
    /// SHA-256 over `split`, the tenant's key, what is parted and who, each preceded by its length as 8 bytes; the first 8 bytes
    /// of it, big-endian, as a part of 2^64. What is parted is `salt` and the salt, or `node`, the workflow's key and the
    /// node's id.
    fn place(&self, node: &str, workflow: &str, facts: &Facts<'_>, who: &str) -> u32 {
        let mut hasher = Sha256::new();
        let mut add = |part: &str| {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        };
        add("split");
        add(facts.tenant.key);
        match &self.salt {
            Some(salt) => ["salt", salt].into_iter().for_each(&mut add),
            None => ["node", workflow, node].into_iter().for_each(&mut add),
        }
        add(who);
        let hash: [u8; 32] = hasher.finalize().into();
        let first = hash.first_chunk().expect("a hash has 32 bytes");
        let part = (u128::from(u64::from_be_bytes(*first)) * u128::from(WHOLE)) >> 64;
        u32::try_from(part).expect("a part of the whole")
    }

    /// The part that a place is in: the shares follow each other in the file's order.
    fn part_at(&self, place: u32) -> &Part {
        let mut end = 0;
        let holds = |part: &&Part| {
            end += part.share;
            place < end
        };
        self.parts.iter().find(holds).expect("the shares make up the whole")
    }
}

fn part(reader: &mut Reader<'_>, item: &Value, at: &str, names: &mut BTreeSet<String>) -> Option<Part> {
    let section = reader.section(item, at, &CASE)?;
    let name = reader.name(section, "name");
    if name == Some(ELSE) {
        let message = "a split has no else: everybody is in one of its parts; give this one another name";
        reader.problem::<()>("bad_name", section.at("name"), message);
    }
    if let Some(name) = name.filter(|name| !names.insert((*name).to_owned())) {
        let message = format!("two parts of the split are called \"{name}\"");
        reader.problem::<()>("duplicate_id", section.at("name"), message);
    }
    let is_holdout = reader.flag(section, "holdout").unwrap_or_default();
    let share = match reader.required(section, "percent")? {
        Value::Number(number) => hundredths(number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let Some(share) = share else {
        let message = "must be a number from 0 to 100 with at most two decimals";
        return reader.problem("bad_value", section.at("percent"), message);
    };
    Some(Part { name: name?.to_owned(), share, is_holdout })
}

/// A percentage in hundredths; `None` for one that is none, or has more decimals.
fn hundredths(number: &Number) -> Option<u32> {
    let hundredths = number.as_f64()? * 100.0;
    let whole = hundredths.round();
    // A decimal fraction is seldom a binary one: 33.33 is a little less.
    let is_exact = (hundredths - whole).abs() < 1e-6;
    (is_exact && (0.0..=f64::from(WHOLE)).contains(&whole)).then_some(whole as u32)
}

/// As people write it: `50`, `33.3`.
fn percent(hundredths: u32) -> Number {
    let fraction = (!hundredths.is_multiple_of(100)).then(|| f64::from(hundredths) / 100.0);
    fraction.and_then(Number::from_f64).unwrap_or_else(|| (hundredths / 100).into())
}

impl Behaviour for Split {
    fn key(&self) -> &'static str {
        ENTRY.key
    }

    fn references(&self) -> Vec<(&FieldPath, String)> {
        Vec::new()
    }

    fn contact(&self) -> ContactUse {
        ContactUse::Optional
    }

    fn ways(&self) -> Ways<'_> {
        Ways::Named(self.parts.iter().map(|part| part.name.as_str()).collect())
    }

    /// The log tells the part, its share, and where among all the contact stands.
    fn enter(&self, walk: &mut Walk<'_>, visit: Visit<'_>) -> Onward {
        let (node, workflow) = (visit.node.id.as_str(), walk.workflow_key().to_owned());
        let placed = walk.evaluate(visit, |facts| {
            let of_run = facts.run.map_or("", |run| run.run_key);
            let (by, who) =
                facts.contact.map_or(("run_key", of_run), |contact| ("contact", &contact.subject));
            Ok((by, self.place(node, &workflow, facts, who)))
        });
        let (by, place) = match placed {
            Ok(placed) => placed,
            Err(error) => return walk.fail(visit, error),
        };
        let part = self.part_at(place);
        let mut detail =
            json!({ "case": part.name, "percent": percent(part.share), "by": by, "place": percent(place) });
        if part.is_holdout {
            detail["holdout"] = true.into();
        }
        walk.result(visit).case = Some(part.name.clone());
        walk.complete(visit, detail);
        Onward::To(visit.node.ways.get(&part.name).copied())
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
