//! Filters of lists.

use super::{flag, text_argument};
use crate::budget::Budget;
use crate::path::Path;
use crate::template::Failure;
use crate::template::evaluate::{along, iterable};
use crate::template::number::{Number, Operator};
use crate::template::operators::{arithmetic, order};
use crate::template::output::{Output, text};
use crate::template::value::{Items, Text, Val};
use std::cmp::Ordering;
use std::collections::BTreeSet;

type Outcome<'a> = Result<Val<'a>, Failure>;

pub(super) fn length<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    let length = match &value {
        Val::Nothing => 0,
        Val::Text(text) => {
            budget.look_at(text.len())?;
            text.chars().count()
        }
        Val::List(list) => list.len(),
        Val::Object(object) => object.len(),
        Val::Bool(_) | Val::Number(_) => {
            return Err(Failure::Failed(format!("{} has no length", value.kind())));
        }
    };
    Ok(Val::Number(Number::Whole(length as i128)))
}

pub(super) fn first<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    if let Val::Text(text) = &value {
        return Ok(text.chars().next().map_or(Val::Nothing, one_character));
    }
    Ok(iterable(&value, budget)?.get(0).unwrap_or(Val::Nothing))
}

pub(super) fn last<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    if let Val::Text(text) = &value {
        return Ok(text.chars().next_back().map_or(Val::Nothing, one_character));
    }
    Ok(iterable(&value, budget)?.iter().next_back().unwrap_or(Val::Nothing))
}

fn one_character<'a>(character: char) -> Val<'a> {
    Val::charged(character.to_string())
}

/// The items of a list, the names of an object, the characters of a text.
pub(super) fn list<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    let Val::Text(text) = &value else { return Ok(Val::List(iterable(&value, budget)?)) };
    let mut items = Items::new(budget);
    for character in text.chars() {
        items.push(one_character(character))?;
    }
    Ok(items.finish())
}

/// The members of an object, each as a list of name and value.
pub(super) fn items<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    let mut items = Items::new(budget);
    match &value {
        Val::Nothing => {}
        Val::Object(object) => {
            for (name, member) in object.iter() {
                let mut pair = Items::new(budget);
                pair.push(Val::Text(name))?;
                pair.push(member)?;
                items.push(pair.finish())?;
            }
        }
        Val::Bool(_) | Val::Number(_) | Val::Text(_) | Val::List(_) => {
            return Err(Failure::Failed(format!("items takes an object, not {}", value.kind())));
        }
    }
    Ok(items.finish())
}

pub(super) fn reverse<'a>(budget: &Budget, value: Val<'a>, _: &[Option<Val<'a>>]) -> Outcome<'a> {
    if let Val::Text(text) = &value {
        budget.make(text.len())?;
        return Ok(Val::charged(text.chars().rev().collect()));
    }
    let mut items = Items::new(budget);
    for item in iterable(&value, budget)?.iter().rev() {
        items.push(item)?;
    }
    Ok(items.finish())
}

pub(super) fn join<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let separator = text_argument(budget, arguments, 0)?.unwrap_or(Text::Borrowed(""));
    let attribute = attribute(budget, arguments, 1)?;
    let mut output = Output::new(budget);
    for (index, item) in iterable(&value, budget)?.iter().enumerate() {
        budget.spend(1)?;
        if index > 0 {
            output.push(&separator)?;
        }
        output.value(&member(&item, attribute.as_ref(), budget)?)?;
    }
    Ok(Val::charged(output.finish()))
}

/// The sum of numbers; what is missing is left out.
pub(super) fn sum<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let attribute = attribute(budget, arguments, 0)?;
    let mut sum = arguments.get(1).and_then(Clone::clone).unwrap_or(Val::Number(Number::Whole(0)));
    for item in iterable(&value, budget)?.iter() {
        budget.spend(1)?;
        match member(&item, attribute.as_ref(), budget)? {
            Val::Nothing => {}
            number @ Val::Number(_) => sum = arithmetic(sum, Operator::Add, number, budget)?,
            other @ (Val::Bool(_) | Val::Text(_) | Val::List(_) | Val::Object(_)) => {
                return Err(Failure::Failed(format!("only numbers can be summed, not {}", other.kind())));
            }
        }
    }
    Ok(sum)
}

pub(super) fn min<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    extreme(budget, value, arguments, Ordering::Less)
}

pub(super) fn max<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    extreme(budget, value, arguments, Ordering::Greater)
}

/// The item that is on this side of all others; what is missing is left out.
fn extreme<'a>(
    budget: &Budget,
    value: Val<'a>,
    arguments: &[Option<Val<'a>>],
    side: Ordering,
) -> Outcome<'a> {
    let attribute = attribute(budget, arguments, 0)?;
    let mut best: Option<(Val<'a>, Val<'a>)> = None;
    for item in iterable(&value, budget)?.iter() {
        budget.spend(1)?;
        let key = member(&item, attribute.as_ref(), budget)?;
        let is_better = match &best {
            _ if key.is_nothing() => false,
            None => true,
            Some((known, _)) => order(&key, known, budget)? == Some(side),
        };
        if is_better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Val::Nothing, |(_, item)| item))
}

/// What items are sorted by: all of one kind, so that any two have an order.
enum Key {
    Missing,
    Bool(bool),
    Number(Number),
    Text(String),
}

impl Key {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.order(*right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

/// What is missing comes first; upper and lower case are the same unless `case_sensitive`.
pub(super) fn sort<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let attribute = attribute(budget, arguments, 2)?;
    let keeps_case = flag(arguments, 1);
    let list = iterable(&value, budget)?;
    let (mut keyed, mut bytes, mut rank) = (Vec::new(), 0_usize, 0);
    for item in list.iter() {
        budget.make(size_of::<(Key, Val<'_>)>())?;
        let key = match member(&item, attribute.as_ref(), budget)? {
            Val::Nothing => Key::Missing,
            Val::Bool(value) => Key::Bool(value),
            Val::Number(number) => Key::Number(number),
            Val::Text(text) => Key::Text(folded(&text, keeps_case, budget)?),
            other @ (Val::List(_) | Val::Object(_)) => {
                return Err(Failure::Failed(format!("{} has no order", other.kind())));
            }
        };
        bytes += if let Key::Text(text) = &key { text.len() } else { 0 };
        match key.rank() {
            0 => {}
            found if rank == 0 || rank == found => rank = found,
            _ => return Err(Failure::Failed("what is sorted must be all numbers or all texts".to_owned())),
        }
        keyed.push((key, item));
    }
    // Each item is compared about as often as its list can be halved.
    let rounds = u64::from(keyed.len().max(1).ilog2()) + 1;
    budget.spend((keyed.len() as u64 + bytes as u64 / 64).saturating_mul(rounds))?;
    keyed.sort_by(|(left, _), (right, _)| left.order(right));
    if flag(arguments, 0) {
        keyed.reverse();
    }
    let mut items = Items::new(budget);
    for (_, item) in keyed {
        items.push(item)?;
    }
    Ok(items.finish())
}

/// Each value once, the first of several; upper and lower case are the same unless `case_sensitive`.
pub(super) fn unique<'a>(budget: &Budget, value: Val<'a>, arguments: &[Option<Val<'a>>]) -> Outcome<'a> {
    let attribute = attribute(budget, arguments, 1)?;
    let keeps_case = flag(arguments, 0);
    let mut seen = BTreeSet::new();
    let mut items = Items::new(budget);
    for item in iterable(&value, budget)?.iter() {
        let mut key = Output::new(budget);
        key.json(&member(&item, attribute.as_ref(), budget)?)?;
        let key = folded(&key.finish(), keeps_case, budget)?;
        budget.look_at(key.len())?;
        if seen.insert(key) {
            items.push(item)?;
        }
    }
    Ok(items.finish())
}

fn folded(text: &str, keeps_case: bool, budget: &Budget) -> Result<String, Failure> {
    budget.make(text.len().saturating_mul(if keeps_case { 1 } else { 3 }))?;
    Ok(if keeps_case { text.to_owned() } else { text.to_lowercase() })
}

/// The path that `attribute` names; the parser has checked that it is one.
fn attribute(budget: &Budget, arguments: &[Option<Val<'_>>], index: usize) -> Result<Option<Path>, Failure> {
    let Some(attribute) = arguments.get(index).and_then(Option::as_ref) else { return Ok(None) };
    Path::parse(&text(attribute, budget)?).map(Some).map_err(Failure::failed)
}

fn member<'a>(item: &Val<'a>, path: Option<&Path>, budget: &Budget) -> Outcome<'a> {
    path.map_or_else(|| Ok(item.clone()), |path| along(item, path.segments(), budget))
}
